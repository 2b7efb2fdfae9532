/** Which completions of a group take part: numbers in, numbers out. */
import { z } from "zod";
import { choiceOf } from "../lib/choices.ts";

interface Order {
  summary: string;
  /** Low ones are kept. */
  key(reward: number, tokens: number): number;
}

const orders = {
  length: { summary: "the shortest", key: (_, tokens) => tokens },
  efficiency: { summary: "those of the most reward per token", key: (reward, tokens) => -reward / tokens },
} satisfies Record<string, Order>;

const by = choiceOf(orders, "which completions of a group are kept");

export const filterOptions = z.strictObject({
  keep: z
    .int()
    .min(1)
    .describe("completions of each group that are learned from, of rollout.group_size sampled"),
  by: by.schema.default("length").describe(by.description),
});
export type FilterOptions = z.infer<typeof filterOptions>;

/**
 * GFPO (arXiv:2508.09726): of a large group the k best by length or by reward per token; baseline, scale and loss know only
 * these. Of equals the first are kept.
 * @param rewards of the group, [G]
 * @param tokens of each completion, [G]
 * @returns whether each is kept, [G]
 */
export function keptOfGroup(
  rewards: readonly number[],
  tokens: readonly number[],
  { keep, by }: FilterOptions,
): boolean[] {
  const keys = rewards.map((reward, g) => orders[by].key(reward, tokens[g]!));
  const order = [...keys.keys()].sort((a, b) => keys[a]! - keys[b]! || a - b);
  const kept = new Set(order.slice(0, keep));
  return keys.map((_, g) => kept.has(g));
}
