import type { RewardInput, RewardPartResult } from "../types.ts";
import type { GoldenCase } from "./cases.ts";
import type { RepetitionOptions } from "./form-options.ts";

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

export const repetitionCases: readonly GoldenCase[] = [
  { options: {}, input: { completion: "" }, expect: 0 },
  { options: {}, input: { completion: "one two" }, expect: 0 },
  { options: {}, input: { completion: "a b c d e" }, expect: 0 },
  { options: {}, input: { completion: "go Go go go go go" }, expect: -0.75 },
  { options: { n: 2, max_penalty: -2 }, input: { completion: "a b a b a" }, expect: -1 },
];
