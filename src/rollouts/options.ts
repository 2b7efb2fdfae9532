import { z } from "zod";

export const rolloutOptions = z.strictObject({
  prompts_per_step: z.int().min(1).default(16).describe("prompts drawn for each step"),
  group_size: z.int().min(1).default(8).describe("completions per prompt"),
  max_new_tokens: z
    .int()
    .min(1)
    .default(256)
    .describe("token limit of a completion; one cut there has finish reason length"),
  max_prompt_tokens: z
    .int()
    .min(1)
    .optional()
    .describe(
      "longest prompt; a longer one is an error naming it, never cut silently. Default: the model's context less max_new_tokens",
    ),
  temperature: z
    .number()
    .positive()
    .max(10)
    .default(1)
    .describe(
      "logits are divided by it, in sampling and in training. 1: the policy's own distribution; a model's generation_config is not inherited",
    ),
  top_p: z
    .number()
    .gt(0)
    .max(1)
    .default(1)
    .describe("nucleus; below 1 sampled and trained distributions differ"),
  top_k: z.int().min(0).default(0).describe("keep the k most likely tokens; 0 is off"),
  min_p: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .describe("drop tokens below this share of the most likely one's probability; 0 is off"),
  stop: z
    .array(z.string().min(1))
    .default([])
    .describe("strings that end a completion besides the end tokens; kept in the text"),
  mode_samples: z
    .strictObject({
      direct: z.int().min(0).default(0).describe("completions that start with </think>"),
      thinking: z.int().min(0).default(0).describe("completions that do not"),
    })
    .optional()
    .describe(
      "completions of each training group that are made to answer directly or to think, so that a group can compare both modes; needs prompts that end inside <think>. Their logprobs stay the policy's own. None when absent",
    ),
  batch_rows: z
    .int()
    .min(1)
    .optional()
    .describe("rows decoded at once; all of a step when absent. Lower it when memory is short"),
});
export type RolloutOptions = z.infer<typeof rolloutOptions>;
