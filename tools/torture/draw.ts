/** Draws one after another from a counter-based generator, for cases that draw as often as they like. */
import type { Rng } from "../../src/lib/rng.ts";

export interface Draw {
  /** Whole number in [0, bound). */
  below(bound: number): number;
  /** True with this chance. */
  chance(share: number): boolean;
  one<T>(list: readonly T[]): T;
}

export function drawFrom(rng: Rng): Draw {
  let count = 0;
  const below = (bound: number): number => rng.integer(bound, count++);
  return {
    below,
    chance: (share) => below(1_000_000) < share * 1_000_000,
    one: (list) => list[below(list.length)]!,
  };
}
