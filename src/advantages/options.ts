import { z } from "zod";
import { choiceOf } from "../lib/choices.ts";
import { baselines, scales } from "./estimators.ts";

const baseline = choiceOf(baselines, "what is subtracted from a reward");
const scale = choiceOf(scales, "what divides the difference");

export const advantageOptions = z.strictObject({
  baseline: baseline.schema.default("group_mean").describe(baseline.description),
  scale: scale.schema.default("group_std").describe(scale.description),
  std: z
    .enum(["sample", "population"])
    .default("sample")
    .describe("divide squares by n-1 (torch.std, TRL) or by n"),
  epsilon: z.number().min(0).default(1e-4).describe("added to the standard deviation (TRL's value)"),
  parts: z
    .enum(["sum", "decoupled"])
    .default("sum")
    .describe(
      "sum: the weighted sum of the reward parts is compared; decoupled: each part within its group by itself, their weighted sum then scaled over the batch (GDPO)",
    ),
  whiten: z
    .boolean()
    .default(false)
    .describe(
      "at the end to mean 0 and standard deviation 1 over all tokens of the rollout (REINFORCE++: with baseline none and scale none; its variant for reasoning: with group_mean and none)",
    ),
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
