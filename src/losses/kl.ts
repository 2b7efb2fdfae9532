import * as tf from "@tensorflow/tfjs";
import { klEstimators } from "./kl-estimators.ts";
import type { KlOptions } from "./options.ts";

/**
 * Per-token estimates of KL(policy || reference) from one sampled token, with d = reference - policy logprob:
 * k1 = -d (unbiased), k2 = d^2 / 2, k3 = exp(d) - d - 1 (unbiased, never negative).
 * J. Schulman, "Approximating KL divergence" (joschu.net/blog/kl-approx.html); k3: GRPO, arXiv:2402.03300 eq. 4.
 * @param logprobs policy, [K]
 * @param reference same tokens, [K]
 * @returns [K], nats
 */
export function klEstimate(
  logprobs: tf.Tensor1D,
  reference: tf.Tensor1D,
  estimator: KlOptions["estimator"],
): tf.Tensor1D {
  return tf.tidy(() => {
    const d = tf.sub<tf.Tensor1D>(reference, logprobs); // [K]
    return klEstimators[estimator].ofTensor(d, tf);
  });
}

/** The same on numbers, for KL in the reward. */
export function klEstimateNumber(
  logprob: number,
  reference: number,
  estimator: KlOptions["estimator"],
): number {
  return klEstimators[estimator].ofNumber(reference - logprob);
}
