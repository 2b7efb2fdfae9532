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
  micro_batch_rows: microBatchRows,
});
export type SftOptions = z.infer<typeof sftOptions>;
