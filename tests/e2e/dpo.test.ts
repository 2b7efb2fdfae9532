import { join } from "node:path";
import * as tf from "@tensorflow/tfjs";
import { afterAll, describe, expect, it } from "vitest";
import { openSafetensors } from "../../src/policy/files/safetensors.ts";
import { checkpointAt, cutRun, expectSameRun } from "../helpers/same-run.ts";
import { rowsWithoutTime, runTraining, tinyModel, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

space.write(
  "pairs.jsonl",
  Array.from({ length: 8 }, (_, i) =>
    JSON.stringify({ prompt: `${i % 10}+1=`, better: `${(i + 1) % 10}`, worse: `${i % 10}+1` }),
  ).join("\n"),
);

/** A model that has learnt a little, so that there is a reference. */
const base = async () => {
  const config = space.write(
    "base.yaml",
    `seed: 3\nsteps: 2\nmodel: ${tinyModel}\ndata: { train: { kind: chain, levels: [1] } }\nalgorithm: { kind: sft, rows_per_step: 4 }\noptimizer: { lr: 0.01 }\nrun: { keep_last: 9 }\n`,
  );
  const { checkpoint } = await runTraining(config, { runDir: space.path("base") });
  return join(checkpoint!, "model");
};
const model = await base();

const dpo = (more = "") => `
seed: 3
steps: 6
model: { path: ${JSON.stringify(model)}${more} }
data:
  train: { path: pairs.jsonl, chat: false, answer: null, pair: { chosen: "{better}", rejected: "{worse}" } }
algorithm: { kind: dpo, beta: 0.5, pairs_per_step: 4 }
optimizer: { lr: 0.01 }
run: { checkpoint_every: 2, keep_last: 9 }
`;

const column = (runDir: string, name: string) =>
  rowsWithoutTime(join(runDir, "metrics.csv")).map((row) => Number(row[name]));

describe("DPO", () => {
  const whole = space.path("whole");

  it("starts where both policies agree, and comes to prefer what is chosen", async () => {
    await runTraining(space.write("dpo.yaml", dpo()), { runDir: whole });
    expect(column(whole, "dpo/loss")[0]).toBeCloseTo(Math.log(2), 5);
    expect(column(whole, "dpo/margin")[0]).toBeCloseTo(0, 5);
    expect(column(whole, "dpo/accuracy").at(-1)).toBe(1);
    expect(column(whole, "dpo/margin").at(-1)).toBeGreaterThan(0.3);
    expect(column(whole, "epoch").at(-1)).toBe(3);
  });

  it("does not depend on micro-batches, and goes on from a checkpoint as if it had never stopped", async () => {
    const split = space.path("split");
    await runTraining(space.path("dpo.yaml"), { runDir: split, set: ["algorithm.micro_batch_rows=2"] });
    const [a, b] = [whole, split].map((runDir) =>
      openSafetensors(join(checkpointAt(runDir, 6), "state", "weights.safetensors")),
    );
    for (const name of a!.names) {
      const [x, y] = [a!.read(name), b!.read(name)];
      for (let i = 0; i < x.length; i++) expect(Math.abs(x[i]! - y[i]!), name).toBeLessThan(1e-4);
    }
    const parted = cutRun(whole, space.path("parted"), 2, 6);
    await runTraining(undefined, { resume: parted });
    expectSameRun(parted, whole, 6);
  });

  it("with LoRA its reference is the adapter switched off: no copy is kept, and the first loss is log 2 too", async () => {
    const lora = space.path("lora");
    const config = space.write("lora.yaml", dpo(", lora: { rank: 2, targets: [q_proj, down_proj] }"));
    await runTraining(config, { runDir: lora });
    expect(column(lora, "dpo/loss")[0]).toBeCloseTo(Math.log(2), 5);
    expect(column(lora, "dpo/margin").at(-1)).toBeGreaterThan(0.05);
    const files = openSafetensors(join(checkpointAt(lora, 6), "state", "weights.safetensors")).names;
    expect(files.every((name) => name.includes("lora_"))).toBe(true);
  });

  it("leaves no tensor behind", () => {
    expect(tf.memory().numTensors).toBe(0);
  });
});
