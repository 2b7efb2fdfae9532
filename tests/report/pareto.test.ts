import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decisionQuality } from "../../src/lib/classification.ts";
import { dominated, hypervolume } from "../../src/report/pareto.ts";

/** AdaCoT, table 1: trigger % and mean score over 15 benchmarks. */
const paper = {
  "No-CoT SFT": [0, 43.6],
  "No-CoT RL": [0, 47.7],
  "Full-CoT SFT": [100, 58.5],
  "Full-CoT RL": [100, 65.0],
  "AdaCoT SFT": [61.3, 57.1],
  Exp1: [43.1, 59.7],
  Exp2: [53.3, 62.8],
  Exp3: [65.4, 64.3],
  Exp4: [67.7, 64.4],
} as const;

const points = Object.values(paper).map(([trigger, score]) => ({
  trigger: trigger / 100,
  score: score / 100,
}));

describe("the Pareto front", () => {
  it("of the paper's nine points, vector 9 of the card", () => {
    const lost = dominated(points);
    const front = Object.keys(paper).filter((_, i) => !lost[i]);
    expect(front.sort()).toEqual(["Exp1", "Exp2", "Exp3", "Exp4", "Full-CoT RL", "No-CoT RL"]);
  });

  it("keeps equal points, and drops one that is no better in anything", () => {
    const a = { trigger: 0.5, score: 0.8 };
    expect(dominated([a, { ...a }, { trigger: 0.5, score: 0.7 }, { trigger: 0.6, score: 0.8 }])).toEqual([
      false,
      false,
      true,
      true,
    ]);
  });

  it("bounds an area that can be computed by hand", () => {
    expect(hypervolume([{ trigger: 0.25, score: 0.5 }])).toBeCloseTo(0.375, 12);
    const two = [
      { trigger: 0.8, score: 0.9 },
      { trigger: 0.2, score: 0.5 },
    ];
    expect(hypervolume(two)).toBeCloseTo(0.5 * 0.8 + 0.4 * 0.2, 12);
    expect(hypervolume([...two, { trigger: 0.9, score: 0.4 }])).toBeCloseTo(0.48, 12);
    expect(hypervolume([])).toBe(0);
  });

  it("does not depend on order, and never shrinks by a point more", () => {
    const point = fc.record({
      trigger: fc.double({ min: 0, max: 1, noNaN: true }),
      score: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.array(point, { minLength: 1, maxLength: 8 }), point, (all, more) => {
        expect(hypervolume([...all].reverse())).toBeCloseTo(hypervolume(all), 12);
        expect(hypervolume([...all, more])).toBeGreaterThanOrEqual(hypervolume(all) - 1e-12);
        expect(dominated(all)).toContain(false);
      }),
    );
  });
});

describe("trigger quality, vector 8 of the card", () => {
  it("RL-Math without selective loss masking", () => {
    const quality = decisionQuality({
      truePositive: 500,
      falsePositive: 494,
      falseNegative: 0,
      trueNegative: 6,
    });
    expect(quality.accuracy).toBeCloseTo(0.506, 3);
    expect(quality.precision).toBeCloseTo(0.503, 3);
    expect(quality.recall).toBe(1);
    expect(quality.f1).toBeCloseTo(0.669, 3);
  });

  it("AdaCoT SFT", () => {
    const quality = decisionQuality({
      truePositive: 308,
      falsePositive: 13,
      falseNegative: 192,
      trueNegative: 487,
    });
    expect(quality.accuracy).toBeCloseTo(0.795, 3);
    expect(quality.precision).toBeCloseTo(0.9595, 4);
    expect(quality.recall).toBeCloseTo(0.616, 3);
    expect(quality.f1).toBeCloseTo(0.7503, 4);
  });

  it("says 0, not NaN, where nothing was decided", () => {
    const none = { truePositive: 0, falsePositive: 0, falseNegative: 0, trueNegative: 0 };
    expect(decisionQuality(none)).toEqual({ accuracy: 0, precision: 0, recall: 0, f1: 0 });
  });
});
