/** Pools of the laboratory for data selection: exact shares of kinds, mixed. */
import type { Rng } from "../lib/rng.ts";
import type { ChainOptions } from "./chain-options.ts";

export type PoolShares = NonNullable<ChainOptions["pool"]>;
export type PoolKind = keyof PoolShares;

/** Levels of each kind, in turn. */
const LEVELS: Record<PoolKind, readonly number[]> = {
  easy: [1],
  learnable: [3, 4, 5],
  mislabelled: [3, 4, 5],
  too_hard: [8, 9, 10],
};

export interface PoolEntry {
  kind: PoolKind;
  level: number;
}

/** Whole counts that add up to `size`: shares rounded down, the rest to the largest remainders. */
export function poolCounts(shares: PoolShares, size: number): Record<PoolKind, number> {
  const kinds = Object.keys(LEVELS) as PoolKind[];
  const exact = kinds.map((kind) => shares[kind] * size);
  const counts = exact.map((value) => Math.floor(value + 1e-9));
  const byRemainder = kinds
    .map((_, i) => i)
    .sort((a, b) => exact[b]! - counts[b]! - (exact[a]! - counts[a]!));
  const missing = size - counts.reduce((sum, count) => sum + count, 0);
  for (const i of byRemainder.slice(0, missing)) counts[i]!++;
  return Object.fromEntries(kinds.map((kind, i) => [kind, counts[i]!])) as Record<PoolKind, number>;
}

/** Kind and level of each of `size` problems, in an order that mixes the kinds. */
export function layPool(shares: PoolShares, size: number, rng: Rng): PoolEntry[] {
  const counts = poolCounts(shares, size);
  const entries = (Object.keys(counts) as PoolKind[]).flatMap((kind) =>
    Array.from({ length: counts[kind] }, (_, i) => ({ kind, level: LEVELS[kind][i % LEVELS[kind].length]! })),
  );
  return rng.permutation(size).map((i) => entries[i]!);
}

/** Another digit than the right one. */
export function wrongAnswer(answer: number, rng: Rng): number {
  return (answer + 1 + rng.integer(9, 0)) % 10;
}
