/** The policy loss that a recipe names, with its KL term and its statistics. */
import * as tf from "@tensorflow/tfjs";
import { differentiable } from "../backend/fused.ts";
import {
  clippedPolicyLoss,
  countedSum,
  POLICY_LOSS_STATISTICS,
  type PolicyLossInput,
  ratioStatistics,
} from "./clipped-policy.ts";
import { klTerm } from "./kl.ts";
import type { ClipOptions, KlOptions } from "./options.ts";
import { heldHigh, heldLow, neither } from "./policy/held.ts";
import type { LossTokens } from "./policy/kind.ts";
import { type PolicyLossOptions, policyLossOf } from "./policy-kinds.ts";

export interface FamilyLossInput extends PolicyLossInput {
  /** 1 where a token that carries loss belongs to a completion, which has a row each; null: the loss asks for none. [R, K] */
  members: tf.Tensor2D | null;
  /** 1 for tokens that the loss selects; null: none. [K] */
  selected: tf.Tensor1D | null;
}

/** Beside those of the clipped loss: sums of the importance weights that tokens get, and of their squares. */
const IMPORTANCE_STATISTICS = ["importance", "importance_squared"] as const;

/** Names of a loss's statistics, in order. */
export function statisticsOf(options: Pick<PolicyLossOptions, "kind">): readonly string[] {
  return policyLossOf(options).of === undefined
    ? POLICY_LOSS_STATISTICS
    : [...POLICY_LOSS_STATISTICS, ...IMPORTANCE_STATISTICS];
}

/**
 * loss = sum_k w_k (L_k + coef KL_k), L of the kind in policy/. Its slope in each logprob is written down beside its value, since
 * tensors without gradient stand in most of them.
 * @returns the loss, and the sums named by `statisticsOf` (no gradient)
 */
export function policyLoss(
  input: FamilyLossInput,
  { loss: options, clip, kl }: { loss: PolicyLossOptions; clip: ClipOptions; kl: KlOptions },
): { loss: tf.Scalar; statistics: tf.Tensor1D } {
  const kind = policyLossOf(options);
  if (kind.of === undefined) return clippedPolicyLoss(input, clip, kl);
  const { logprobs, oldLogprobs, weights } = input;
  const tokens = tokensOf(input);
  const made = kind.of(tokens, options, tf);
  const slope = tf.sub(made.penaltySlope ?? 0, tf.mul(made.importance, input.advantages)); // [K]
  const policy = differentiable(
    { logprobs },
    (save) => {
      save([tf.mul(slope, weights)]);
      return tf.sum(tf.mul(made.loss, weights));
    },
    (dy, [weighted]) => ({ logprobs: () => tf.mul(weighted!, dy) }),
  ) as tf.Scalar;
  const ratio = tf.exp(tf.sub(logprobs, oldLogprobs)) as tf.Tensor1D; // with gradient, for the KL's correction
  const { reference, term } = klTerm(input, ratio, kl);
  const loss = term === null ? policy : tf.add<tf.Scalar>(policy, tf.sum(tf.mul(term, weights)));

  const counted = tf.cast(tf.greater(weights, 0), "float32") as tf.Tensor1D; // [K]
  const held = (side: tf.Tensor | undefined) =>
    side === undefined ? tf.scalar(0) : countedSum(side, counted);
  const statistics = tf.stack([
    held(made.low),
    held(made.high),
    ...ratioStatistics(ratio, tokens.logRatio, reference, counted),
    countedSum(made.importance, counted),
    countedSum(tf.square(made.importance), counted),
  ]) as tf.Tensor1D;
  return { loss, statistics };
}

/** The weight that the loss gives the policy gradient of each token, 0 where a bound stops it. No gradient. [K] */
export function importanceOf(
  input: FamilyLossInput,
  { loss: options, clip }: { loss: PolicyLossOptions; clip: ClipOptions },
): tf.Tensor1D {
  const kind = policyLossOf(options);
  const tokens = tokensOf(input);
  if (kind.of !== undefined) return kind.of(tokens, options, tf).importance as tf.Tensor1D;
  const { ratio, advantages } = tokens;
  const below = heldLow(tf, ratio, 1 - clip.low, advantages);
  const above = heldHigh(tf, ratio, 1 + clip.high, advantages);
  const dual = clip.dual === null ? 0 : heldHigh(tf, ratio, clip.dual, tf.neg(advantages));
  return tf.mul(ratio, tf.sub(neither(tf, below, above), dual));
}

/** What a loss looks at. Nothing that it makes of it is on the way from the loss to the weights. */
function tokensOf({ logprobs, oldLogprobs, advantages, members, selected }: FamilyLossInput): LossTokens {
  const logRatio = tf.sub<tf.Tensor1D>(logprobs, oldLogprobs);
  return {
    logprobs,
    oldLogprobs,
    logRatio,
    ratio: tf.exp(logRatio),
    advantages,
    selected: selected ?? tf.zerosLike(logRatio),
    completionMean(values) {
      if (members === null) throw new Error("a mean over a completion needs to know its tokens");
      const tokens = tf.maximum(tf.sum(members, 1, true), 1); // [R, 1]
      const means = tf.div(tf.matMul(members, tf.reshape(values, [-1, 1])), tokens); // [R, 1]
      return tf.reshape(tf.matMul(members, means, true), [-1]); // [K]
    },
  };
}
