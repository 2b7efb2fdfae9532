import * as tf from "@tensorflow/tfjs";

/** One value per scored token, [K]; padding carries weight 0. */
export interface ValueLossInput {
  /** Of the critic being trained. */
  values: tf.Tensor1D;
  /** Of the critic when the rollout was made, no gradient. */
  oldValues: tf.Tensor1D;
  /** What they should have been. */
  returns: tf.Tensor1D;
  /** From `tokenWeights`. */
  weights: tf.Tensor1D;
}

/** Over the tokens of weight > 0: sums, to be divided by their number. */
export const VALUE_LOSS_STATISTICS = ["value_clipped", "squared_error"] as const;

/**
 * loss = sum_k w_k 0.5 max((V - R)^2, (clip(V, old - clip, old + clip) - R)^2).
 * The clipped value loss of PPO's first implementation (openai/baselines ppo2), as in LIMR's trainer.
 * @param clip null: 0.5 (V - R)^2
 * @returns the loss, and the sums named by VALUE_LOSS_STATISTICS (no gradient)
 */
export function clippedValueLoss(
  { values, oldValues, returns, weights }: ValueLossInput,
  clip: number | null,
): { loss: tf.Scalar; statistics: tf.Tensor1D } {
  const plain = tf.squaredDifference(values, returns); // [K]
  const bounded =
    clip === null ? values : tf.minimum(tf.maximum(values, tf.sub(oldValues, clip)), tf.add(oldValues, clip));
  const clipped = clip === null ? plain : tf.squaredDifference(bounded, returns); // [K]
  const loss = tf.mul(tf.sum(tf.mul(tf.maximum(plain, clipped), weights)), 0.5) as tf.Scalar;
  const counted = tf.cast(tf.greater(weights, 0), "float32"); // [K]
  const statistics = tf.stack([
    // tokens whose gradient the clip removes
    tf.sum(tf.mul(tf.cast(tf.greater(clipped, plain), "float32"), counted)),
    tf.sum(tf.mul(plain, counted)),
  ]) as tf.Tensor1D;
  return { loss, statistics };
}
