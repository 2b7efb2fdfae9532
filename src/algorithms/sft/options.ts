import { z } from "zod";
import { microBatchRows } from "../shared-options.ts";

/** Supervised fine-tuning on targets, loss on completion tokens only. */
export const sftOptions = z.strictObject({
  kind: z.literal("sft"),
  rows_per_step: z.int().min(1).default(16).describe("rows of each optimizer step"),
  packing: z.boolean().default(false).describe("put several examples into one row, each seeing only itself"),
  row_length: z
    .int()
    .min(8)
    .optional()
    .describe("tokens per row when packing; an example that does not fit is an error"),
  end_token: z
    .string()
    .min(1)
    .nullable()
    .optional()
    .describe(
      "token that ends a target, as text; null is none. Default: what the chat template writes after an assistant's message, else the tokenizer's eos_token",
    ),
  micro_batch_rows: microBatchRows,
});
export type SftOptions = z.infer<typeof sftOptions>;
