import { cpSync, existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { afterAll, describe, expect, it } from "vitest";
import { loadRecipe } from "../../src/config/load.ts";
import { layTrials, sweepOptions } from "../../src/config/sweep-options.ts";
import { sweep } from "../../src/experiments/sweep.ts";
import { placeTrials } from "../../src/experiments/trials.ts";
import { compare, type SweepRow } from "../../src/report/sweep-table.ts";
import { checkpointBytes, rowsWithoutTime, runTraining, tinyModel, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const tiny = `
seed: 3
steps: 3
backend: { kind: wasm }
model: ${tinyModel}
data:
  train: { kind: chain, levels: [1, 2], prompt: ellipsis, need: [0, 1] }
  eval: { kind: chain, levels: [1, 2], prompt: ellipsis, need: [0, 1], size: 12 }
rollout: { prompts_per_step: 3, group_size: 4, max_new_tokens: 8, mode_samples: { direct: 1, thinking: 1 } }
rewards:
  - { kind: exact, extract: last-answer-tag }
  - { kind: trigger, name: miss, counts: miss, weight: -0.5 }
  - { kind: trigger, name: over, counts: over, weight: -0.5 }
  - { kind: trigger, name: format-fault, counts: format }
algorithm: { kind: grpo, mask_decision: { enabled: true } }
optimizer: { lr: 0.01 }
eval: { every: 0 }
run: { checkpoint_every: 1, keep_last: 9 }
sweep:
  points:
    - { name: more, start: true, set: { rewards.1.weight: -3 } }
  grid:
    rewards.2.weight: [-0.1, -3]
`;

describe("rlpt sweep", () => {
  const config = space.write("sweep.yaml", tiny);
  const out = space.path("out");
  const notes: string[] = [];
  const run = () => {
    notes.length = 0;
    return sweep({ config, set: [], out, concurrency: 2, note: (text) => notes.push(text) });
  };
  const names = ["more-s3", "rewards.2.weight=-0.1-s3", "rewards.2.weight=-3-s3"];

  it("runs points and grid as runs of their own, and writes one row each", { timeout: 120_000 }, async () => {
    const { rows } = await run();
    expect(notes[0]).toContain("sweep of 3 trials, 0 done already, 2 at a time");
    expect(rows.map(({ point, when }) => `${point} ${when}`)).toEqual([
      "more start",
      "more end",
      "rewards.2.weight=-0.1 end",
      "rewards.2.weight=-3 end",
    ]);
    const table = parse(readFileSync(join(out, "pareto.csv")), { columns: true }) as Record<string, string>[];
    expect(table.length).toBe(4);
    expect(table[1]).toMatchObject({
      point: "more",
      "rewards.1.weight": "-3",
      "rewards.2.weight": "",
      step: "3",
    });
    for (const [i, row] of rows.entries()) {
      expect(Number(table[i]!["trigger"])).toBe(row.trigger);
      expect(row.recall).toBeGreaterThanOrEqual(0);
      expect(row.recall).toBe(Number(table[i]!["recall"]));
    }
    // the same numbers as the run by itself
    const alone = space.path("alone");
    await runTraining(config, { runDir: alone, set: ["rewards.1.weight=-3"] });
    expect(rowsWithoutTime(join(out, "more-s3", "metrics.csv"))).toEqual(
      rowsWithoutTime(join(alone, "metrics.csv")),
    );
    expect(rowsWithoutTime(join(alone, "metrics.csv")).map((row) => row["stage"])).toEqual([
      "grpo",
      "grpo",
      "grpo",
    ]);
  });

  it("runs no finished trial again, and continues a killed one exactly", { timeout: 120_000 }, async () => {
    const before = names.map((name) => statSync(join(out, name, "metrics.csv")).mtimeMs);
    const table = readFileSync(join(out, "pareto.csv"), "utf8");
    const last = join(out, names[1]!, "checkpoints", "000003");
    const bytes = checkpointBytes(last);
    const whole = rowsWithoutTime(join(out, names[1]!, "metrics.csv"));
    rmSync(last, { recursive: true }); // as if killed after step 2
    const kept = space.path("kept");
    cpSync(join(out, names[2]!), kept, { recursive: true });
    rmSync(join(out, names[2]!, "recipe.yaml")); // as if killed before it began

    await run();
    expect(notes[0]).toContain("1 done already");
    expect(checkpointBytes(last)).toEqual(bytes);
    expect(rowsWithoutTime(join(out, names[1]!, "metrics.csv"))).toEqual(whole);
    expect(rowsWithoutTime(join(out, names[2]!, "metrics.csv"))).toEqual(
      rowsWithoutTime(join(kept, "metrics.csv")),
    );
    expect(readFileSync(join(out, "pareto.csv"), "utf8")).toBe(table);
    expect(statSync(join(out, names[0]!, "metrics.csv")).mtimeMs).toBe(before[0]);

    await run();
    expect(notes[0]).toContain("3 done already");
  });

  it("says what is wrong with a trial before one starts", async () => {
    const bad = space.write("bad.yaml", tiny.replace("rewards.1.weight: -3", "rewards.1.wieght: -3"));
    const target = space.path("never");
    await expect(sweep({ config: bad, set: [], out: target, note: () => {} })).rejects.toThrow(
      /bad\.yaml:\d+ {2}sweep: trial more is wrong; [\s\S]*did you mean weight/,
    );
    expect(existsSync(target)).toBe(false);
    const none = space.write("none.yaml", tiny.slice(0, tiny.indexOf("sweep:")));
    await expect(sweep({ config: none, set: [], note: () => {} })).rejects.toThrow(
      /there is no sweep section/,
    );
  });
});

it("a flag holds over what a trial sets, and trials that it makes equal are refused", () => {
  const config = space.write("flags.yaml", tiny);
  const { trials } = placeTrials(config, { set: ["steps=2"] });
  for (const { options } of trials) expect(loadRecipe(config, options).recipe.steps).toBe(2);
  expect(() => placeTrials(config, { set: ["rewards.2.weight=-2"] })).toThrow("are one and the same");
});

describe("trials and their table", () => {
  it("are points, then the grid's combinations, each with every seed", () => {
    const options = sweepOptions.parse({
      points: [{ name: "a" }],
      grid: { x: [1, 2], "y.z": ["p q", null] },
      seeds: [1, 2],
    });
    const trials = layTrials(options, 9);
    expect(trials.length).toBe((1 + 4) * 2);
    expect(trials[2]).toEqual({ point: "x=1,y.z=p_q", seed: 1, set: { x: 1, "y.z": "p q" }, start: false });
    expect(layTrials(sweepOptions.parse({ points: [{ name: "a" }] }), 9)[0]!.seed).toBe(9);
    expect(sweepOptions.safeParse({}).success).toBe(false);
    expect(sweepOptions.safeParse({ points: [{ name: "a" }, { name: "a" }] }).success).toBe(false);
  });

  it("compares within a seed, and means over seeds", () => {
    const row = (point: string, seed: number, trigger: number, score: number): SweepRow => ({
      point,
      seed,
      when: "end",
      set: {},
      step: 3,
      score,
      trigger,
      tokens: 10 * seed,
      precision: null,
      recall: 0.5,
      f1: null,
    });
    const rows = compare([
      row("a", 1, 0.5, 0.8),
      row("b", 1, 0.6, 0.7),
      row("a", 2, 0.5, 0.6),
      row("b", 2, 0.4, 0.9),
    ]);
    expect(rows.map(({ point, seed, dominated }) => [point, seed, dominated])).toEqual([
      ["a", 1, false],
      ["b", 1, true],
      ["a", 2, true],
      ["b", 2, false],
      ["a", "mean", true],
      ["b", "mean", false],
    ]);
    expect(rows[5]).toMatchObject({ trigger: 0.5, score: 0.8, tokens: 15, recall: 0.5, precision: null });
    expect(rows[0]!.hypervolume).toBeCloseTo(0.8 * 0.5, 12);
  });
});
