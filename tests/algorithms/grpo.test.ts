import { join } from "node:path";
import * as tf from "@tensorflow/tfjs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { padRows, spread } from "../../src/algorithms/token-batch.ts";
import { createRng } from "../../src/lib/rng.ts";
import { tokenWeights } from "../../src/losses/aggregation.ts";
import { clippedPolicyLoss } from "../../src/losses/clipped-policy.ts";
import { clipOptions, klOptions } from "../../src/losses/options.ts";
import { openSafetensors } from "../../src/policy/files/safetensors.ts";
import { initPolicy } from "../../src/policy/policy.ts";
import { rowsWithoutTime, runTraining, tinyGrpo, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

function weightsAfter(runDir: string, step: number): Map<string, Float32Array> {
  const file = join(runDir, "checkpoints", String(step).padStart(6, "0"), "model", "model.safetensors");
  const source = openSafetensors(file);
  const weights = new Map(source.names.map((name) => [name, source.read(name)]));
  source.close();
  return weights;
}

function largestDifference(a: Map<string, Float32Array>, b: Map<string, Float32Array>): number {
  let largest = 0;
  for (const [name, values] of a) {
    for (const [i, value] of values.entries())
      largest = Math.max(largest, Math.abs(value - b.get(name)![i]!));
  }
  return largest;
}

describe("a GRPO update", () => {
  const config = space.write("grpo.yaml", tinyGrpo);
  const run = async (name: string, set: string[]) => {
    const runDir = space.path(name);
    await runTraining(config, { runDir, steps: "2", set: ["eval.every=0", ...set] });
    return runDir;
  };

  it("does not depend on how its rows are cut into micro-batches", async () => {
    for (const aggregation of ["token", "sequence", "constant"]) {
      const set = [`algorithm.aggregation=${aggregation}`];
      const whole = weightsAfter(await run(`whole ${aggregation}`, set), 2);
      for (const rows of [1, 6]) {
        const parts = weightsAfter(
          await run(`by ${rows} ${aggregation}`, [...set, `algorithm.micro_batch_rows=${rows}`]),
          2,
        );
        expect(largestDifference(parts, whole)).toBeLessThan(2e-5);
      }
    }
  });

  it("takes several optimizer steps per rollout, and only then clips", async () => {
    const once = rowsWithoutTime(join(await run("once", ["optimizer.lr=0.3"]), "metrics.csv"));
    const often = rowsWithoutTime(
      join(
        await run("often", ["optimizer.lr=0.3", "algorithm.epochs=3", "algorithm.minibatches=2"]),
        "metrics.csv",
      ),
    );
    expect(once.map((row) => [row["optim/updates"], row["policy/clip_fraction"]])).toEqual([
      ["1", "0"],
      ["2", "0"],
    ]);
    expect(often.map((row) => row["optim/updates"])).toEqual(["6", "12"]);
    expect(Number(often[0]!["policy/clip_fraction"])).toBeGreaterThan(0);
    expect(Number(often[0]!["policy/update_kl"])).toBeGreaterThan(Number(once[0]!["policy/update_kl"]));
  });

  it("is the same whether completions without advantage are computed or left out", async () => {
    const model = join(await run("model", []), "checkpoints", "000002", "model");
    const set = ["model.init=null", "model.tokenizer=null", `model.path=${JSON.stringify(model)}`];
    const leftOut = await run("left out", set);
    // a KL term keeps every row in the passes; this one is too small to move a weight
    const computed = await run("computed", [...set, "algorithm.kl.coef=1e-12"]);
    const dead = rowsWithoutTime(join(leftOut, "metrics.csv")).map((row) =>
      Number(row["group/equal_rewards"]),
    );
    expect(Math.max(...dead)).toBeGreaterThan(0);
    expect(largestDifference(weightsAfter(leftOut, 2), weightsAfter(computed, 2))).toBeLessThan(2e-5);
  });

  it("finds the sampler's logprobs again when it trains on them", async () => {
    for (const row of rowsWithoutTime(join(await run("gap", []), "metrics.csv"))) {
      expect(Number(row["policy/sampler_gap"])).toBeLessThan(1e-4);
    }
  });
});

describe("completions without advantage", () => {
  beforeAll(async () => {
    await tf.setBackend("cpu");
  });

  it("add nothing to loss and gradient, so that leaving them out changes neither", () => {
    const policy = initPolicy(
      {
        model_type: "llama",
        vocab_size: 11,
        hidden_size: 8,
        intermediate_size: 12,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        hidden_act: "silu",
        initializer_range: 0.5,
      },
      createRng(1),
    );
    const rows = [
      { prompt: [1, 2], completion: [3, 4, 5], advantage: 0.7 },
      { prompt: [2], completion: [6, 7], advantage: 0 },
      { prompt: [1, 2, 3], completion: [8], advantage: -1.2 },
      { prompt: [4], completion: [9, 10, 1, 2], advantage: 0 },
    ];
    const weights = tokenWeights(
      rows.map(({ completion }) => completion.length),
      "token",
      8,
    );
    const gradients = (chosen: readonly number[]) => {
      const picked = chosen.map((i) => rows[i]!);
      const result = policy.lossAndGradients(() => {
        const padded = padRows(picked);
        const { batch } = padded;
        const size = batch.targets.length;
        const { logprobs } = policy.score(batch, { temperature: 1 });
        return clippedPolicyLoss(
          {
            logprobs,
            oldLogprobs: tf.tensor1d(new Float32Array(size).fill(-2)),
            referenceLogprobs: null,
            advantages: tf.tensor1d(spread(padded, (i) => picked[i]!.advantage)),
            weights: tf.tensor1d(spread(padded, (i) => weights[chosen[i]!]!)),
          },
          clipOptions.parse({}),
          klOptions.parse({}),
        ).loss;
      });
      return [
        result.loss.dataSync()[0]!,
        ...[...result.gradients.values()].flatMap((g) => [...g.dataSync()]),
      ];
    };
    const all = gradients([0, 1, 2, 3]);
    const live = gradients([0, 2]);
    expect(Math.max(...all.slice(1).map(Math.abs))).toBeGreaterThan(0.01);
    expect(Math.max(...all.map((value, i) => Math.abs(value - live[i]!)))).toBeLessThan(1e-6);
  });
});
