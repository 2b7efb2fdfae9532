/** Group-sequential reproductions: after how many seeds one looks, and which error each look may spend. Numbers alone. */
import { studentQuantile } from "../lib/statistics.ts";

/** One-sided chance of a false verdict of one condition over all looks: that of a 95% interval beyond the margin. */
export const LEVEL = 0.025;

/** What is fixed before the first seed. */
export interface SequentialDesign {
  /** Seeds after which a verdict is asked for, rising; the last one is the bound. */
  looks: readonly number[];
  /** One-sided level of each look; they add up to LEVEL. */
  levels: readonly number[];
  /**
   * Standard deviations (of a condition's paired differences between seeds) by which the truth has to lie beyond the margin
   * to be found in 80% of the cases when the bound is reached. Looks before it find some of them sooner.
   */
  detectable: number;
}

/**
 * Error is spent in proportion to the seeds seen: look j has the level LEVEL (n_j - n_{j-1}) / n_J (spending function alpha t of
 * Kim and DeMets, Biometrika 74 (1987)). A look tests at what it spends, so by Bonferroni's inequality all of them together
 * err in LEVEL of the cases at most, whatever their dependence; degrees of freedom that change from look to look have no
 * joint distribution that would give more. One look is the fixed design.
 * @param looks numbers of seeds, rising
 */
export function sequentialDesign(looks: readonly number[]): SequentialDesign {
  const bound = looks.at(-1)!;
  const levels = looks.map((seeds, j) => (LEVEL * (seeds - (looks[j - 1] ?? 0))) / bound);
  const df = bound - 1;
  return {
    looks,
    levels,
    detectable:
      df < 1
        ? Number.POSITIVE_INFINITY
        : (studentQuantile(1 - levels.at(-1)!, df) + studentQuantile(0.8, df)) / Math.sqrt(bound),
  };
}
