import { z } from "zod";

const share = (what: string) =>
  z.number().min(0).max(1).default(0).describe(`share of ${what}; none when absent`);

/** Kinds of problems that data selection should tell apart. */
export const chainPoolOptions = z
  .strictObject({
    easy: share("problems of level 1, which the base models always solve"),
    learnable: share("problems of levels 3 to 5, which training improves"),
    mislabelled: share("problems of levels 3 to 5 whose answer is wrong"),
    too_hard: share("problems of levels 8 to 10, beyond what the base models or the token limit reach"),
  })
  .refine((shares) => Math.abs(Object.values(shares).reduce((sum, one) => sum + one, 0) - 1) < 1e-9, {
    message: "the shares must add up to 1",
  });

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
    .enum(["plain", "ellipsis", "mixed", "direct"])
    .default("plain")
    .describe(
      "plain opens <think>; ellipsis adds '...' and leaves the decision to the policy; mixed draws by plain_share; direct closes the block as well, so that only an answer is left",
    ),
  plain_share: z.number().min(0).max(1).default(0.5).describe("share of plain prompts when prompt is mixed"),
  need: z
    .array(z.number().min(0).max(1))
    .min(1)
    .optional()
    .describe(
      "probability that a problem of level 1, 2, ... (the last one also beyond) is labelled as needing thought: column and slice needs_thinking. No labels when absent",
    ),
  size: z
    .int()
    .min(1)
    .optional()
    .describe("number of problems; endless when absent (training) or 500 (evaluation)"),
  pool: chainPoolOptions
    .optional()
    .describe(
      "a pool of problems of several kinds, in exact shares of size; takes the place of levels. Column and slice kind",
    ),
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
      think_by_label: z
        .boolean()
        .default(false)
        .describe(
          "the target of an ellipsis prompt thinks when need's label says so, instead of by think_rate",
        ),
      repeat_last: z
        .array(z.number().min(0).max(1))
        .default([])
        .describe("probabilities that the last line is written once more, then once more again"),
    })
    .prefault({})
    .describe("how supervised targets are written; unused by reinforcement learning"),
});
export type ChainOptions = z.infer<typeof chainOptions>;
