import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs";
import { afterAll, describe, expect, it } from "vitest";
import { openSafetensors } from "../../src/policy/files/safetensors.ts";
import { checkpointAt, cutRun, expectSameRun } from "../helpers/same-run.ts";
import {
  checkpointBytes,
  rowsWithoutTime,
  runTraining,
  tinyGrpo,
  tinySft,
  tinyStages,
  workspace,
} from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

for (const [kind, yaml] of [
  ["grpo", tinyGrpo],
  ["sft", tinySft],
] as const) {
  describe(`a ${kind} run`, () => {
    const config = space.write(`${kind}.yaml`, yaml);
    const whole = space.path(`${kind} whole`);

    it("leaves metrics, samples and a checkpoint in which every trainable weight has moved", async () => {
      const { checkpoint, outcome } = await runTraining(config, { runDir: whole });
      expect(outcome).toBe("finished");
      expect(checkpoint).toBe(join(whole, "checkpoints", "000004"));
      expect(rowsWithoutTime(join(whole, "metrics.csv")).map((row) => row["step"])).toEqual([
        "1",
        "2",
        "3",
        "4",
      ]);
      const before = openSafetensors(join(whole, "checkpoints", "000002", "model", "model.safetensors"));
      const after = openSafetensors(join(checkpoint!, "model", "model.safetensors"));
      expect(after.names.length).toBe(12);
      for (const name of after.names) expect([...after.read(name)], name).not.toEqual([...before.read(name)]);
      for (const file of [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "generation_config.json",
      ]) {
        expect(existsSync(join(checkpoint!, "model", file)), file).toBe(true);
      }
    });

    it("is the same, byte for byte, when run again", async () => {
      const again = space.path(`${kind} again`);
      await runTraining(config, { runDir: again });
      expectSameRun(again, whole, 4);
    });

    it("goes on from a checkpoint as if it had never stopped", async () => {
      const parted = space.path(`${kind} parted`);
      // the schedule must know the end from the start, so the run is cut, not shortened
      await runTraining(config, { runDir: parted });
      rmSync(checkpointAt(parted, 4), { recursive: true });
      await runTraining(undefined, { resume: parted });
      expectSameRun(parted, whole, 4);
    });

    it("gives another result with another seed", async () => {
      const other = space.path(`${kind} other`);
      await runTraining(config, { runDir: other, seed: "4" });
      expect(checkpointBytes(checkpointAt(other, 4))).not.toEqual(checkpointBytes(checkpointAt(whole, 4)));
    });
  });
}

describe("a run of three stages", () => {
  const config = space.write("stages.yaml", tinyStages);
  const whole = space.path("stages whole");

  it("goes from stage to stage, ends one early, and counts steps through", async () => {
    const { checkpoint } = await runTraining(config, { runDir: whole });
    const rows = rowsWithoutTime(join(whole, "metrics.csv"));
    const names = rows.map((row) => row["stage"]);
    const firsts = names.filter((name) => name === "first").length;
    expect(names).toEqual([
      "warm",
      "warm",
      "warm",
      ...Array(firsts).fill("first"),
      "second",
      "second",
      "second",
    ]);
    expect(firsts).toBeGreaterThanOrEqual(2);
    expect(firsts).toBeLessThan(9); // `until` was reached
    expect(rows.map((row) => Number(row["step"]))).toEqual(rows.map((_, i) => i + 1));
    expect(checkpoint).toBe(join(whole, "checkpoints", String(rows.length).padStart(6, "0")));
    // the second stage starts at its own reference, and leaves it
    const kl = rows.filter((row) => row["stage"] === "second").map((row) => Number(row["policy/kl"]));
    expect(Math.abs(kl[0]!)).toBeLessThan(1e-6);
    expect(kl[2]!).toBeGreaterThan(1e-4);
  });

  it("continues inside any stage, reference included", async () => {
    const steps = rowsWithoutTime(join(whole, "metrics.csv")).length;
    for (const step of [2, 3, 4, steps - 3, steps - 1]) {
      const parted = cutRun(whole, space.path(`stages cut ${step}`), step, steps);
      await runTraining(undefined, { resume: parted });
      expectSameRun(parted, whole, steps);
    }
  });
});

it("does not grow in tensors over 200 steps", async () => {
  const config = space.write("long.yaml", tinyGrpo);
  const runDir = space.path("long");
  await runTraining(config, {
    runDir,
    steps: "200",
    set: ["eval.every=0", "run.checkpoint_every=100", "rollout.prompts_per_step=2", "rollout.group_size=2"],
  });
  const tensors = rowsWithoutTime(join(runDir, "metrics.csv")).map((row) => Number(row["memory/tensors"]));
  expect(tensors.length).toBe(200);
  expect(Math.max(...tensors.slice(1))).toBe(Math.min(...tensors.slice(1)));
  expect(tf.memory().numTensors).toBe(0); // the run gives back all it took
});
