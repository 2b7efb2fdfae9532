/** Estimates of KL(policy || reference) from one sampled token, a row each, with d = reference - policy logprob. */
import type * as Tf from "@tensorflow/tfjs";

export interface KlEstimator {
  /** For docs/config.md. */
  summary: string;
  ofNumber(d: number): number;
  /** The same on tensors. @param tf given, so that options can be read without it */
  ofTensor(d: Tf.Tensor1D, tf: typeof Tf): Tf.Tensor1D;
}

export const klEstimators = {
  k1: { summary: "-d", ofNumber: (d) => -d, ofTensor: (d, tf) => tf.neg(d) },
  k2: {
    summary: "d^2/2",
    ofNumber: (d) => (d * d) / 2,
    ofTensor: (d, tf) => tf.mul(tf.square(d), 0.5),
  },
  k3: {
    summary: "e^d - d - 1, GRPO's",
    ofNumber: (d) => Math.exp(d) - d - 1,
    ofTensor: (d, tf) => tf.sub(tf.sub(tf.exp(d), d), 1),
  },
} satisfies Record<string, KlEstimator>;
