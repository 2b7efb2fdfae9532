import { z } from "zod";

export const optimizerOptions = z.strictObject({
  lr: z.number().positive().describe("peak learning rate"),
  beta1: z.number().min(0).lt(1).default(0.9).describe("decay of the first moment"),
  beta2: z
    .number()
    .min(0)
    .lt(1)
    .default(0.95)
    .describe("decay of the second moment; 0.95 as in published RL runs"),
  epsilon: z.number().positive().default(1e-8).describe("PyTorch's default"),
  weight_decay: z
    .number()
    .min(0)
    .default(0)
    .describe("decoupled (AdamW); on matrices, not on norms and biases"),
  clip_norm: z.number().positive().nullable().default(1).describe("global gradient norm limit; null is off"),
  warmup_steps: z
    .int()
    .min(0)
    .default(0)
    .describe(
      "optimizer steps of linear warm-up; as in transformers the first has rate 0, step k of them k/warmup_steps of lr",
    ),
  schedule: z
    .enum(["constant", "linear", "cosine"])
    .default("constant")
    .describe(
      "after warm-up, as transformers' schedulers step by step: down towards final_lr_share, which a step after the last would have",
    ),
  final_lr_share: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe(
      "share of lr that linear and cosine go down to (transformers' polynomial of power 1, cosine_with_min_lr)",
    ),
});
export type OptimizerOptions = z.infer<typeof optimizerOptions>;
