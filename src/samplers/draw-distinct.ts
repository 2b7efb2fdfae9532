/** Prompts of one step by a ranking of the pool, none twice in the step. */
import { ConfigError } from "../lib/errors.ts";
import type { Cells, PromptSource } from "../types.ts";
import type { DrawnPrompt } from "./sampler.ts";

/**
 * @param rank indices of the prompts that a step may draw, the first to be drawn first; a function of the step and of saved
 *   state alone
 */
export function drawDistinct(
  source: PromptSource,
  size: number,
  cells: Cells,
  rank: (step: number) => number[],
) {
  const drawn = cells.cell("sampler/drawn", 0);
  let present: { step: number; order: number[]; next: number } | null = null;
  return {
    draw(step: number, count: number): DrawnPrompt[] {
      if (present?.step !== step) present = { step, order: rank(step), next: 0 };
      const { order, next } = present;
      if (next + count > order.length) {
        throw new ConfigError(
          `${source.name}: step ${step + 1} asks for ${next + count} different prompts, and its sampler has ${order.length}: ` +
            "lower rollout.prompts_per_step, or give it more prompts",
        );
      }
      present.next += count;
      const epoch = Math.floor(drawn.value / size);
      drawn.value += count;
      return order.slice(next, next + count).map((index) => ({ prompt: source.at(index), epoch }));
    },
    get drawn() {
      return drawn.value;
    },
  };
}

/** @throws ConfigError for a source without an end */
export function sizeOf(source: PromptSource, kind: string): number {
  if (source.size !== null) return source.size;
  throw new ConfigError(
    `sampler.kind ${kind} chooses among all prompts, and data.train (${source.name}) has no end: give it a size`,
  );
}
