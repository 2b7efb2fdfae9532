import type * as Tf from "@tensorflow/tfjs";
import { z } from "zod";
import { definePolicyLoss, type LossTokens } from "./kind.ts";

/** Added to both sides of the quotient of what is left of the probabilities. */
const EPSILON = 1e-8;

/**
 * Tokens that moved too far by a divergence lose their gradient, not those of a large ratio; the ratio is a truncated weight:
 *   L = -sg(min(r, max_ratio)) M A log pi,   M = 0 where the token moved the way A pushes and its divergence is beyond delta.
 * tv: |pi - pi_old|; kl: of the two Bernoulli distributions "this token or another", KL(pi_old || pi).
 */
export const dppo = definePolicyLoss({
  kind: "dppo",
  title: "DPPO",
  summary: "a bound on the change of the token's probability in the place of one on the ratio",
  source: "arXiv:2602.04879 sections 4 and 5.4 (Binary-TV, Binary-KL)",
  options: z.strictObject({
    kind: z.literal("dppo"),
    divergence: z
      .enum(["tv", "kl"])
      .default("tv")
      .describe("tv: |pi - pi_old| of the token; kl: KL of token or not"),
    low: z
      .number()
      .positive()
      .optional()
      .describe("most divergence of a token that is pushed down; 0.15 with tv and 0.05 with kl when absent"),
    high: z.number().positive().optional().describe("and of one that is pushed up; as low when absent"),
    max_ratio: z
      .number()
      .min(1)
      .default(20)
      .describe("truncated importance sampling: the ratio counts as this at most (paper, section 5.4)"),
  }),
  of(tokens, { divergence, low = divergence === "tv" ? 0.15 : 0.05, high = low, max_ratio }, tf) {
    const { logprobs, ratio, advantages } = tokens;
    const { up, size } = divergences(tokens, divergence, tf);
    const positive = tf.greater(advantages, 0);
    const above = tf.logicalAnd(positive, tf.logicalAnd(up, tf.greater(size, high)));
    const below = tf.logicalAnd(
      tf.logicalNot(positive),
      tf.logicalAnd(tf.logicalNot(up), tf.greater(size, low)),
    );
    const kept = tf.cast(tf.logicalNot(tf.logicalOr(above, below)), "float32"); // M, [K]
    const weight = tf.mul(tf.minimum(ratio, max_ratio), kept);
    return {
      loss: tf.neg(tf.mul(tf.mul(weight, advantages), logprobs)),
      importance: weight,
      low: tf.cast(below, "float32"),
      high: tf.cast(above, "float32"),
    };
  },
});

/** Did the token become likelier, and how far did it move? [K] */
function divergences(
  { logprobs, oldLogprobs, logRatio }: LossTokens,
  divergence: "tv" | "kl",
  tf: typeof Tf,
): { up: Tf.Tensor; size: Tf.Tensor } {
  const [now, old] = [tf.exp(logprobs), tf.exp(oldLogprobs)];
  const up = tf.greater(now, old);
  if (divergence === "tv") return { up, size: tf.abs(tf.sub(now, old)) };
  const rest = tf.log(tf.div(tf.add(tf.sub(1, old), EPSILON), tf.add(tf.sub(1, now), EPSILON)));
  return { up, size: tf.sub(tf.mul(tf.sub(1, old), rest), tf.mul(old, logRatio)) };
}
