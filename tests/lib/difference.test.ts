import { describe, expect, it } from "vitest";
import { createRng, type Rng } from "../../src/lib/rng.ts";
import {
  crossedDifference,
  holm,
  pairedDifference,
  studentQuantile,
  studentTail,
  UNBOUNDED_PROMPTS,
} from "../../src/lib/statistics.ts";
import { crossedSides } from "../helpers/data-shapes.ts";

const SIMULATIONS = 2000;

/** Share of simulations whose interval holds the truth. */
function coverage(truth: number, draw: (rng: Rng) => { low: number; high: number }): number {
  let hits = 0;
  for (let i = 0; i < SIMULATIONS; i++) {
    const { low, high } = draw(createRng(i));
    if (low <= truth && truth <= high) hits++;
  }
  return hits / SIMULATIONS;
}

it("Student's t has the published quantiles", () => {
  // NIST handbook, table 1.3.6.7.2
  for (const [p, df, t] of [
    [0.975, 1, 12.706],
    [0.975, 2, 4.303],
    [0.975, 10, 2.228],
    [0.9, 5, 1.476],
    [0.99, 30, 2.457],
    [0.995, 100, 2.626],
  ] as const) {
    expect(studentQuantile(p, df)).toBeCloseTo(t, 3);
    expect(studentTail(t, df)).toBeCloseTo(2 * (1 - p), 3);
  }
});

describe("pairedDifference", () => {
  it("is Student's t with two prompts more at both ends of the range, by hand", () => {
    // mean 0.25, squares 2.75, two more prompts add 2 (1 + 0.0625): variance 4.875 / (4 * 5)
    const found = pairedDifference([1, 1, -1, 0], 1);
    expect(found.mean).toBe(0.25);
    expect(found.standardError).toBeCloseTo(Math.sqrt(4.875 / 20), 12);
    expect(found.high - found.mean).toBeCloseTo(3.1824 * Math.sqrt(4.875 / 20), 4);
  });

  it("says no more about prompts that all agree than how few they are", () => {
    const { low, high, p } = pairedDifference(
      Array.from({ length: 50 }, () => 0),
      1,
    );
    // the rule of three: what is rarer than 3 in 50 may have been missed
    expect(high).toBeCloseTo(0.056, 3);
    expect(low).toBe(-high);
    expect(p).toBe(1);
  });

  it("has a p-value below 0.05 exactly where its interval leaves 0 out", () => {
    for (let i = 0; i < 300; i++) {
      const rng = createRng(i);
      const values = Array.from({ length: 12 }, (_, j) => Math.round(3 * rng.uniform(j)) / 3 - 0.25);
      const { low, high, p } = pairedDifference(values, 1);
      expect(p < 0.05).toBe(low > 0 || high < 0);
    }
  });

  it("agrees with the t interval for many prompts, and finds what it calls detectable in about 80%", () => {
    const values = Array.from({ length: 2000 }, (_, i) => createRng(1).normal(i) + 0.05);
    const { mean, low, high, p } = pairedDifference(values, null);
    const error = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / 1999 / 2000);
    const half = studentQuantile(0.975, 1999) * error;
    expect(low).toBeCloseTo(mean - half, 2);
    expect(high).toBeCloseTo(mean + half, 2);
    expect(p).toBeCloseTo(studentTail(mean / error, 1999), 1);

    const noise = (i: number) => Array.from({ length: 200 }, (_, j) => createRng(i).normal(j));
    const told = Array.from({ length: 50 }, (_, i) => pairedDifference(noise(1000 + i), null).detectable);
    const detectable = told.reduce((sum, value) => sum + value, 0) / told.length;
    let found = 0;
    for (let i = 0; i < 600; i++)
      if (
        pairedDifference(
          noise(i).map((value) => value + detectable),
          null,
        ).low > 0
      )
        found++;
    expect(found / 600).toBeGreaterThan(0.74);
    expect(found / 600).toBeLessThan(0.88);
  });

  it("refuses what it cannot tell", () => {
    expect(() => pairedDifference([1], 1)).toThrow(/2 prompts or more/);
    const few = Array.from({ length: UNBOUNDED_PROMPTS - 1 }, (_, i) => i);
    expect(() => pairedDifference(few, null)).toThrow(/15 prompts or more, not 14/);
    expect(() => crossedDifference([few, few], [few, few], true, null)).toThrow(/15 prompts or more/);
  });
});

describe("crossedDifference", () => {
  it.each([
    [3, 60, 0.05, 0.15, true],
    [3, 60, 0.05, 0.15, false],
    [5, 60, 0.1, 0.1, true],
    // seeds bring nothing of their own, or most of it
    [3, 60, 0, 0.15, true],
    [5, 60, 0.2, 0.15, true],
  ] as const)(
    "covers the truth: %i seeds, %i prompts, luck %f, taste %f, paired %s",
    (seeds, prompts, luck, taste, paired) => {
      const share = coverage(0, (rng) => {
        const [a, b] = crossedSides(rng, seeds, prompts, luck, taste);
        return crossedDifference(a, b, paired, "none");
      });
      expect(share).toBeGreaterThan(0.93);
      // wider than it must be where seeds add nothing of their own, for three seeds cannot tell (decision 0021)
      expect(share).toBeLessThan(0.985);
    },
  );

  it("is the mean difference, and needs two seeds a side", () => {
    const { mean } = crossedDifference(
      [
        [1, 0, 1],
        [1, 1, 1],
      ],
      [
        [0, 0, 1],
        [1, 0, 1],
      ],
      true,
      1,
    );
    expect(mean).toBeCloseTo(2 / 6, 12);
    expect(() => crossedDifference([[1, 0]], [[0, 0]], true, 1)).toThrow(RangeError);
  });
});

it("Holm's correction, by hand", () => {
  expect(holm([0.01, 0.04, 0.03])).toEqual([0.03, 0.06, 0.06]);
  expect(holm([0.9])).toEqual([0.9]);
  expect(holm([])).toEqual([]);
});
