import { z } from "zod";

export const advantageOptions = z.strictObject({
  baseline: z
    .enum(["group_mean", "leave_one_out", "none"])
    .default("group_mean")
    .describe("what is subtracted from a reward; leave_one_out: the mean of the group's others (RLOO)"),
  scale: z
    .enum(["group_std", "batch_std", "none"])
    .default("group_std")
    .describe(
      "what divides it: group_std as in GRPO, batch_std keeps rewards' relative size between groups, none as in Dr. GRPO",
    ),
  std: z
    .enum(["sample", "population"])
    .default("sample")
    .describe("divide squares by n-1 (torch.std, TRL) or by n"),
  epsilon: z.number().min(0).default(1e-4).describe("added to the standard deviation (TRL's value)"),
});
export type AdvantageOptions = z.infer<typeof advantageOptions>;

export const gaeOptions = z.strictObject({
  gamma: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe("discount per token; 1: a right answer is worth the same however long it took"),
  lambda: z
    .number()
    .min(0)
    .max(1)
    .default(0.95)
    .describe("0 trusts the critic's next value, 1 only the rewards; 0.95 as in PPO's paper and LIMR's code"),
});
export type GaeOptions = z.infer<typeof gaeOptions>;
