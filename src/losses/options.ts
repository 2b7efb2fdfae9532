import { z } from "zod";

export const clipOptions = z.strictObject({
  low: z.number().min(0).max(1).default(0.2).describe("ratio is clipped below 1 - low"),
  high: z
    .number()
    .min(0)
    .default(0.2)
    .describe("ratio is clipped above 1 + high; 0.28 is DAPO's clip-higher"),
});

export const klOptions = z.strictObject({
  coef: z
    .number()
    .min(0)
    .default(0)
    .describe("weight of the KL to the reference policy; 0 needs no reference"),
  estimator: z
    .enum(["k1", "k2", "k3"])
    .default("k3")
    .describe("k1 = -d, k2 = d^2/2, k3 = e^d - d - 1 with d = reference - policy logprob; k3 is GRPO's"),
  place: z
    .enum(["loss", "reward"])
    .default("loss")
    .describe("as a term of the loss (GRPO), or subtracted from the reward of each completion (PPO style)"),
});

export const aggregationOptions = z
  .enum(["token", "sequence", "constant"])
  .default("token")
  .describe(
    "mean over all tokens (DAPO), mean per completion then over completions (GRPO), or sum over tokens / (completions * max_new_tokens) (Dr. GRPO)",
  );

export type ClipOptions = z.infer<typeof clipOptions>;
export type KlOptions = z.infer<typeof klOptions>;
export type Aggregation = z.infer<typeof aggregationOptions>;
