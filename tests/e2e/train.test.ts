import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs";
import { afterAll, describe, expect, it } from "vitest";
import { openSafetensors } from "../../src/policy/files/safetensors.ts";
import {
  checkpointBytes,
  rowsWithoutTime,
  runTraining,
  tinyGrpo,
  tinySft,
  workspace,
} from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const FILES = ["metrics.csv", "eval.csv", "prompts.csv"] as const;

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
      for (const file of FILES)
        expect(rowsWithoutTime(join(again, file))).toEqual(rowsWithoutTime(join(whole, file)));
      expect(readFileSync(join(again, "samples.jsonl"), "utf8")).toBe(
        readFileSync(join(whole, "samples.jsonl"), "utf8"),
      );
      const last = join("checkpoints", "000004");
      expect(checkpointBytes(join(again, last))).toEqual(checkpointBytes(join(whole, last)));
    });

    it("goes on from a checkpoint as if it had never stopped", async () => {
      const parted = space.path(`${kind} parted`);
      // the schedule must know the end from the start, so the run is cut, not shortened
      await runTraining(config, { runDir: parted });
      const { rmSync } = await import("node:fs");
      rmSync(join(parted, "checkpoints", "000004"), { recursive: true });
      await runTraining(undefined, { resume: parted });
      for (const file of FILES)
        expect(rowsWithoutTime(join(parted, file))).toEqual(rowsWithoutTime(join(whole, file)));
      expect(readFileSync(join(parted, "samples.jsonl"), "utf8")).toBe(
        readFileSync(join(whole, "samples.jsonl"), "utf8"),
      );
      const last = join("checkpoints", "000004");
      expect(checkpointBytes(join(parted, last))).toEqual(checkpointBytes(join(whole, last)));
    });

    it("gives another result with another seed", async () => {
      const other = space.path(`${kind} other`);
      await runTraining(config, { runDir: other, seed: "4" });
      const last = join("checkpoints", "000004");
      expect(checkpointBytes(join(other, last))).not.toEqual(checkpointBytes(join(whole, last)));
    });
  });
}

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
