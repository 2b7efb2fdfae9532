/** Small random batches: completions of several lengths whose ratios pass every loss's bounds. */
import { createRng, type Rng } from "../lib/rng.ts";

/** Numbers of scored tokens, one completion after the other. [K] each. */
export interface TokenNumbers {
  lengths: readonly number[];
  logprobs: number[];
  old: number[];
  reference: number[];
  advantages: number[];
  weights: number[];
  /** 1 for tokens that the loss selects. */
  selected: number[];
}

/** Where a completion's tokens begin and end. */
export function spans(lengths: readonly number[]): { from: number; to: number }[] {
  let to = 0;
  return lengths.map((length) => {
    const from = to;
    to += length;
    return { from, to };
  });
}

/** A value a completion as a value a token. */
export function perToken(lengths: readonly number[], values: readonly number[]): number[] {
  return lengths.flatMap((length, i) => Array<number>(length).fill(values[i]!));
}

export function randomLengths(rng: Rng, rows: number): number[] {
  return Array.from({ length: rows }, (_, i) => 1 + rng.fork("length").integer(7, i));
}

/** Rewards of groups, [P][G], a quarter of them equal within the group. */
export function randomRewards(seed: number, groups: number, size: number): number[][] {
  const rng = createRng(seed).fork("rewards");
  return Array.from({ length: groups }, (_, p) =>
    Array.from({ length: size }, (_, g) => (p % 4 === 3 ? 1 : rng.uniform(p * size + g))),
  );
}
