import { z } from "zod";
import { gaeOptions } from "../../advantages/options.ts";
import {
  aggregationOptions,
  clipOptions,
  maskDecisionOptions,
  rewardKlOptions,
  valueClipOptions,
} from "../../losses/options.ts";
import { entropyCoef, microBatchRows, passOptions } from "../shared-options.ts";

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
export type PpoOptions = z.infer<typeof ppoOptions>;
