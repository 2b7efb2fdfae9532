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
  warmup_steps: z.int().min(0).default(0).describe("optimizer steps of linear warm-up from 0"),
  schedule: z
    .enum(["constant", "linear", "cosine"])
    .default("constant")
    .describe("after warm-up, down to final_lr_share at the last step"),
  final_lr_share: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe("share of lr left at the end of linear or cosine"),
});
export type OptimizerOptions = z.infer<typeof optimizerOptions>;
