import { z } from "zod";
import type { RewardInput, RewardPartResult } from "../types.ts";
import { defineReward, type PartOptions } from "./define.ts";

const shape = {
  max_n: z
    .int()
    .min(1)
    .max(8)
    .default(4)
    .describe("longest n-gram; 4 is BLEU. Lower it for short completions"),
  smoothing: z
    .enum(["none", "exp", "floor", "add-k"])
    .default("floor")
    .describe(
      "where no n-gram matches: none and exp put 1e-12 in the place of 0, so that one empty n makes the value nearly 0 (the code's default is exp); floor epsilon; add-k adds k to both counts of every n. floor, since completions are often short",
    ),
  epsilon: z.number().gt(0).max(1).default(0.1).describe("matches that count where there are none, of floor"),
  k: z.number().gt(0).default(1).describe("what add-k adds"),
};
export type TokenBleuOptions = PartOptions<typeof shape>;
type Bleu = Pick<TokenBleuOptions, "max_n" | "smoothing" | "epsilon" | "k">;

const TINY = 1e-12;

/** How often each run of n ids occurs. */
function counts(ids: ArrayLike<number>, n: number): Map<string, number> {
  const all = Array.from(ids);
  const found = new Map<string, number>();
  for (let at = 0; at + n <= all.length; at++) {
    const gram = all.slice(at, at + n).join();
    found.set(gram, (found.get(gram) ?? 0) + 1);
  }
  return found;
}

/** The candidate's n-grams that a reference has too, each at most as often as there, and all of them. */
function matches(candidate: ArrayLike<number>, references: readonly ArrayLike<number>[], n: number) {
  const known = references.map((reference) => counts(reference, n));
  let matched = 0;
  for (const [gram, count] of counts(candidate, n)) {
    matched += Math.min(count, Math.max(...known.map((one) => one.get(gram) ?? 0)));
  }
  return { matched, all: Math.max(0, candidate.length - n + 1) };
}

function precision({ matched, all }: { matched: number; all: number }, { smoothing, epsilon, k }: Bleu) {
  switch (smoothing) {
    case "none":
      return all === 0 ? 0 : matched / all;
    case "exp":
      return matched === 0 ? TINY : matched / all;
    case "floor":
      return (matched === 0 ? epsilon : matched) / Math.max(1, all);
    case "add-k":
      return (matched + k) / (all + k);
  }
}

/**
 * BLEU of one sequence of ids, TensorBLEU (arXiv:2510.05485; code rxlm, tensorbleu.py): BP exp(mean_n ln(p_n + 1e-12)), p_n the
 * clipped n-gram precision, BP = 1 where the candidate is as long as the reference nearest in length, else exp(1 - r / c).
 * @param pad id that is no token, left out of all
 */
export function tokenBleu(
  candidate: ArrayLike<number>,
  references: readonly ArrayLike<number>[],
  options: Bleu,
  pad: number | null = null,
): number {
  const bare = (ids: ArrayLike<number>) => Array.from(ids).filter((id) => id !== pad);
  const own = bare(candidate);
  const others = references.map(bare);
  if (own.length === 0) return 0;
  const distance = ({ length }: ArrayLike<number>) => Math.abs(length - own.length);
  const nearest = others.reduce((best, one) => (distance(one) < distance(best) ? one : best));
  const brevity = own.length >= nearest.length ? 1 : Math.exp(1 - nearest.length / own.length);
  let logs = 0;
  for (let n = 1; n <= options.max_n; n++) {
    logs += Math.log(precision(matches(own, others, n), options) + TINY) / options.max_n;
  }
  return brevity * Math.exp(logs);
}

/** BLEU of the completion's tokens against those of the row's target, or of its answer where it has no target. */
export function tokenBleuReward({ ids }: RewardInput, options: TokenBleuOptions): RewardPartResult {
  if (ids === undefined) return failed("a text that was not sampled has no tokens");
  if (ids.reference === null) return failed("the tokenizer cannot write the row's target or answer");
  if (ids.reference.length === 0) return failed("the row has neither a target nor an answer");
  return { value: tokenBleu(ids.completion, [ids.reference], options), status: "ok" };
}

const failed = (note: string): RewardPartResult => ({ value: 0, status: "error", note });

const near = { completion: [5, 6, 7, 8], reference: [5, 6, 7, 9] };
export const tokenBleuKind = defineReward({
  kind: "token-bleu",
  judges: false,
  options: shape,
  score: tokenBleuReward,
  // worked by hand: 3/4, 2/3, 1/2 and 0/1 match
  cases: [
    { options: {}, input: { ids: { completion: [5, 6, 7, 8, 9], reference: [5, 6, 7, 8, 9] } }, expect: 1 },
    { options: { smoothing: "none" }, input: { ids: near }, expect: 0.000707107 },
    { options: { smoothing: "exp" }, input: { ids: near }, expect: 0.000840896 },
    { options: {}, input: { ids: near }, expect: 0.397635 },
    { options: { smoothing: "add-k" }, input: { ids: near }, expect: 0.66874 },
    { options: {}, input: { ids: { completion: [], reference: [5] } }, expect: 0 },
    { options: {}, input: { ids: { completion: [5], reference: [] } }, expect: 0, status: "error" },
    { options: {}, input: { ids: { completion: [5], reference: null } }, expect: 0, status: "error" },
    { options: {}, input: { completion: "5 6" }, expect: 0, status: "error" },
  ],
});
