import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { rowsWithoutTime, runTraining, tinyGrpo, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const PROMPTS = 3;
const config = space.write("dynamic.yaml", tinyGrpo.replace("steps: 4", "steps: 8"));

async function run(name: string, set: string[]) {
  const runDir = space.path(name);
  await runTraining(config, { runDir, set: ["eval.every=0", ...set] });
  const steps = rowsWithoutTime(join(runDir, "metrics.csv")).map((row) =>
    Object.fromEntries(Object.entries(row).map(([key, value]) => [key, Number(value)])),
  );
  const prompts = rowsWithoutTime(join(runDir, "prompts.csv"));
  return { steps, drawnIn: (step: number) => prompts.filter((row) => Number(row["step"]) === step) };
}

describe("dynamic sampling", () => {
  // the exact answer alone: nearly every group of the untrained model is all wrong
  const hard = [
    "rewards=[{kind: exact, extract: whole}, {kind: length, name: short, limit: 2, max: 8, weight: 0}]",
  ];

  it("fills every batch with groups that differ, and draws no more than it needs", async () => {
    const { steps, drawnIn } = await run("differ", ["algorithm.dynamic_sampling.oversampling=20"]);
    expect(steps.some((step) => step["group/dropped"]! > 0)).toBe(true);
    for (const step of steps) {
      expect(step["group/drawn"]! - step["group/dropped"]!).toBe(PROMPTS);
      expect(step["group/filled"]).toBe(0);
      expect(step["group/equal_rewards"]).toBe(0);
      // each draw is accounted for, those that were left out too, and none is drawn after the batch was full
      const drawn = drawnIn(step["step"]!);
      expect(drawn).toHaveLength(step["group/drawn"]!);
      expect(new Set(drawn.map((row) => row["prompt_id"])).size).toBe(drawn.length);
    }
  });

  it("is bounded, and a batch is full even where nothing differs", async () => {
    const { steps, drawnIn } = await run("bounded", [...hard, "algorithm.dynamic_sampling.oversampling=2"]);
    expect(steps.some((step) => step["group/filled"]! > 0)).toBe(true);
    for (const step of steps) {
      expect(step["group/drawn"]).toBeLessThanOrEqual(2 * PROMPTS);
      expect(step["group/drawn"]! - step["group/dropped"]!).toBe(PROMPTS);
      expect(step["group/equal_rewards"]).toBeCloseTo(step["group/filled"]! / PROMPTS, 12);
      expect(drawnIn(step["step"]!)).toHaveLength(step["group/drawn"]!);
    }
  });

  it("changes nothing where every group differs anyway", async () => {
    const always = ["rewards=[{kind: length, name: short, limit: 1, max: 9}, {kind: exact, extract: whole}]"];
    const plain = await run("plain", [...always, "rollout.group_size=8"]);
    const dynamic = await run("dynamic", [
      ...always,
      "rollout.group_size=8",
      "algorithm.dynamic_sampling={}",
    ]);
    expect(plain.steps.every((step) => step["group/equal_rewards"] === 0)).toBe(true);
    for (const [i, step] of plain.steps.entries()) {
      for (const name of ["reward/mean", "policy/loss", "optim/grad_norm"])
        expect(dynamic.steps[i]![name], name).toBe(step[name]);
    }
  });
});
