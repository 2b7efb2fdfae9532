import { describe, expect, it } from "vitest";
import {
  buildCurves,
  type Curve,
  fillGaps,
  isWhole,
  limScore,
  meanCurve,
  measure,
  seenCounts,
} from "../../../src/data/selection/curves.ts";
import { createRng } from "../../../src/lib/rng.ts";

const baseline = [0.2, 0.4, 0.6, 0.8];

describe("LIM score", () => {
  it.each([
    [[0.2, 0.4, 0.6, 0.8], 1],
    [[0.25, 0.5, 0.625, 0.75], 0.986979],
    [[0, 0.25, 0.75, 1], 0.895833],
    [[0.125, 0.125, 0.125, 0.125], 0.364583],
    [[1, 0.75, 0.5, 0.25], 0.104167],
    [[1, 1, 1, 1], 0],
    [[0, 0, 0, 0], 0],
  ])("of the curve %j is %d", (curve, expected) => {
    expect(limScore(curve, baseline)).toBeCloseTo(expected, 6);
  });

  it("on raw rewards: the same where no format error occurs, lower for the never-solved with format errors", () => {
    const raw = [-0.2, 0.1, 0.4, 0.7];
    expect(limScore([-0.5, -0.125, 0.625, 1], raw)).toBeCloseTo(0.895833, 6);
    expect(limScore([-0.5, -0.5, -0.5, -0.5], raw)).toBeCloseTo(0, 12);
    expect(limScore([-1, -1, -1, -1], raw)).toBeCloseTo(-1.481481, 6);
  });

  it("does not change under r -> c r + (1 - c), never exceeds 1, is 1 for the mean curve alone", () => {
    const rng = createRng(7);
    for (let trial = 0; trial < 50; trial++) {
      const draws = rng.fork(trial);
      const curves = Array.from({ length: 5 }, (_, i) =>
        Array.from({ length: 4 }, (_, k) => draws.uniform(4 * i + k)),
      );
      const average = meanCurve(curves);
      const c = 0.1 + 2 * draws.uniform(99);
      const scale = (curve: readonly number[]) => curve.map((r) => c * r + 1 - c);
      for (const curve of curves) {
        const score = limScore(curve, average);
        expect(score).toBeLessThan(1);
        expect(limScore(scale(curve), scale(average))).toBeCloseTo(score, 9);
      }
      expect(limScore(average, average)).toBe(1);
    }
  });

  it("is undefined when everything is always solved, and says so instead of NaN", () => {
    expect(() => limScore([1, 1], [1, 1])).toThrow("the mean curve is 1 in every epoch");
  });
});

describe("fill", () => {
  it.each<[Curve, Curve, boolean]>([
    [[null, 0.5, null, 0.6], [0.5, 0.5, 0.6, 0.6], true],
    [[0.5, null, null, 0.6], [0.5, null, 0.6, 0.6], false], // the back-fill trap: one place, one pass
    [[0.5, 0.6, 0.7, null], [0.5, 0.6, 0.7, null], false], // nothing comes after the last epoch
    [[null, null], [null, null], false],
  ])("of %j", (curve, filled, whole) => {
    expect(fillGaps(curve)).toEqual(filled);
    expect(isWhole(fillGaps(curve))).toBe(whole);
  });

  it("does not take a raw reward of -1 for a gap", () => {
    expect(fillGaps([-1, 0.5, -1])).toEqual([-1, 0.5, -1]);
    expect(isWhole([-1, 0.5, -1])).toBe(true);
  });
});

it("end to end: four prompts, worked by hand", () => {
  const curves = new Map<string, Curve>([
    ["p1", [0.25, null, 0.5]],
    ["p2", [0, 0, 0.5]],
    ["p3", [1, 1, 1]],
    ["p4", [0.5, 0.5, null]],
  ]);
  const { scores, average, invalid } = measure(curves);
  expect(invalid).toEqual(["p4"]);
  expect(average.map((a) => Number(a.toFixed(6)))).toEqual([0.416667, 0.5, 0.666667]);
  expect(scores.get("p1")).toBeCloseTo(0.920792, 6);
  expect(scores.get("p2")).toBeCloseTo(0.356436, 6);
  expect(scores.get("p3")).toBeCloseTo(0, 12);
  expect([...scores].filter(([, score]) => score >= 0.6).map(([id]) => id)).toEqual(["p1"]);
  expect(seenCounts(curves, 3)).toEqual([0, 0, 2, 2]);
});

it("nothing valid gives an empty result, not an error", () => {
  expect(measure(new Map([["q", [1, null]] as [string, Curve]]))).toEqual({
    scores: new Map(),
    average: [],
    invalid: ["q"],
  });
});

it("duplicated prompts merge within an epoch, weighted by their completions", () => {
  const value = (promptId: string, epoch: number, v: number, completions = 8) => ({
    promptId,
    epoch,
    value: v,
    completions,
  });
  const curves = buildCurves(
    [
      value("a", 0, 1),
      value("b", 1, 0.5),
      value("a", 0, 0),
      value("a", 1, 1, 8),
      value("a", 1, 0, 24),
      value("b", 2, 1),
    ],
    2,
  );
  expect([...curves]).toEqual([
    ["a", [0.5, 0.25]],
    ["b", [null, 0.5]],
  ]);
});
