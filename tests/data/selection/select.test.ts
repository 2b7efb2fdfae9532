import { describe, expect, it } from "vitest";
import { buildCurves, fillGaps } from "../../../src/data/selection/curves.ts";
import { dumpEpoch, dumpStep, dumpValues } from "../../../src/data/selection/dumps.ts";
import {
  roundTo,
  scoreHistogram,
  selectAtRandom,
  selectByScore,
  sizesAround,
} from "../../../src/data/selection/select.ts";

const indices = (flags: readonly boolean[]) => flags.flatMap((taken, i) => (taken ? [i] : []));

describe("selection", () => {
  const scores = [0.6, null, 0.9, 0.5999, 0.6, -2];

  it("by threshold takes what equals it, and never what has no score", () => {
    expect(indices(selectByScore(scores, { kind: "threshold", threshold: 0.6 }))).toEqual([0, 2, 4]);
    expect(indices(selectByScore([null, 0], { kind: "threshold", threshold: -9 }))).toEqual([1]);
  });

  it("by share of the whole pool and by count, the best first, ties to the earlier, in the pool's order", () => {
    expect(indices(selectByScore(scores, { kind: "top", share: 1 / 3 }))).toEqual([0, 2]);
    expect(indices(selectByScore(scores, { kind: "count", count: 4 }))).toEqual([0, 2, 3, 4]);
    expect(indices(selectByScore(scores, { kind: "count", count: 99 }))).toEqual([0, 2, 3, 4, 5]);
  });

  it("at random: of that size, the same for the same draw, another for another, every entry in reach", () => {
    expect(selectAtRandom(256, 64, 1)).toEqual(selectAtRandom(256, 64, 1));
    expect(selectAtRandom(256, 64, 1)).not.toEqual(selectAtRandom(256, 64, 2));
    expect(indices(selectAtRandom(256, 64, 1)).length).toBe(64);
    const hits = Array.from({ length: 10 }, () => 0);
    for (let draw = 0; draw < 400; draw++) for (const i of indices(selectAtRandom(10, 3, draw))) hits[i]!++;
    for (const count of hits) expect(Math.abs(count - 120)).toBeLessThan(4 * Math.sqrt(400 * 0.3 * 0.7));
  });

  it("rounds as Python does", () => {
    const pairs = [
      [0.125, 0.12],
      [0.375, 0.38],
      [-0.125, -0.12],
      [0.595, 0.59], // binary 0.59499...
      [0.005, 0.01], // binary 0.005000...1
      [0.5951, 0.6],
      [-1.815, -1.81],
    ] as const;
    for (const [x, expected] of pairs) expect(roundTo(x, 2), String(x)).toBe(expected);
    expect(roundTo(2.5, 0)).toBe(2);
  });

  it("histogram bins are multiples of the width and hold their lower edge", () => {
    expect(scoreHistogram([0.3, -0.05, 0.39, 0.1], 0.1)).toEqual([
      { low: -0.1, high: 0, count: 1 },
      { low: 0, high: 0.1, count: 0 },
      { low: 0.1, high: 0.2, count: 1 },
      { low: 0.2, high: 0.3, count: 0 },
      { low: 0.3, high: 0.4, count: 2 },
    ]);
    expect(scoreHistogram([], 0.1)).toEqual([]);
  });

  it("sizes around a threshold", () => {
    expect(sizesAround([0.58, 0.59, 0.6, 0.61, null], 0.6)).toEqual([
      { threshold: 0.59, size: 3 },
      { threshold: 0.6, size: 2 },
      { threshold: 0.61, size: 1 },
    ]);
  });
});

describe("dumps of another tool", () => {
  it("knows steps and epochs", () => {
    expect(["step_1.json", "step_168.json", "step_x.json", "step_1.json.tmp"].map(dumpStep)).toEqual([
      1,
      168,
      null,
      null,
    ]);
    expect([1, 8, 9, 168].map((step) => dumpEpoch(step, 8))).toEqual([0, 0, 1, 20]);
  });

  it("epoch value: 5 right, 2 wrong boxed, 1 unboxed", () => {
    const rewards = [1, 1, 1, 1, 1, -0.5, -0.5, -1];
    const records = rewards.map((reward) => ({ prompt: " p\n", reward }));
    expect(dumpValues(records, 0, "reward")).toEqual([
      { promptId: "p", epoch: 0, value: 0.375, completions: 8 },
    ]);
    expect(dumpValues(records, 0, "accuracy")[0]!.value).toBe(0.625);
  });

  it("a prompt whose every completion was malformed in an epoch was seen in it", () => {
    const malformed = { prompt: "p", reward: -1 };
    const values = [1, 2].flatMap((step) => dumpValues([malformed], dumpEpoch(step, 1), "reward"));
    expect(fillGaps(buildCurves(values, 3).get("p")!)).toEqual([-1, -1, null]);
  });
});
