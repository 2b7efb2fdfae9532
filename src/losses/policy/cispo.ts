import { z } from "zod";
import { definePolicyLoss } from "./kind.ts";

/**
 * The ratio as a weight without gradient, clipped; no token is without gradient:
 *   w = sg(clip(r, 1 - low, 1 + high)),   L = -w A log pi.
 */
export const cispo = definePolicyLoss({
  kind: "cispo",
  title: "CISPO",
  summary: "the clipped ratio as a weight of log pi, so that every token has a gradient",
  source: "MiniMax-M1, arXiv:2506.13585 eq. 4 and 5",
  options: z.strictObject({
    kind: z.literal("cispo"),
    low: z
      .number()
      .min(0)
      .max(1)
      .default(1)
      .describe("the weight is at least 1 - low; 1: no lower bound, as in the paper's experiments"),
    high: z
      .number()
      .min(0)
      .default(4)
      .describe(
        "the weight is at most 1 + high; 4 bounds it by 5, as TRL's epsilon_high: 5.0 does (ScaleRL, arXiv:2510.13786)",
      ),
  }),
  of({ logprobs, ratio, advantages }, { low, high }, tf) {
    const weight = tf.clipByValue(ratio, 1 - low, 1 + high); // [K]
    const earned = tf.notEqual(advantages, 0);
    return {
      loss: tf.neg(tf.mul(tf.mul(weight, advantages), logprobs)),
      importance: weight,
      low: tf.cast(tf.logicalAnd(tf.less(ratio, 1 - low), earned), "float32"),
      high: tf.cast(tf.logicalAnd(tf.greater(ratio, 1 + high), earned), "float32"),
    };
  },
});
