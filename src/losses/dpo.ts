import * as tf from "@tensorflow/tfjs";

/** Sums over the pairs, in this order. */
export const DPO_STATISTICS = ["preferred", "chosen", "rejected"] as const;

/**
 * DPO (arXiv:2305.18290, eq. 7) with conservative labels (eps; as TRL's label_smoothing):
 *   h = beta ((log pi(c) - log ref(c)) - (log pi(r) - log ref(r))),
 *   loss = sum over pairs of w (-(1 - eps) log sigmoid(h) - eps log sigmoid(-h)).
 * @param policy logprobs of whole texts, chosen and rejected in turn, [2 Q]
 * @param reference the same under the reference policy, no gradient, [2 Q]
 * @param weight of each pair; 1 / pairs of the step makes the mean
 * @returns the loss, and the sums named by DPO_STATISTICS: pairs with h > 0, and implied rewards beta (log pi - log ref)
 */
export function dpoLoss(
  policy: tf.Tensor1D,
  reference: tf.Tensor1D,
  { beta, label_smoothing: eps }: { beta: number; label_smoothing: number },
  weight: number,
): { loss: tf.Scalar; statistics: tf.Tensor1D } {
  const rewards = tf.reshape(tf.mul(tf.sub(policy, reference), beta), [-1, 2]); // [Q, 2]
  const side = (index: number) => tf.reshape(tf.slice(rewards, [0, index], [-1, 1]), [-1]); // [Q]
  const [chosen, rejected] = [side(0), side(1)];
  const margin = tf.sub(chosen, rejected); // h, [Q]
  // -log sigmoid(x) = softplus(-x)
  const loss = tf.add(tf.mul(tf.softplus(tf.neg(margin)), 1 - eps), tf.mul(tf.softplus(margin), eps)); // [Q]
  return {
    loss: tf.mul<tf.Scalar>(tf.sum(loss), weight),
    statistics: tf.stack([
      tf.sum(tf.cast(tf.greater(margin, 0), "float32")),
      tf.sum(chosen),
      tf.sum(rejected),
    ]) as tf.Tensor1D,
  };
}
