import { z } from "zod";
import { heldHigh, heldLow, neither } from "./held.ts";
import { definePolicyLoss } from "./kind.ts";

/**
 * The ratio of a whole completion, its geometric mean over tokens, clipped:
 *   s = exp(mean_t log r_t),   L = -min(s A, clip(s, 1 - low, 1 + high) A).
 * The gradient of s is s mean_t grad log pi_t, so each token has its share of the mean with the same weight s.
 */
export const gspo = definePolicyLoss({
  kind: "gspo",
  title: "GSPO",
  summary: "the ratio of the whole completion, clipped",
  source: "arXiv:2507.18071 eq. 5 to 7",
  wholeCompletions: true,
  options: z.strictObject({
    kind: z.literal("gspo"),
    low: z
      .number()
      .min(0)
      .max(1)
      .default(3e-4)
      .describe("the ratio of a completion is clipped below 1 - low"),
    high: z
      .number()
      .min(0)
      .default(4e-4)
      .describe(
        "and above 1 + high; a mean over tokens moves little, hence the small bounds (paper, section 5.1)",
      ),
  }),
  of({ logRatio, advantages, completionMean }, { low, high }, tf) {
    const ratio = tf.exp(completionMean(logRatio)); // [K]
    const clipped = tf.clipByValue(ratio, 1 - low, 1 + high);
    const below = heldLow(tf, ratio, 1 - low, advantages);
    const above = heldHigh(tf, ratio, 1 + high, advantages);
    return {
      loss: tf.neg(tf.minimum(tf.mul(ratio, advantages), tf.mul(clipped, advantages))),
      importance: tf.mul(ratio, neither(tf, below, above)),
      low: below,
      high: above,
    };
  },
});
