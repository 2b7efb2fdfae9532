/** From scores to a subset: threshold, share or count; a random one of equal size; what to look at before trusting it. */
import { createRng } from "../../lib/rng.ts";

export type SelectionRule =
  /** score >= threshold; LIMR's code has `>=`, its paper `>`. */
  | { kind: "threshold"; threshold: number }
  /** This share of the pool, the best scores; 0 < share <= 1. */
  | { kind: "top"; share: number }
  /** This many, the best scores. */
  | { kind: "count"; count: number };

/**
 * Python's round(x, digits): ties, which only binary fractions can have, go to the even digit. LIMR's release
 * was selected on scores of two decimals.
 */
export function roundTo(x: number, digits: number): number {
  const power = 10 ** digits;
  const isTie = Number.isInteger(x * 2 ** (digits + 1)) && Math.abs((x * power) % 1) === 0.5;
  if (!isTie) return Number(x.toFixed(digits));
  const below = Math.floor(x * power);
  return (below % 2 === 0 ? below : below + 1) / power;
}

/** Size of a share of a pool, rounded to the nearest. */
export function shareSize(share: number, pool: number): number {
  return Math.min(pool, Math.max(1, Math.round(share * pool)));
}

/**
 * Which entries of a pool the rule takes. Among equal scores at the edge of a share or count the earlier ones win.
 * @param scores per entry of the pool, in its order; null without a score, never selected
 * @returns one flag per entry
 */
export function selectByScore(scores: readonly (number | null)[], rule: SelectionRule): boolean[] {
  if (rule.kind === "threshold") return scores.map((score) => score !== null && score >= rule.threshold);
  const size = rule.kind === "top" ? shareSize(rule.share, scores.length) : rule.count;
  const best = scores
    .map((score, index) => ({ score, index }))
    .filter((entry): entry is { score: number; index: number } => entry.score !== null)
    .sort((a, b) => b.score - a.score || a.index - b.index)
    .slice(0, size);
  return flags(
    scores.length,
    best.map(({ index }) => index),
  );
}

/** A uniform draw without replacement: the baseline of equal size. @param draw which of several draws, any integer */
export function selectAtRandom(pool: number, size: number, draw: number): boolean[] {
  const order = createRng(draw).fork("select-data", "random").permutation(pool);
  return flags(pool, order.slice(0, size));
}

function flags(length: number, indices: readonly number[]): boolean[] {
  const taken = new Set(indices);
  return Array.from({ length }, (_, index) => taken.has(index));
}

export interface Bin {
  /** Inclusive. */
  low: number;
  /** Exclusive. */
  high: number;
  count: number;
}

/** Bins of equal width that are multiples of it, from the lowest score's to the highest's. Empty without scores. */
export function scoreHistogram(scores: readonly number[], width: number): Bin[] {
  if (scores.length === 0) return [];
  // 0.3 / 0.1 is 2.9999: a score at a bin's lower edge belongs into it
  const index = (score: number) => Math.floor(score / width + 1e-9);
  const at = scores.map(index);
  const first = at.reduce((a, b) => Math.min(a, b));
  const last = at.reduce((a, b) => Math.max(a, b));
  const counts = Array.from({ length: last - first + 1 }, () => 0);
  for (const i of at) counts[i - first]!++;
  const edge = (i: number) => Number((i * width).toFixed(6));
  return counts.map((count, i) => ({ low: edge(first + i), high: edge(first + i + 1), count }));
}

/** Sizes at thresholds around one, for it may stand on a dense part of the histogram. */
export function sizesAround(
  scores: readonly (number | null)[],
  threshold: number,
): { threshold: number; size: number }[] {
  return [-0.01, 0, 0.01].map((offset) => {
    const at = offset === 0 ? threshold : Number((threshold + offset).toFixed(6));
    return { threshold: at, size: scores.filter((score) => score !== null && score >= at).length };
  });
}
