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

/**
 * (1 - distinct / all n-grams of lower-cased words) * max_penalty; 0 for fewer than n words.
 * Demystifying Long CoT (arXiv:2502.03373), as Open-RS uses it.
 */
export function repetitionReward(input: RewardInput, options: RepetitionOptions): RewardPartResult {
  const words = input.completion.toLowerCase().split(/\s+/).filter(Boolean);
  const total = words.length - options.n + 1;
  if (total < 1) return { value: 0, status: "ok" };
  const seen = new Set<string>();
  for (let i = 0; i < total; i++) seen.add(words.slice(i, i + options.n).join(" "));
  const share = 1 - seen.size / total;
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
