import * as tf from "@tensorflow/tfjs";
import { klEstimate } from "./kl.ts";
import type { ClipOptions, KlOptions } from "./options.ts";

/** One value per scored token, [K]; padding carries weight 0. */
export interface PolicyLossInput {
  /** Of the policy being trained. */
  logprobs: tf.Tensor1D;
  /** Of the policy that sampled, no gradient. */
  oldLogprobs: tf.Tensor1D;
  /** Of the reference policy; needed when kl.coef > 0 and kl.place is loss. */
  referenceLogprobs: tf.Tensor1D | null;
  advantages: tf.Tensor1D;
  /** From `tokenWeights`; they carry mean and mask. */
  weights: tf.Tensor1D;
}

/** Over the tokens of weight > 0: sums, to be divided by their number; those named largest_ are maxima. */
export const POLICY_LOSS_STATISTICS = [
  "clipped_low",
  "clipped_high",
  "ratio",
  "approx_kl",
  "reference_kl",
  "largest_ratio",
  "largest_gap",
] as const;

/**
 * loss = sum_k w_k (-surrogate_k + coef KL_k), surrogate = min(ratio A, clip(ratio, 1 - low, 1 + high) A),
 * ratio = exp(logprob - old).
 * Clipped surrogate: arXiv:1707.06347 eq. 7; asymmetric clip: DAPO, arXiv:2503.14476 eq. 10; dual clip, max(surrogate, dual A)
 * where A < 0: arXiv:1912.09729 eq. 5; KL in the loss: GRPO, arXiv:2402.03300 eq. 3, with bias correction ratio * KL_k, through
 * whose ratio the gradient goes as well: DeepSeek-V3.2, arXiv:2512.02556. No read-back: everything stays a tensor.
 * @returns the loss, and the sums named by POLICY_LOSS_STATISTICS (no gradient)
 */
export function clippedPolicyLoss(
  input: PolicyLossInput,
  clip: ClipOptions,
  kl: KlOptions,
): { loss: tf.Scalar; statistics: tf.Tensor1D } {
  const { logprobs, oldLogprobs, referenceLogprobs, advantages, weights } = input;
  const logRatio = tf.sub(logprobs, oldLogprobs); // [K]
  const ratio = tf.exp(logRatio); // [K]
  const clipped = tf.minimum(tf.maximum(ratio, 1 - clip.low), 1 + clip.high); // [K]
  const surrogate = tf.minimum(tf.mul(ratio, advantages), tf.mul(clipped, advantages)); // [K]
  // the bound is 0 where A > 0, below any surrogate there
  const bounded =
    clip.dual === null ? surrogate : tf.maximum(surrogate, tf.mul(tf.minimum(advantages, 0), clip.dual)); // [K]
  let perToken: tf.Tensor = tf.neg(bounded); // [K]
  const reference = referenceLogprobs === null ? null : klEstimate(logprobs, referenceLogprobs, kl.estimator);
  if (kl.coef > 0 && kl.place === "loss") {
    if (reference === null) throw new Error("kl.coef > 0 needs the reference policy's logprobs");
    const estimate = kl.bias_correction ? tf.mul(reference, ratio) : reference; // [K]
    perToken = tf.add(perToken, tf.mul(estimate, kl.coef));
  }
  const loss = tf.sum<tf.Scalar>(tf.mul(perToken, weights));

  const counted = tf.cast(tf.greater(weights, 0), "float32"); // [K]
  const count = (values: tf.Tensor) => tf.sum(tf.mul(tf.cast(values, "float32"), counted));
  const beyond = (bound: number, side: tf.Tensor) => count(tf.logicalAnd(tf.greater(ratio, bound), side));
  const above = beyond(1 + clip.high, tf.greater(advantages, 0));
  const statistics = tf.stack([
    // tokens whose gradient the clip removes: beyond the bound on the side the advantage pushes to
    count(tf.logicalAnd(tf.less(ratio, 1 - clip.low), tf.less(advantages, 0))),
    clip.dual === null ? above : tf.add(above, beyond(clip.dual, tf.less(advantages, 0))),
    count(ratio),
    count(tf.sub(tf.sub(ratio, 1), logRatio)), // k3 of KL(old || new)
    reference === null ? tf.scalar(0) : count(reference),
    tf.max(tf.mul(ratio, counted)),
    tf.max(tf.mul(tf.abs(logRatio), counted)),
  ]) as tf.Tensor1D;
  return { loss, statistics };
}
