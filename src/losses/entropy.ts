import * as tf from "@tensorflow/tfjs";

/**
 * coef * sum_k w_k H_k, to be subtracted from the loss: exploration is rewarded (A3C, arXiv:1602.01783, section 4).
 * @param entropy of each token's distribution, nats, differentiable. [K]
 * @param weights from `tokenWeights`: they carry mean and mask. [K]
 */
export function entropyTerm(entropy: tf.Tensor1D, weights: tf.Tensor1D, coef: number): tf.Scalar {
  return tf.mul(tf.sum(tf.mul(entropy, weights)), coef);
}
