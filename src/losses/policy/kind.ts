/** A policy loss: how the ratio of policy to sampling policy weighs what a token has earned. Free of tensors. */
import type * as Tf from "@tensorflow/tfjs";
import type { z } from "zod";

/** The scored tokens of a micro-batch, without gradient. [K] each. */
export interface LossTokens {
  logprobs: Tf.Tensor1D;
  oldLogprobs: Tf.Tensor1D;
  /** log of the ratio r = pi / pi_old of each token: logprobs - oldLogprobs. */
  logRatio: Tf.Tensor1D;
  ratio: Tf.Tensor1D;
  advantages: Tf.Tensor1D;
  /** 1 for tokens that `select` chose. */
  selected: Tf.Tensor1D;
  /** Mean over the tokens of a completion that carry loss, at each of them. */
  completionMean(values: Tf.Tensor): Tf.Tensor1D;
}

/** What a loss makes of each token. [K] each. */
export interface TokenLosses {
  /** Before the weights of the mean. */
  loss: Tf.Tensor;
  /** w of d loss / d logprob = -w A: the weight that the policy gradient of the token gets; 0 where a bound stops it. */
  importance: Tf.Tensor;
  /** Further slope of the loss in the logprob, such as of a penalty. */
  penaltySlope?: Tf.Tensor;
  /** Tokens held by the lower and by the upper bound, 0 or 1; absent: the loss has none. */
  low?: Tf.Tensor;
  high?: Tf.Tensor;
}

/** Numbers of all tokens of an update that carry loss, in order. */
export interface SelectableTokens {
  advantages: ArrayLike<number>;
  /** Of the policy that sampled. */
  logprobs: ArrayLike<number>;
}

export interface PolicyLossKind<Schema extends z.ZodObject = z.ZodObject> {
  readonly kind: string;
  /** As its paper calls it. */
  readonly title: string;
  /** One line for docs. */
  readonly summary: string;
  /** Paper and equation. */
  readonly source: string;
  readonly options: Schema;
  /** Where the ratio is that of the whole completion: it has one advantage, and the mean is one over completions. */
  readonly wholeCompletions?: true;
  /** It reads algorithm.clip. */
  readonly clips?: true;
  /** Tokens without an advantage move the weights too. */
  readonly movesWithoutAdvantage?: true;
  /**
   * Tokens that are treated apart. @param draw uniform in [0, 1), one for each token
   * @returns 1 for each of them; `drop` says that they carry no policy loss
   */
  readonly select?: {
    drop: boolean;
    of(tokens: SelectableTokens, options: z.infer<Schema>, draw: (token: number) => number): Uint8Array;
  };
  /** Loss and slope of each token; absent: the clipped surrogate with algorithm.clip. @param tf given, so that options can be read without it */
  readonly of?: (tokens: LossTokens, options: z.infer<Schema>, tf: typeof Tf) => TokenLosses;
}

/** Checks a kind and keeps its types. */
export function definePolicyLoss<Kind extends string, Schema extends z.ZodObject>(
  kind: PolicyLossKind<Schema> & { kind: Kind },
): PolicyLossKind<Schema> & { kind: Kind } {
  return kind;
}
