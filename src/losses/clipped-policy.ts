import * as tf from "@tensorflow/tfjs";
import { klTerm } from "./kl.ts";
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
  const { logprobs, oldLogprobs, advantages, weights } = input;
  const logRatio = tf.sub(logprobs, oldLogprobs); // [K]
  const ratio = tf.exp(logRatio) as tf.Tensor1D; // [K]
  const clipped = tf.minimum(tf.maximum(ratio, 1 - clip.low), 1 + clip.high); // [K]
  const surrogate = tf.minimum(tf.mul(ratio, advantages), tf.mul(clipped, advantages)); // [K]
  // the bound is 0 where A > 0, below any surrogate there
  const bounded =
    clip.dual === null ? surrogate : tf.maximum(surrogate, tf.mul(tf.minimum(advantages, 0), clip.dual)); // [K]
  let perToken: tf.Tensor = tf.neg(bounded); // [K]
  const { reference, term } = klTerm(input, ratio, kl);
  if (term !== null) perToken = tf.add(perToken, term);
  const loss = tf.sum<tf.Scalar>(tf.mul(perToken, weights));

  const counted = tf.cast(tf.greater(weights, 0), "float32") as tf.Tensor1D; // [K]
  const beyond = (bound: number, side: tf.Tensor) =>
    countedSum(tf.logicalAnd(tf.greater(ratio, bound), side), counted);
  const above = beyond(1 + clip.high, tf.greater(advantages, 0));
  const statistics = tf.stack([
    // tokens whose gradient the clip removes: beyond the bound on the side the advantage pushes to
    countedSum(tf.logicalAnd(tf.less(ratio, 1 - clip.low), tf.less(advantages, 0)), counted),
    clip.dual === null ? above : tf.add(above, beyond(clip.dual, tf.less(advantages, 0))),
    ...ratioStatistics(ratio, logRatio as tf.Tensor1D, reference, counted),
  ]) as tf.Tensor1D;
  return { loss, statistics };
}

/** Sum over the counted tokens. @param counted 1 or 0, [K] */
export function countedSum(values: tf.Tensor, counted: tf.Tensor1D): tf.Scalar {
  return tf.sum(tf.mul(tf.cast(values, "float32"), counted));
}

/** What POLICY_LOSS_STATISTICS names after the clipped tokens. [K] each. */
export function ratioStatistics(
  ratio: tf.Tensor1D,
  logRatio: tf.Tensor1D,
  reference: tf.Tensor1D | null,
  counted: tf.Tensor1D,
): tf.Tensor[] {
  return [
    countedSum(ratio, counted),
    countedSum(tf.sub(tf.sub(ratio, 1), logRatio), counted), // k3 of KL(old || new)
    reference === null ? tf.scalar(0) : countedSum(reference, counted),
    tf.max(tf.mul(ratio, counted)),
    tf.max(tf.mul(tf.abs(logRatio), counted)),
  ];
}
