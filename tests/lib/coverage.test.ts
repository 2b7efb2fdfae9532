/** What the intervals promise, counted: 95% that hold the truth in 93% or more, and 5% false positives in 6% at most. */
import { describe, expect, it } from "vitest";
import { createRng } from "../../src/lib/rng.ts";
import {
  crossedDifference,
  pairedDifference,
  shareInterval,
  UNBOUNDED_PROMPTS,
} from "../../src/lib/statistics.ts";
import { crossedSides, pairedShapes, shareShapes } from "../helpers/data-shapes.ts";

const SIZES = [5, 7, 10, 15, 20, 50];
const LEAST_COVERAGE = 0.93;
const MOST_FALSE = 0.06;

const holds = ({ low, high }: { low: number; high: number }, truth: number): boolean =>
  low <= truth + 1e-9 && truth - 1e-9 <= high;

/** Share of simulations that come true. */
function rate(simulations: number, test: (i: number) => boolean): number {
  let count = 0;
  for (let i = 0; i < simulations; i++) count += Number(test(i));
  return count / simulations;
}

describe.each(pairedShapes)("a difference by prompt: $name", ({ name, bound, difference, draw }) => {
  it.each(SIZES.filter((n) => bound !== null || n >= UNBOUNDED_PROMPTS))("%i prompts", (n) => {
    const of = (i: number, equal: boolean) =>
      pairedDifference(draw(createRng(i).fork(name, n, String(equal)), n, equal), bound);
    expect(rate(1000, (i) => holds(of(i, false), difference))).toBeGreaterThanOrEqual(LEAST_COVERAGE);
    expect(rate(1000, (i) => of(i, true).p < 0.05)).toBeLessThanOrEqual(MOST_FALSE);
  });
});

describe.each(shareShapes)("a share: $name", ({ name, mean, draw }) => {
  it.each([5, 10, 20, 50])("%i prompts", (n) => {
    const covered = rate(1000, (i) => {
      const rng = createRng(i).fork(name, n);
      return holds(shareInterval(draw(rng, n), rng.fork("interval"), 200), mean);
    });
    expect(covered).toBeGreaterThanOrEqual(LEAST_COVERAGE);
  });
});

describe("a difference by prompt and seed", () => {
  it.each([
    // seeds, prompts, luck, taste, paired
    [2, 5, 0.05, 0.15, true],
    [3, 5, 0.05, 0.15, true],
    [3, 10, 0.05, 0.15, false],
    [3, 10, 0, 0.05, true],
    [5, 10, 0.1, 0.15, true],
    [3, 20, 0.05, 0.15, true],
    [3, 20, 0, 0.3, false],
    [5, 50, 0.1, 0.15, true],
    [3, 50, 0.05, 0.3, true],
  ] as const)("%i seeds, %i prompts, luck %f, taste %f, paired %s", (seeds, prompts, luck, taste, paired) => {
    const of = (i: number) => {
      const [a, b] = crossedSides(createRng(i).fork("crossed", prompts), seeds, prompts, luck, taste);
      return crossedDifference(a, b, paired, 1);
    };
    const all = Array.from({ length: 1000 }, (_, i) => of(i));
    expect(rate(all.length, (i) => holds(all[i]!, 0))).toBeGreaterThanOrEqual(LEAST_COVERAGE);
    expect(rate(all.length, (i) => all[i]!.p < 0.05)).toBeLessThanOrEqual(MOST_FALSE);
  });
});
