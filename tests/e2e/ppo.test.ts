import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs";
import { afterAll, describe, expect, it } from "vitest";
import { openSafetensors } from "../../src/policy/files/safetensors.ts";
import type { TrainingState } from "../../src/training/checkpoint-contents.ts";
import { checkpointAt, cutRun, expectSameRun } from "../helpers/same-run.ts";
import { rowsWithoutTime, runTraining, tinyModel, tinyPpo, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const state = (directory: string) =>
  JSON.parse(readFileSync(join(directory, "state.json"), "utf8")) as TrainingState;

describe("a PPO run", () => {
  const config = space.write("ppo.yaml", tinyPpo);
  const whole = space.path("ppo whole");

  it("moves every weight of policy and critic, and measures the critic", async () => {
    const { checkpoint } = await runTraining(config, { runDir: whole });
    const rows = rowsWithoutTime(join(whole, "metrics.csv"));
    expect(rows.map((row) => row["step"])).toEqual(["1", "2", "3", "4"]);
    // the first values are 0, so that they explain nothing; later ones are not
    expect(rows[0]!["critic/value_mean"]).toBe("0");
    expect(rows[0]!["critic/explained_variance"]).toBe("0");
    expect(Math.abs(Number(rows[3]!["critic/value_mean"]))).toBeGreaterThan(1e-4);
    for (const row of rows) {
      expect(Math.abs(Number(row["advantage/mean"]))).toBeLessThan(1e-9);
      expect(Number(row["advantage/std"])).toBeCloseTo(1, 6);
      // sampling and training agree before the first update
      expect(Number(row["policy/sampler_gap"])).toBeLessThan(1e-4);
    }
    const before = openSafetensors(join(checkpointAt(whole, 2), "state/critic.safetensors"));
    const after = openSafetensors(join(checkpoint!, "state/critic.safetensors"));
    const weights = after.names;
    expect(weights.length).toBe(12); // 11 of the decoder, and the head
    expect(weights).toContain("value_head.weight");
    expect(weights).not.toContain("lm_head.weight");
    for (const name of weights) {
      expect([...after.read(name)], name).not.toEqual([...before.read(name)]);
    }
  });

  it("is the same, byte for byte, when run again, and goes on as if it had never stopped", async () => {
    const again = space.path("ppo again");
    await runTraining(config, { runDir: again });
    const parted = cutRun(whole, space.path("ppo parted"), 2, 4);
    await runTraining(undefined, { resume: parted });
    for (const other of [again, parted]) {
      expectSameRun(other, whole, 4);
    }
  });

  it("gives the same weights in micro-batches, to rounding", async () => {
    const split = space.path("ppo micro");
    await runTraining(config, { runDir: split, set: ["algorithm.micro_batch_rows=2"] });
    for (const file of ["state/weights.safetensors", "state/critic.safetensors"]) {
      const a = openSafetensors(join(checkpointAt(whole, 2), file));
      const b = openSafetensors(join(checkpointAt(split, 2), file));
      for (const name of a.names) {
        const [x, y] = [a.read(name), b.read(name)];
        for (let i = 0; i < x.length; i++) expect(Math.abs(x[i]! - y[i]!), name).toBeLessThan(2e-3);
      }
    }
  });

  it("lets the policy rest while the critic warms up", async () => {
    const warm = space.path("ppo warm");
    await runTraining(config, { runDir: warm, set: ["algorithm.critic.warmup_steps=2"] });
    const updates = rowsWithoutTime(join(warm, "metrics.csv")).map((row) => row["optim/updates"]);
    expect(updates).toEqual(["0", "0", "2", "4"]);
    const steps = state(checkpointAt(warm, 4)).slots.values.stage["critic-moments/steps"];
    expect(steps).toBe(8);
  });

  it("an entropy bonus keeps it exploring", async () => {
    const entropy = async (coef: number) => {
      const runDir = space.path(`ppo entropy ${coef}`);
      await runTraining(config, {
        runDir,
        set: [`algorithm.entropy_coef=${coef}`, "steps=8", "optimizer.lr=0.03"],
      });
      return rowsWithoutTime(join(runDir, "metrics.csv")).map((row) => Number(row["policy/entropy"]));
    };
    const [without, bonus] = [await entropy(0), await entropy(1)];
    // the first rollout is before any update
    expect(bonus[0]).toBe(without[0]);
    expect(bonus[7]!).toBeGreaterThan(without[7]! + 0.2);
  });
});

/** SFT, PPO with an adaptive KL, GRPO, PPO again: the critic goes through. */
const stages = `
seed: 3
model: ${tinyModel}
data:
  train: { kind: chain, levels: [1, 2] }
  eval: { kind: chain, levels: [1], size: 6 }
rollout: { prompts_per_step: 3, group_size: 2, max_new_tokens: 8 }
rewards: [{ kind: length, name: short, limit: 2, max: 8 }, { kind: exact, extract: whole }]
optimizer: { lr: 0.01 }
run: { checkpoint_every: 1, keep_last: 99, keep_best: null }
stages:
  - { name: warm, steps: 2, algorithm: { kind: sft, rows_per_step: 4 } }
  - { name: first, steps: 2, algorithm: { kind: ppo, kl: { coef: 0.2, target: 0.1, horizon: 60 } } }
  - { name: between, steps: 2, algorithm: { kind: grpo } }
  - { name: second, steps: 2, algorithm: { kind: ppo, kl: { coef: 0.2, target: 0.1, horizon: 60 } } }
`;

describe("PPO among other stages", () => {
  const config = space.write("stages.yaml", stages);
  const whole = space.path("stages whole");

  it("keeps the critic, starts its optimizer and its KL coefficient afresh", async () => {
    await runTraining(config, { runDir: whole });
    const rows = rowsWithoutTime(join(whole, "metrics.csv"));
    const coefs = rows.map((row) => row["policy/kl_coef"]);
    expect(coefs[2]).toBe("0.2");
    expect(coefs[6]).toBe("0.2");
    // the policy has not left its reference yet: 20% below target at most, 6 completions of 60
    expect(Number(coefs[3])).toBeCloseTo(0.2 * (1 - 0.2 * 0.1), 6);
    expect(Number(coefs[7])).not.toBe(0.2);
    expect(rows[2]!["critic/value_mean"]).toBe("0");
    expect(Math.abs(Number(rows[6]!["critic/value_mean"]))).toBeGreaterThan(1e-4);
    const critic = (step: number) =>
      openSafetensors(join(checkpointAt(whole, step), "state/critic.safetensors"));
    const head = "value_head.weight";
    expect([...critic(6).read(head)]).toEqual([...critic(4).read(head)]);
    expect(state(checkpointAt(whole, 6)).slots.tensors.run).toContain("critic");
    expect(state(checkpointAt(whole, 6)).slots.tensors.stage).toEqual(["moments"]);
    expect(state(checkpointAt(whole, 8)).slots.values.stage["critic-moments/steps"]).toBe(2);
  });

  it("continues inside and between all of them", async () => {
    for (const step of [2, 3, 4, 5, 6, 7]) {
      const parted = cutRun(whole, space.path(`stages cut ${step}`), step, 8);
      await runTraining(undefined, { resume: parted });
      expectSameRun(parted, whole, 8);
    }
  });
});

it("with LoRA the critic has adapters of its own, and goes on from a checkpoint", async () => {
  const base = space.path("base");
  const first = await runTraining(space.write("base.yaml", tinyPpo), { runDir: base, steps: "1" });
  const config = space.write(
    "lora.yaml",
    tinyPpo.replace(
      tinyModel,
      ` { path: ${JSON.stringify(join(first.checkpoint!, "model"))}, lora: { rank: 2, targets: [q_proj, down_proj] }, rematerialise: true }\n`,
    ),
  );
  const whole = space.path("lora whole");
  await runTraining(config, { runDir: whole });
  const { names } = openSafetensors(join(checkpointAt(whole, 4), "state/critic.safetensors"));
  expect([...names].sort()).toEqual(
    [
      ...["self_attn.q_proj", "mlp.down_proj"].flatMap((module) =>
        ["A", "B"].map((matrix) => `base_model.model.model.layers.0.${module}.lora_${matrix}.weight`),
      ),
      "value_head.weight",
    ].sort(),
  );
  const parted = cutRun(whole, space.path("lora parted"), 2, 4);
  await runTraining(undefined, { resume: parted });
  expectSameRun(parted, whole, 4);
});

it("gives back every tensor", () => {
  expect(tf.memory().numTensors).toBe(0);
});
