import { z } from "zod";
import { microBatchRows } from "../shared-options.ts";

/** Direct preference optimisation. */
export const dpoOptions = z.strictObject({
  kind: z.literal("dpo"),
  beta: z
    .number()
    .positive()
    .default(0.1)
    .describe(
      "how strongly the policy is held to the reference; the implied reward is beta times the log-ratio",
    ),
  label_smoothing: z
    .number()
    .min(0)
    .lt(0.5)
    .default(0)
    .describe("share of pairs whose preference is taken to be the wrong way round (conservative DPO)"),
  pairs_per_step: z.int().min(1).default(16).describe("pairs of each optimizer step; a pair is two rows"),
  end_token: z
    .string()
    .min(1)
    .nullable()
    .optional()
    .describe(
      "token that ends both texts; null is none. Default: what the chat template writes after an assistant's message, else the tokenizer's eos_token",
    ),
  micro_batch_rows: microBatchRows,
});
export type DpoOptions = z.infer<typeof dpoOptions>;
