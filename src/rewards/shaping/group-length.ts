import { z } from "zod";
import { mean, standardDeviation } from "../../lib/math.ts";
import type { Shapeable, Shaped, ShapingKind } from "./kind.ts";

/** AutoThink's stage 3: length against the group's own, right and wrong apart. */
const options = z.strictObject({
  kind: z.literal("group-length"),
  alpha: z.number().min(0).default(0.05).describe("how much short right completions gain and long ones lose"),
  beta: z.number().min(0).default(0.05).describe("how much long wrong completions gain and short ones lose"),
});

export type GroupLengthOptions = z.infer<typeof options>;

export const groupLengthKind: ShapingKind<typeof options> = {
  kind: "group-length",
  options,
  columns: ["shaping/length_mean"],
  shape: groupLength,
};

/**
 * AutoThink stage 3: within a group, right and wrong completions apart (both modes pooled), y = (L - mean) / std
 * with the sample std floored at 1e-6, and
 *   right: r += exp(-alpha y) - 1;   wrong: r += 1 - exp(-beta y).
 * A part of fewer than two completions is left as it is.
 */
export function groupLength(groups: readonly (readonly Shapeable[])[], options: GroupLengthOptions): Shaped {
  const changes: number[] = [];
  const rewards = groups.map((group) => {
    const shaped = group.map(({ reward }) => reward);
    for (const side of [true, false]) {
      const members = group.flatMap(({ correct }, i) => (correct === side ? [i] : []));
      if (members.length < 2) continue;
      const lengths = members.map((i) => group[i]!.tokens);
      const centre = mean(lengths);
      const scale = Math.max(1e-6, standardDeviation(lengths, 1));
      for (const [k, i] of members.entries()) {
        const y = (lengths[k]! - centre) / scale;
        const change = side ? Math.exp(-options.alpha * y) - 1 : 1 - Math.exp(-options.beta * y);
        shaped[i]! += change;
        changes.push(Math.abs(change));
      }
    }
    return shaped;
  });
  return { rewards, metrics: { "shaping/length_mean": mean(changes) } };
}
