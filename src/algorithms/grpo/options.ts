import { z } from "zod";
import { filterOptions } from "../../advantages/filter.ts";
import { advantageOptions } from "../../advantages/options.ts";
import { aggregationOptions, clipOptions, klOptions, maskDecisionOptions } from "../../losses/options.ts";
import { policyLossOptions } from "../../losses/policy-kinds.ts";
import { entropyCoef, microBatchRows, passOptions } from "../shared-options.ts";

/** Group-relative policy optimisation. */
export const grpoOptions = z.strictObject({
  kind: z.literal("grpo"),
  advantage: advantageOptions.prefault({}),
  filter: filterOptions
    .optional()
    .describe(
      "learn from some completions of each group only; the others are left out of baseline, scale and loss (GFPO, arXiv:2508.09726). Off when absent",
    ),
  loss: policyLossOptions
    .prefault({ kind: "clipped" })
    .describe("what becomes of the ratio of policy to sampling policy (docs/losses.md)"),
  clip: clipOptions.prefault({}),
  sampler_correction: z
    .strictObject({
      max: z.number().min(1).default(2).describe("most that a token's loss is multiplied by"),
    })
    .optional()
    .describe(
      "truncated importance sampling between the engine that samples and the one that learns: logprobs are computed again before the first update, the ratio is taken to these, and each token's loss is multiplied by min(exp(new - sampled), max). One more forward pass a step; where both engines agree the factor is 1. Off when absent",
    ),
  kl: klOptions.prefault({}),
  aggregation: aggregationOptions,
  entropy_coef: entropyCoef,
  mask_truncated: z
    .boolean()
    .default(false)
    .describe(
      "give completions cut at the token limit weight 0 in the loss (DAPO's overlong filtering, TRL's mask_truncated_completions). Their rewards still count in the group's baseline and scale, and means divide by what is left",
    ),
  mask_decision: maskDecisionOptions.prefault({}),
  dynamic_sampling: z
    .strictObject({
      oversampling: z
        .number()
        .min(1)
        .max(100)
        .default(4)
        .describe(
          "prompts that a step may draw at most, as a multiple of rollout.prompts_per_step; what is missing then is filled with groups without a difference",
        ),
    })
    .optional()
    .describe(
      "redraw groups whose completions all have the same reward, before shaping, until prompts_per_step groups have a difference (DAPO, arXiv:2503.14476, eq. 11). Off when absent",
    ),
  ...passOptions,
  micro_batch_rows: microBatchRows,
});
export type GrpoOptions = z.infer<typeof grpoOptions>;
