import { z } from "zod";
import { choiceOf } from "../lib/choices.ts";
import { aggregations } from "./aggregations.ts";
import { klEstimators } from "./kl-estimators.ts";

export const clipOptions = z.strictObject({
  low: z.number().min(0).max(1).default(0.2).describe("ratio is clipped below 1 - low"),
  high: z
    .number()
    .min(0)
    .default(0.2)
    .describe("ratio is clipped above 1 + high; 0.28 is DAPO's clip-higher"),
  dual: z
    .number()
    .gt(1)
    .nullable()
    .default(null)
    .describe(
      "dual clip: with a negative advantage the ratio counts as this at most, beyond it there is no gradient (arXiv:1912.09729 eq. 5; verl's clip_ratio_c, which is 3 there, TRL's delta). Off when null, as in PPO and GRPO",
    ),
});

const estimator = choiceOf(klEstimators, "with d = reference - policy logprob of a token");

export const klOptions = z.strictObject({
  coef: z
    .number()
    .min(0)
    .default(0)
    .describe("weight of the KL to the reference policy; 0 needs no reference"),
  estimator: estimator.schema.default("k3").describe(estimator.description),
  place: z
    .enum(["loss", "reward"])
    .default("loss")
    .describe("as a term of the loss (GRPO), or subtracted from the reward of each completion (PPO style)"),
  bias_correction: z
    .boolean()
    .default(false)
    .describe(
      "multiply the estimate in the loss with the ratio of policy to sampling policy (DeepSeek-V3.2, arXiv:2512.02556; TRL's use_bias_correction_kl). Only then is the gradient of k3 that of KL(policy || reference), in the first update too. Off: GRPO's published loss, which the recipes follow; its gradient is that of KL(reference || policy)",
    ),
});

/** KL in the reward of PPO: of each token, with a coefficient that may follow a target. */
export const rewardKlOptions = z
  .strictObject({
    coef: z
      .number()
      .min(0)
      .default(0.01)
      .describe(
        "each token's reward is -coef * KL estimate (LIMR: 0.01); with a target, the first value. 0 needs no reference",
      ),
    estimator: klOptions.shape.estimator
      .default("k1")
      .describe("k1 = policy - reference logprob, as in Ziegler et al.; k2 and k3 as for GRPO"),
    target: z
      .number()
      .positive()
      .optional()
      .describe(
        "nats per completion that the coefficient is steered to (Ziegler et al.: 6); absent: the coefficient is fixed",
      ),
    horizon: z
      .int()
      .min(1)
      .optional()
      .describe("completions over which the coefficient follows; 10,000 when absent, as in Ziegler et al."),
  })
  .describe("KL to the policy at the start of the stage, in the reward");

export const valueClipOptions = z
  .number()
  .positive()
  .nullable()
  .default(0.2)
  .describe("values move at most this far from the rollout's before the loss grows; null is off");

const aggregation = choiceOf(aggregations, "how losses of tokens become one");
export const aggregationOptions = aggregation.schema.default("token").describe(aggregation.description);

export type ClipOptions = z.infer<typeof clipOptions>;
export type KlOptions = z.infer<typeof klOptions>;
export type Aggregation = z.infer<typeof aggregationOptions>;
export type RewardKlOptions = z.infer<typeof rewardKlOptions>;

/** AdaCoT's selective loss masking (arXiv:2505.11896). */
export const maskDecisionOptions = z.strictObject({
  enabled: z
    .boolean()
    .default(false)
    .describe(
      "leave the first token after <think> out of the policy loss and its KL: training on problems that all need thought then does not teach to think always (AdaCoT's RL-Math stage)",
    ),
  divisor: z
    .enum(["drop", "keep"])
    .default("drop")
    .describe("does a mean over tokens count the masked one? drop: no, so it averages what carries loss"),
});
export type MaskDecisionOptions = z.infer<typeof maskDecisionOptions>;
