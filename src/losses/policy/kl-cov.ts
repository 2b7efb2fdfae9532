import { z } from "zod";
import { covariances, largest } from "../covariance.ts";
import { definePolicyLoss } from "./kind.ts";

/** Where the policy is the one that sampled, log r is the engines' rounding, whose sign is no way to go. */
const ROUNDING = 1e-5;

/**
 * No clip; the tokens of the largest covariance of logprob and advantage pay for leaving the sampling policy:
 *   L = -r A,   and + coef |log r| for the share of tokens with the largest covariance.
 */
export const klCov = definePolicyLoss({
  kind: "kl-cov",
  title: "KL-Cov",
  summary: "no clip, and a KL penalty on the tokens of the largest covariance",
  source: "arXiv:2505.22617 eq. 13 and 14",
  movesWithoutAdvantage: true,
  options: z.strictObject({
    kind: z.literal("kl-cov"),
    share: z
      .number()
      .gt(0)
      .max(1)
      .default(2e-4)
      .describe("penalised tokens / tokens of the update, at least one (paper: 2e-3 for 7B, 2e-4 for 32B)"),
    coef: z.number().min(0).default(1).describe("weight of |log ratio| of these tokens"),
  }),
  select: { drop: false, of: (tokens, { share }) => largest(covariances(tokens), share) },
  of({ logRatio, ratio, advantages, selected }, { coef }, tf) {
    const penalty = tf.mul(selected, coef); // [K]
    const moved = tf.greater(tf.abs(logRatio), ROUNDING);
    return {
      loss: tf.add(tf.neg(tf.mul(ratio, advantages)), tf.mul(penalty, tf.abs(logRatio))),
      importance: ratio,
      penaltySlope: tf.mul(penalty, tf.mul(tf.sign(logRatio), tf.cast(moved, "float32"))),
    };
  },
});
