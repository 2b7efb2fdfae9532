import { z } from "zod";
import type { RewardInput, RewardPartResult } from "../types.ts";
import { defineReward, type PartOptions } from "./define.ts";

const shape = {
  n: z.int().min(1).default(3).describe("words per n-gram; open-rs uses 3"),
  max_penalty: z
    .number()
    .max(0)
    .default(-1)
    .describe("value of a completion that is one n-gram over and over; the penalty is its share of repeats"),
};
export type RepetitionOptions = PartOptions<typeof shape>;

/** Numbers for pairs: equal pairs get the same, others another. */
function rank(
  pairs: readonly (readonly [number, number])[],
  base: number,
): { ranks: number[]; count: number } {
  const known = new Map<number, number>();
  const ranks = pairs.map(([a, b]) => {
    const key = a * base + b;
    const found = known.get(key) ?? known.size;
    known.set(key, found);
    return found;
  });
  return { ranks, count: known.size };
}

/**
 * How many different runs of n words there are, in words * log n: runs of 1, 2, 4, ... words are numbered, and a run of n is
 * told by the two of these that cover it.
 */
function distinctRuns(words: readonly string[], n: number): number {
  const ids = new Map<string, number>();
  let ranks = words.map((word) => {
    const id = ids.get(word) ?? ids.size;
    ids.set(word, id);
    return id;
  });
  let length = 1;
  while (2 * length <= n) {
    ranks = rank(
      ranks.slice(0, ranks.length - length).map((one, i) => [one, ranks[i + length]!]),
      words.length,
    ).ranks;
    length *= 2;
  }
  const starts = ranks.slice(0, words.length - n + 1);
  return rank(
    starts.map((one, i) => [one, ranks[i + n - length]!]),
    words.length,
  ).count;
}

/**
 * (1 - distinct / all n-grams of lower-cased words) * max_penalty; 0 for fewer than n words.
 * Demystifying Long CoT (arXiv:2502.03373), as Open-RS uses it.
 */
export function repetitionReward(input: RewardInput, options: RepetitionOptions): RewardPartResult {
  const words = input.completion.toLowerCase().split(/\s+/).filter(Boolean);
  const total = words.length - options.n + 1;
  if (total < 1) return { value: 0, status: "ok" };
  const share = 1 - distinctRuns(words, options.n) / total;
  return {
    value: share === 0 ? 0 : share * options.max_penalty,
    status: "ok",
    note: `${share.toFixed(3)} repeated`,
  };
}

export const repetition = defineReward({
  kind: "repetition",
  judges: false,
  options: shape,
  score: repetitionReward,
  cases: [
    { options: {}, input: { completion: "" }, expect: 0 },
    { options: {}, input: { completion: "one two" }, expect: 0 },
    { options: {}, input: { completion: "a b c d e" }, expect: 0 },
    { options: {}, input: { completion: "go Go go go go go" }, expect: -0.75 },
    { options: { n: 2, max_penalty: -2 }, input: { completion: "a b a b a" }, expect: -1 },
  ],
});
