import { z } from "zod";

export const evalOptions = z.strictObject({
  every: z
    .int()
    .min(0)
    .default(10)
    .describe("steps between evaluations; the start and the end are always evaluated; 0: only these"),
  samples: z.int().min(1).default(1).describe("completions per prompt"),
  temperature: z.number().min(0).default(1).describe("0 is greedy"),
  top_p: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .describe("nucleus; rollout.top_p when absent (AutoThink evaluates with 0.95, trains with 1)"),
  top_k: z
    .int()
    .min(0)
    .optional()
    .describe("keep the k most likely tokens, 0 is off; rollout.top_k when absent"),
  min_p: z
    .number()
    .min(0)
    .lt(1)
    .optional()
    .describe("drop tokens below this share of the likeliest one's probability; rollout.min_p when absent"),
  limit: z.int().min(1).optional().describe("at most this many prompts, the first ones; all when absent"),
  max_new_tokens: z.int().min(1).optional().describe("default: rollout.max_new_tokens"),
  batch_rows: z.int().min(1).default(256).describe("rows decoded at once"),
});
export type EvalOptions = z.infer<typeof evalOptions>;
