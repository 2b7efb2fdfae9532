import type { Rng } from "../lib/rng.ts";
import type { Prompt, PromptSource } from "../types.ts";

/** Which prompts a step reads: a function of the step alone, so that a resumed run draws the same. */
export interface PromptOrder {
  /** Draws `count` prompts, the first of which is number `start` since the stage began. */
  draw(start: number, count: number): Prompt[];
  /** How often prompt number `position` of the stage was drawn before; 0 for endless sources. */
  epoch(position: number): number;
}

/** Every epoch is a permutation of its own; an endless source is read in its own order. */
export function shuffledOrder(source: PromptSource, rng: Rng): PromptOrder {
  const { size } = source;
  const permutations = new Map<number, number[]>();
  const indexAt = (position: number): number => {
    if (size === null) return position;
    const epoch = Math.floor(position / size);
    let order = permutations.get(epoch);
    if (order === undefined) {
      order = rng.fork("order", epoch).permutation(size);
      permutations.clear(); // steps go forward: only the newest epoch is needed again
      permutations.set(epoch, order);
    }
    return order[position % size]!;
  };
  return {
    draw: (start, count) => Array.from({ length: count }, (_, i) => source.at(indexAt(start + i))),
    epoch: (position) => (size === null ? 0 : Math.floor(position / size)),
  };
}
