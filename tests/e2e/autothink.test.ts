import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { slicesOf } from "../../src/algorithms/slices.ts";
import { chainSource } from "../../src/data/chain.ts";
import { chainOptions } from "../../src/data/chain-options.ts";
import { valuesOf } from "../../src/metrics/define.ts";
import { modeMetrics } from "../../src/metrics/modes.ts";
import type { Group, Prompt, ScoredCompletion } from "../../src/types.ts";
import { cutRun, expectSameRun } from "../helpers/same-run.ts";
import { rowsWithoutTime, runTraining, tinyModel, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const yaml = `
recipe: autothink
seed: 3
model: ${tinyModel}
prompt: null
data:
  train: { kind: chain, levels: [1, 3], prompt: ellipsis }
rollout: { prompts_per_step: 4, group_size: 4, max_new_tokens: 8, max_prompt_tokens: 32, temperature: 1 }
rewards:
  - { kind: mode-answer, compare: exact, extract: [last-answer-tag, whole], direct_opening: "</think>" }
algorithm: { entropy_coef: 0.5 }
optimizer: { lr: 0.01 }
run: { checkpoint_every: 1, keep_last: 99 }
stages:
  - name: balance
    steps: 2
    algorithm: { minibatches: 2 }
    shaping: [{ kind: mode-balance }]
  - { name: accuracy, steps: 1 }
  - name: length
    steps: 2
    shaping: [{ kind: group-length }]
`;

describe("three stages of AutoThink", () => {
  const config = space.write("autothink.yaml", yaml);
  const whole = space.path("whole");

  it("measures slices and modes, balances in the first stage only, and updates twice a rollout there", async () => {
    await runTraining(config, { runDir: whole });
    const rows = rowsWithoutTime(join(whole, "metrics.csv"));
    expect(rows.map((row) => row["stage"])).toEqual(["balance", "balance", "accuracy", "length", "length"]);
    expect(rows.map((row) => row["optim/updates"])).toEqual(["2", "4", "1", "1", "2"]);
    expect(rows.map((row) => row["shaping/thinking_share"] !== "")).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
    for (const row of rows) {
      const shares = [1, 3].flatMap((level) => row[`slice/level=${level}/thinking`] || []).map(Number);
      expect(shares.length).toBeGreaterThan(0);
      expect(Number(row["completion/thinking"])).toBeGreaterThanOrEqual(Math.min(...shares));
      expect(Number(row["completion/thinking"])).toBeLessThanOrEqual(Math.max(...shares));
    }
  });

  it("continues inside each stage as if it had never stopped", async () => {
    for (const cut of [1, 2, 3, 4]) {
      const parted = cutRun(whole, space.path(`cut ${cut}`), cut, 5);
      await runTraining(undefined, { resume: parted });
      expectSameRun(parted, whole, 5);
    }
  });

  it("keeps more entropy with the bonus than without", async () => {
    const without = space.path("without");
    await runTraining(config, { runDir: without, set: ["algorithm.entropy_coef=0"] });
    const entropy = (run: string) =>
      Number(rowsWithoutTime(join(run, "metrics.csv")).at(-1)!["policy/entropy"]);
    expect(entropy(whole)).toBeGreaterThan(entropy(without));
  });
});

describe("metrics by slice and mode", () => {
  const prompt = (level: string) => ({ slices: { level } }) as unknown as Prompt;
  const groups = [{ prompt: prompt("1") }, { prompt: prompt("2") }] as Group[];
  const one = (thinks: boolean | null, correct: boolean, tokens: number, reward: number) =>
    ({ thinks, correct, tokens: new Int32Array(tokens), reward, status: "ok" }) as ScoredCompletion;
  const scored = [
    [one(true, true, 9, 1), one(false, true, 3, 2)],
    [one(true, false, 20, 0), one(true, true, 10, 1)],
  ];

  const none = [
    [0, 0],
    [0, 0],
  ];
  const measured = (slices: string[], facts: Parameters<(typeof modeMetrics)[0]["value"]>[0]) =>
    valuesOf(modeMetrics, { size: null, parts: [], slices, alarms: [], measures: new Set() }, facts);

  it("counts completions of the slice", () => {
    const slices = ["level=1", "level=2", "level=3"];
    expect(measured(slices, { groups, scored, advantages: none })).toMatchObject({
      "slice/level=1/thinking": 0.5,
      "slice/level=1/accuracy": 1,
      "slice/level=1/tokens": 6,
      "slice/level=2/thinking": 1,
      "slice/level=2/accuracy": 0.5,
      "slice/level=2/tokens": 15,
      "slice/level=3/thinking": null,
      "slice/level=3/accuracy": null,
      "slice/level=3/tokens": null,
    });
  });

  it("tells the modes apart, and leaves blank what was not sampled", () => {
    const advantages = [
      [-1, 1],
      [-0.5, 0.5],
    ];
    expect(measured([], { groups, scored, advantages })).toMatchObject({
      "group/both_modes": 0.5,
      "mode/thinking/accuracy": 2 / 3,
      "mode/thinking/tokens": 13,
      "mode/thinking/advantage_right": -0.25,
      "mode/thinking/advantage_wrong": -0.5,
      "mode/direct/accuracy": 1,
      "mode/direct/reward": 2,
      "mode/direct/advantage_right": 1,
      "mode/direct/advantage_wrong": null,
    });
    const plain = { groups, scored: [[one(null, true, 3, 1)]], advantages: [[0]] };
    expect(measured([], plain)["group/both_modes"]).toBeNull();
  });

  it("finds the slices of an endless source, in order", () => {
    const source = chainSource(chainOptions.parse({ kind: "chain", levels: [1, 10, 2] }), "train", 1);
    expect(slicesOf(source)).toEqual(["level=1", "level=2", "level=10"]);
  });
});
