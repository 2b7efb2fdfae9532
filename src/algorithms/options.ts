import { z } from "zod";
import { advantageOptions, gaeOptions } from "../advantages/options.ts";
import {
  aggregationOptions,
  clipOptions,
  klOptions,
  maskDecisionOptions,
  rewardKlOptions,
  valueClipOptions,
} from "../losses/options.ts";

const microBatchRows = z
  .int()
  .min(1)
  .optional()
  .describe(
    "rows per forward and backward pass; gradients are summed, so it changes memory and speed only. All rows of an update when absent",
  );

const entropyCoef = z
  .number()
  .min(0)
  .default(0)
  .describe("weight of the mean token entropy that the loss rewards, nats; 0 as in verl");

/** How often a rollout is used. */
const passOptions = {
  epochs: z.int().min(1).default(1).describe("passes over each rollout"),
  minibatches: z
    .int()
    .min(1)
    .default(1)
    .describe("optimizer steps per pass; with 1 x 1 the ratio is 1 and nothing clips"),
};

/** Group-relative policy optimisation. */
export const grpoOptions = z.strictObject({
  kind: z.literal("grpo"),
  advantage: advantageOptions.prefault({}),
  clip: clipOptions.prefault({}),
  kl: klOptions.prefault({}),
  aggregation: aggregationOptions,
  entropy_coef: entropyCoef,
  mask_truncated: z
    .boolean()
    .default(false)
    .describe("leave completions cut at the token limit out of the loss (DAPO's overlong filtering)"),
  mask_decision: maskDecisionOptions.prefault({}),
  ...passOptions,
  micro_batch_rows: microBatchRows,
});

/** PPO with a critic on the policy's architecture. */
export const ppoOptions = z.strictObject({
  kind: z.literal("ppo"),
  gae: gaeOptions.prefault({}).describe("advantages from the critic's values"),
  whiten: z
    .boolean()
    .default(true)
    .describe("advantages to mean 0 and standard deviation 1 over all tokens of the rollout"),
  reward_clip: z
    .number()
    .positive()
    .nullable()
    .default(10)
    .describe("a completion's reward is kept within +- this before the KL; null is off (LIMR's code: 10)"),
  clip: clipOptions.prefault({}),
  kl: rewardKlOptions.prefault({}),
  critic: z
    .strictObject({
      lr: z
        .number()
        .positive()
        .optional()
        .describe(
          "peak learning rate; schedule and the rest as in optimizer. optimizer.lr when absent; LIMR: 18 times the policy's",
        ),
      clip: valueClipOptions,
      warmup_steps: z
        .int()
        .min(0)
        .default(0)
        .describe("first steps of the stage in which only the critic learns; 0 as in LIMR's code"),
    })
    .prefault({})
    .describe("the value function"),
  aggregation: aggregationOptions,
  entropy_coef: entropyCoef,
  mask_decision: maskDecisionOptions.prefault({}),
  ...passOptions,
  micro_batch_rows: microBatchRows,
});

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
      "token that ends a target, as text; null is none. Default: what the chat template writes behind an assistant's message, else the tokenizer's eos_token",
    ),
  micro_batch_rows: microBatchRows,
});

export const algorithmOptions = z.discriminatedUnion("kind", [grpoOptions, ppoOptions, sftOptions]);
export type GrpoOptions = z.infer<typeof grpoOptions>;
export type PpoOptions = z.infer<typeof ppoOptions>;
export type SftOptions = z.infer<typeof sftOptions>;

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
