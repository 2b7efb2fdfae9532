/** The smallest policy there is: a table of logits, a row for each token's state. In float64, and on tensors. */
import * as tf from "@tensorflow/tfjs";
import { createRng } from "../lib/rng.ts";

export interface TinyPolicy {
  /** Logits, [K * V]. */
  table: number[];
  vocabulary: number;
  /** The token that was sampled in each state. [K] */
  targets: number[];
}

export function tinyPolicy(seed: number, states: number, vocabulary = 3): TinyPolicy {
  const rng = createRng(seed).fork("policy");
  return {
    table: Array.from({ length: states * vocabulary }, (_, i) => Math.fround(1.2 * rng.normal(i))),
    vocabulary,
    targets: Array.from({ length: states }, (_, k) => rng.fork("targets").integer(vocabulary, k)),
  };
}

/** log softmax of each state's row at its target, float64. [K] */
export function logprobsOf({ vocabulary, targets }: TinyPolicy, table: readonly number[]): number[] {
  return targets.map((target, k) => {
    const row = table.slice(k * vocabulary, (k + 1) * vocabulary);
    return row[target]! - Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
  });
}

/** Gradient of a loss of the logprobs in the table, through the tape. */
export async function tableGradient(
  { table, vocabulary, targets }: TinyPolicy,
  lossOf: (logprobs: tf.Tensor1D) => tf.Scalar,
): Promise<{ value: number; gradient: Float32Array }> {
  const { value, grad } = tf.tidy(() => {
    const chosen = tf.tensor2d(
      targets.map((target) => Array.from({ length: vocabulary }, (_, v) => (v === target ? 1 : 0))),
    );
    return tf.valueAndGrad((logits: tf.Tensor) => {
      const logprobs = tf.sum(tf.mul(tf.logSoftmax(tf.reshape(logits, [-1, vocabulary])), chosen), 1);
      return lossOf(logprobs as tf.Tensor1D);
    })(tf.tensor1d(table));
  });
  const [number, gradient] = [(await value.data())[0]!, (await grad.data<"float32">()).slice()];
  tf.dispose([value, grad]);
  return { value: number, gradient };
}

/** Central differences of a float64 function of the table. */
export function differences(
  fn: (table: readonly number[]) => number,
  table: readonly number[],
  h = 1e-5,
): number[] {
  const point = [...table];
  return point.map((value, i) => {
    point[i] = value + h;
    const above = fn(point);
    point[i] = value - h;
    const below = fn(point);
    point[i] = value;
    return (above - below) / (2 * h);
  });
}
