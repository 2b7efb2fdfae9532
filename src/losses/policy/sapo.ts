import { z } from "zod";
import { definePolicyLoss } from "./kind.ts";

/**
 * A soft gate in the place of the clip, with a temperature for each sign of the advantage:
 *   f(r) = (4 / tau) sigmoid(tau (r - 1)),   L = -f(r) A,   tau = positive where A > 0, else negative.
 * d f / d log pi = 4 sigmoid (1 - sigmoid) r: 1 at r = 1, falling on both sides.
 */
export const sapo = definePolicyLoss({
  kind: "sapo",
  title: "SAPO",
  summary: "a soft gate of the ratio in the place of the clip",
  source: "arXiv:2511.20347 eq. 5 and 6",
  options: z.strictObject({
    kind: z.literal("sapo"),
    positive: z
      .number()
      .positive()
      .default(1)
      .describe("temperature of the gate where the advantage is above 0"),
    negative: z
      .number()
      .positive()
      .default(1.05)
      .describe("and elsewhere; larger: tokens that are pushed down are let go sooner (paper: 1.05 and 1)"),
  }),
  of({ ratio, advantages }, { positive, negative }, tf) {
    const tau = tf.where(
      tf.greater(advantages, 0),
      tf.onesLike(ratio).mul(positive),
      tf.onesLike(ratio).mul(negative),
    ); // [K]
    const gate = tf.sigmoid(tf.mul(tau, tf.sub(ratio, 1)));
    return {
      loss: tf.neg(tf.mul(tf.mul(tf.div(4, tau), gate), advantages)),
      importance: tf.mul(tf.mul(tf.mul(gate, tf.sub(1, gate)), 4), ratio),
    };
  },
});
