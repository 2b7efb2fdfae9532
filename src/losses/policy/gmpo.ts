import { z } from "zod";
import { heldHigh, heldLow, neither } from "./held.ts";
import { definePolicyLoss } from "./kind.ts";

/**
 * The geometric mean of the tokens' clipped ratios, clipped each by itself:
 *   s = exp(mean_t l_t),   l_t = min(log r_t, high) where A > 0, max(log r_t, -low) where A < 0,   L = -s A.
 */
export const gmpo = definePolicyLoss({
  kind: "gmpo",
  title: "GMPO",
  summary: "the geometric mean of the completion's ratios, each clipped by itself",
  source: "arXiv:2507.20673 eq. 4 and Algorithm 1",
  wholeCompletions: true,
  options: z.strictObject({
    kind: z.literal("gmpo"),
    low: z
      .number()
      .min(0)
      .default(0.4)
      .describe("a token's log ratio is clipped below -low: the ratio below e^-0.4 (paper)"),
    high: z.number().min(0).default(0.4).describe("and above high"),
  }),
  of({ logRatio, advantages, completionMean }, { low, high }, tf) {
    const below = heldLow(tf, logRatio, -low, advantages);
    const above = heldHigh(tf, logRatio, high, advantages);
    const free = neither(tf, below, above);
    const clipped = tf.add(tf.mul(logRatio, free), tf.sub(tf.mul(above, high), tf.mul(below, low))); // l, [K]
    const ratio = tf.exp(completionMean(clipped)); // s, [K]
    return {
      loss: tf.neg(tf.mul(ratio, advantages)),
      importance: tf.mul(ratio, free),
      low: below,
      high: above,
    };
  },
});
