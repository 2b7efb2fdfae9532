import * as tf from "@tensorflow/tfjs";

/**
 * Supervised loss: sum_k w_k (-log p(target_k)).
 * @param logprobs of the target tokens, [K]
 * @param weights from `tokenWeights`, 0 for padding, [K]
 */
export function crossEntropyLoss(logprobs: tf.Tensor1D, weights: tf.Tensor1D): tf.Scalar {
  return tf.neg(tf.sum<tf.Scalar>(tf.mul(logprobs, weights)));
}
