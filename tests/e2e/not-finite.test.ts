/** Runs that blow up stop, and say so in words. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { memoryAdvice } from "../../src/cli/out-of-memory.ts";
import { rowsWithoutTime, runTraining, tinyGrpo, tinyPpo, tinySft, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

it.each([
  ["sft", tinySft],
  ["ppo", tinyPpo],
])("%s stops at the first loss that is not finite, with nothing of it on disk", async (name, text) => {
  const config = space.write(`${name}.yaml`, text);
  const runDir = space.path(name);
  await expect(
    runTraining(config, { runDir, set: ["optimizer.lr=1e12", "run.checkpoint_every=1"] }),
  ).rejects.toThrow(/the loss is .* and the gradient's norm .*: .*Lower optimizer\.lr \(\d/);
  const steps = rowsWithoutTime(join(runDir, "metrics.csv")).length;
  expect(steps).toBeLessThan(4);
  expect(existsSync(join(runDir, "checkpoints", String(steps + 1).padStart(6, "0")))).toBe(false);
});

it("grpo says so when it samples from such a policy", async () => {
  const config = space.write("grpo.yaml", tinyGrpo);
  await expect(
    runTraining(config, { runDir: space.path("grpo"), set: ["optimizer.lr=1e12"] }),
  ).rejects.toThrow(/the policy has diverged.*Lower optimizer\.lr|the loss is .*Lower optimizer\.lr/);
});

it("a full memory is told as one, other errors are not", () => {
  for (const message of [
    "Aborted(). Build with -sASSERTIONS for more info.",
    "WebAssembly.Memory.grow(): Maximum memory size exceeded",
    "Array buffer allocation failed",
    "OOM when allocating tensor with shape[1,2]",
  ])
    expect(memoryAdvice(message)).toContain("micro_batch_rows");
  expect(memoryAdvice("row 3 has no room")).toBeNull();
});
