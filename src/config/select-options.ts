import { z } from "zod";

/** A letter first: arms, experiments and claims name folders. */
export const folderName = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_-]{0,39}$/, "use a letter, then letters, digits, dash and underscore");

/** Which problems of a recorded run another one trains on; the flags of `rlpt select-data`. */
export const selectOptions = z
  .strictObject({
    from: folderName.describe("arm whose recorded rewards are scored; it has one draw"),
    threshold: z.number().max(1).optional().describe("scores of at least this"),
    top: z.number().gt(0).max(1).optional().describe("this share of the pool, the best scores"),
    count: z.int().min(1).optional().describe("this many, the best scores"),
    random: z
      .boolean()
      .default(false)
      .describe("a uniform subset of that size instead, another for each draw and seed"),
    round: z.int().min(0).optional().describe("decimals that scores are rounded to; none when absent"),
    signal: z.enum(["reward", "accuracy"]).default("reward").describe("what curves are made of"),
    epochs: z.int().min(1).optional().describe("the first epochs only; all when absent"),
    max_invalid: z.number().min(0).max(1).default(0.2).describe("largest share of prompts without a score"),
  })
  .refine(
    ({ threshold, top, count }) => [threshold, top, count].filter((rule) => rule !== undefined).length === 1,
    {
      message: "give one of threshold, top, count",
    },
  );
export type SelectOptions = z.infer<typeof selectOptions>;
