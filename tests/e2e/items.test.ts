import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { evaluateTarget } from "../../src/training/evaluate-target.ts";
import { checkpointAt, expectSameRun } from "../helpers/same-run.ts";
import { rowsWithoutTime, runTraining, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const set = [
  "run.checkpoint_every=2",
  "run.keep_last=9",
  "data.eval.items_per_cell=8",
  "rollout.prompts_per_step=4",
];

it("CLS-RL's laboratory run says base, new and other, and goes on from a checkpoint as if it had never stopped", async () => {
  const whole = space.path("whole");
  const { first } = await runTraining("configs/cls-rl.yaml", { runDir: whole, steps: "4", set });
  expect(first!["accuracy"]).toBeGreaterThan(0.3); // chance is an eighth
  const slices = rowsWithoutTime(join(whole, "eval.csv")).map((row) => row["slice"]);
  for (const slice of ["split=base", "split=new", "split=other", "dataset=D0", "dataset=D2"]) {
    expect(slices).toContain(slice);
  }
  const rows = rowsWithoutTime(join(whole, "metrics.csv"));
  expect(Math.abs(Number(rows[0]!["policy/kl"]))).toBeLessThan(1e-6);
  expect(Number(rows[3]!["policy/kl"])).toBeGreaterThan(1e-6);
  for (const part of ["accuracy", "format", "contains", "contradiction"]) {
    expect(Object.keys(rows[0]!)).toContain(`reward/part/${part}`);
  }

  const parted = space.path("parted");
  await runTraining("configs/cls-rl.yaml", { runDir: parted, steps: "4", set });
  rmSync(checkpointAt(parted, 4), { recursive: true });
  await runTraining(undefined, { resume: parted });
  expectSameRun(parted, whole, 4);
});

it("an evaluation says how often thought and answer differ, and which of them is right then", async () => {
  const completions = space.path("completions.jsonl");
  const { evaluation } = await evaluateTarget(
    "configs/cls-rl.yaml",
    { set: ["data.eval.items_per_cell=100", "backend.kind=wasm"] },
    { csv: null, prompts: null, completions },
    () => {},
  );
  // counted anew from what the reward part noted: "thought G1 s4 or G3 s7; answer G1 s4"
  const told = readFileSync(completions, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { answer: string; parts: Record<string, { note?: string }> })
    .flatMap(({ answer: gold, parts }) => {
      const found = /^thought (.*); answer (.*)$/.exec(parts["contradiction"]!.note!);
      return found === null ? [] : [{ gold, thought: found[1]!.split(" or "), answer: found[2]! }];
    });
  const apart = told.filter(({ thought, answer }) => !thought.includes(answer));
  expect(told.length).toBeGreaterThan(200);
  expect(apart.length).toBeGreaterThan(5);
  const row = evaluation.rows[0]!;
  expect(row.contradiction).toBeCloseTo(apart.length / told.length, 10);
  const share = (right: (one: (typeof apart)[0]) => number) =>
    apart.reduce((sum, one) => sum + right(one), 0) / apart.length;
  expect(row.contradiction_answer).toBeCloseTo(
    share(({ gold, answer }) => Number(gold === answer)),
    10,
  );
  expect(row.contradiction_thought).toBeCloseTo(
    share(({ gold, thought }) => (thought.includes(gold) ? 1 / thought.length : 0)),
    10,
  );
  expect(evaluation.summary).toMatch(/thought against answer \d+\.\d% \(thought right in/);
  const slices = evaluation.rows.filter(({ slice }) => slice.startsWith("split="));
  expect(slices.map(({ slice }) => slice)).toEqual(["split=base", "split=new", "split=other"]);
  const shares = slices.map(({ contradiction }) => Number(contradiction));
  // the whole lies between its parts
  expect(Math.min(...shares)).toBeLessThanOrEqual(Number(row.contradiction));
  expect(Math.max(...shares)).toBeGreaterThanOrEqual(Number(row.contradiction));
});
