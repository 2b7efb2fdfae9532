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

/**
 * What each token's loss has of a KL to the reference: coef KL_k, with bias correction coef r_k KL_k.
 * @param ratio r of policy to sampling policy, with its gradient. [K]
 * @returns the estimate, null without a reference; and the term, null where the KL has no place in the loss. [K]
 */
export function klTerm(
  { logprobs, referenceLogprobs }: { logprobs: tf.Tensor1D; referenceLogprobs: tf.Tensor1D | null },
  ratio: tf.Tensor1D,
  kl: KlOptions,
): { reference: tf.Tensor1D | null; term: tf.Tensor1D | null } {
  const reference = referenceLogprobs === null ? null : klEstimate(logprobs, referenceLogprobs, kl.estimator);
  if (kl.coef === 0 || kl.place !== "loss") return { reference, term: null };
  if (reference === null) throw new Error("kl.coef > 0 needs the reference policy's logprobs");
  const estimate = kl.bias_correction ? tf.mul<tf.Tensor1D>(reference, ratio) : reference; // [K]
  return { reference, term: tf.mul(estimate, kl.coef) };
}

/** klEstimate on numbers, for KL in the reward. */
export function klEstimateNumber(
  logprob: number,
  reference: number,
  estimator: KlOptions["estimator"],
): number {
  return klEstimators[estimator].ofNumber(reference - logprob);
}
