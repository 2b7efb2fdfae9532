import { z } from "zod";
import { mean } from "../../lib/math.ts";
import type { ShapingKind } from "./kind.ts";

const options = z.strictObject({
  kind: z.literal("overlong"),
  max_tokens: z.int().min(1).describe("length of the full penalty; the token limit of a completion, say"),
  buffer: z
    .int()
    .min(1)
    .describe(
      "the last so many tokens before it, over which the penalty grows from 0; DAPO's script: 4096 of 20480",
    ),
  factor: z.number().min(0).default(1).describe("size of the full penalty; DAPO's script: 1"),
});

/**
 * DAPO's soft overlong punishment (arXiv:2503.14476, eq. 13): r <- r + min(-f (L - (L_max - B)) / B, 0).
 * A shaping and no reward part, so that dynamic sampling looks at accuracy alone: differences in length would keep groups
 * alive that are all right or all wrong.
 */
export const overlong: ShapingKind<typeof options> = {
  kind: "overlong",
  options,
  columns: ["shaping/overlong"],
  shape(groups, { max_tokens, buffer, factor }) {
    const penalty = (tokens: number) => Math.max(0, (factor * (tokens - (max_tokens - buffer))) / buffer);
    return {
      rewards: groups.map((group) => group.map(({ reward, tokens }) => reward - penalty(tokens))),
      metrics: { "shaping/overlong": mean(groups.flat().map(({ tokens }) => (penalty(tokens) > 0 ? 1 : 0))) },
    };
  },
};
