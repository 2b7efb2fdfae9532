import { z } from "zod";

/** The laboratory's task: a left-to-right calculator, every intermediate result mod 10. */
export const chainOptions = z.strictObject({
  kind: z.literal("chain"),
  levels: z
    .array(z.int().min(1).max(12))
    .min(1)
    .default([1, 2, 3, 4, 5])
    .describe("number of operators of a problem; the base models know 1 to 5"),
  level_weights: z
    .array(z.number().min(0))
    .min(1)
    .optional()
    .describe("relative frequency of each entry of levels; equal when absent"),
  prompt: z
    .enum(["plain", "ellipsis", "mixed"])
    .default("plain")
    .describe(
      "plain opens <think>; ellipsis adds '...' and leaves the decision to the policy; mixed draws by plain_share",
    ),
  plain_share: z.number().min(0).max(1).default(0.5).describe("share of plain prompts when prompt is mixed"),
  size: z
    .int()
    .min(1)
    .optional()
    .describe("number of problems; endless when absent (training) or 500 (evaluation)"),
  seed: z
    .int()
    .min(0)
    .default(0)
    .describe("which problems; not changed by the run's seed, so that evaluation sets are equal"),
  traces: z
    .strictObject({
      careful: z
        .number()
        .min(0)
        .max(1)
        .default(0.15)
        .describe("probability that a trace does one operator a line"),
      skip: z
        .number()
        .min(0)
        .max(1)
        .default(0.8)
        .describe("probability that a line of a careless trace does two operators"),
      think_rate: z
        .number()
        .min(0)
        .max(1)
        .default(0.5)
        .describe("probability that the target of an ellipsis prompt thinks"),
      repeat_last: z
        .array(z.number().min(0).max(1))
        .default([])
        .describe("probabilities that the last line is written once more, then once more again"),
    })
    .prefault({})
    .describe("how supervised targets are written; unused by reinforcement learning"),
});
export type ChainOptions = z.infer<typeof chainOptions>;
