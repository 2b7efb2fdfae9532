/** What group advantages are made of, a row each: what is subtracted from a reward, and what divides the difference. */
import { mean, standardDeviation } from "../lib/math.ts";

export interface Baseline {
  /** For docs/config.md. */
  summary: string;
  /**
   * What is subtracted from the i-th reward of a group; null: nothing, and groups of one or of equal rewards learn.
   * @param lengths tokens of each completion of the group
   */
  of: ((group: readonly number[], i: number, lengths: readonly number[]) => number) | null;
}

export const baselines = {
  group_mean: { summary: "the group's mean (GRPO)", of: (group) => mean(group) },
  leave_one_out: {
    summary: "the mean of the group's others (RLOO, with scale none)",
    of: (group, i) => (mean(group) * group.length - group[i]!) / (group.length - 1),
  },
  length_weighted: {
    summary: "the group's mean with each reward weighted by its completion's tokens (OPO, with scale none)",
    of: (group, _, lengths) => sum(group.map((r, g) => r * lengths[g]!)) / sum(lengths),
  },
  none: { summary: "nothing", of: null },
} satisfies Record<string, Baseline>;

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

export interface Scale {
  summary: string;
  /** What divides each of a group's differences, before epsilon; null: nothing. @param ddof of a standard deviation */
  of: ((group: readonly number[], batch: readonly (readonly number[])[], ddof: 0 | 1) => number) | null;
}

export const scales = {
  group_std: {
    summary: "the group's standard deviation (GRPO)",
    of: (group, _, ddof) => standardDeviation(group, ddof),
  },
  batch_std: {
    summary: "the batch's, which keeps rewards' relative size between groups (REINFORCE++)",
    of: (_, batch, ddof) => standardDeviation(batch.flat(), ddof),
  },
  group_mean: {
    summary:
      "the group's mean reward, the share of successes where rewards are 1 and 0 (MaxRL); no reward may be below 0",
    of: (group) => mean(group),
  },
  none: { summary: "nothing (Dr. GRPO)", of: null },
} satisfies Record<string, Scale>;
