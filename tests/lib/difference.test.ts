import { describe, expect, it } from "vitest";
import { createRng, type Rng } from "../../src/lib/rng.ts";
import {
  crossedDifference,
  holm,
  pairedBootstrap,
  studentQuantile,
  studentTail,
} from "../../src/lib/statistics.ts";

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

describe("pairedBootstrap", () => {
  /** Answers of two policies to prompts of unequal difficulty; the second is better by 0.05 on average. */
  const differences = (rng: Rng, prompts: number) =>
    Array.from({ length: prompts }, (_, i) => {
      const easy = rng.fork("prompt").uniform(i);
      const a = rng.fork("a").uniform(i) < easy + 0.1 * (1 - easy) ? 1 : 0;
      return a - (rng.fork("b").uniform(i) < easy ? 1 : 0);
    });

  it.each([40, 150])("covers the truth with %i prompts", (prompts) => {
    const share = coverage(0.05, (rng) => pairedBootstrap(differences(rng, prompts), rng.fork("draw"), 300));
    expect(share).toBeGreaterThan(0.93);
    expect(share).toBeLessThan(0.97);
  });

  it("agrees with the t interval, and finds what it calls detectable in about 80%", () => {
    const values = Array.from({ length: 200 }, (_, i) => createRng(1).normal(i) + 0.2);
    const { mean, low, high, standardError, p } = pairedBootstrap(values, createRng(2));
    const half = studentQuantile(0.975, 199) * standardError;
    expect(low).toBeCloseTo(mean - half, 2);
    expect(high).toBeCloseTo(mean + half, 2);
    expect(p).toBeCloseTo(studentTail(mean / standardError, 199), 2);

    const { detectable } = pairedBootstrap(
      Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? 1 : -1)),
      createRng(3),
    );
    let found = 0;
    for (let i = 0; i < 600; i++) {
      const rng = createRng(i);
      const noisy = Array.from({ length: 50 }, (_, j) => rng.normal(j) + detectable);
      if (pairedBootstrap(noisy, rng.fork("draw"), 200).low > 0) found++;
    }
    expect(found / 600).toBeGreaterThan(0.74);
    expect(found / 600).toBeLessThan(0.86);
  });
});

describe("crossedDifference", () => {
  /** Prompts differ in difficulty, in what suits a side, and seeds in luck. */
  const side = (rng: Rng, name: string, seeds: number, prompts: number, luck: number, taste: number) => {
    const [ofPrompt, ofSide] = [rng.fork("prompt"), rng.fork(name, "prompt")];
    const ease = Array.from(
      { length: prompts },
      (_, i) => 0.5 + taste * (1.5 * ofPrompt.normal(i) + ofSide.normal(i)),
    );
    return Array.from({ length: seeds }, (_, s) => {
      const draws = rng.fork(name, s);
      const fortune = luck * rng.fork(name, "luck").normal(s);
      return ease.map((easy, i) => (draws.uniform(i) < easy + fortune ? 1 : 0));
    });
  };

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
      const share = coverage(0, (rng) =>
        crossedDifference(
          side(rng, "a", seeds, prompts, luck, taste),
          side(rng, "b", seeds, prompts, luck, taste),
          paired,
        ),
      );
      expect(share).toBeGreaterThan(0.93);
      expect(share).toBeLessThan(0.97);
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
    );
    expect(mean).toBeCloseTo(2 / 6, 12);
    expect(() => crossedDifference([[1, 0]], [[0, 0]], true)).toThrow(RangeError);
  });
});

it("Holm's correction, by hand", () => {
  expect(holm([0.01, 0.04, 0.03])).toEqual([0.03, 0.06, 0.06]);
  expect(holm([0.9])).toEqual([0.9]);
  expect(holm([])).toEqual([]);
});
