/** What rows of one prompt have in common, once per row. */
import * as tf from "@tensorflow/tfjs";
import { differentiable } from "../backend/fused.ts";

/**
 * Each row `times` times, one after the other; the gradient is the sum over the copies.
 * @param x [P, ...rest]
 * @returns [P * times, ...rest]
 */
export function repeatRows(x: tf.Tensor, times: number): tf.Tensor {
  const [rows, ...rest] = x.shape as [number, ...number[]];
  if (times === 1) return x;
  const size = rest.reduce((product, n) => product * n, 1);
  return differentiable(
    { x },
    () => tf.reshape(tf.tile(tf.reshape(x, [rows, 1, size]), [1, times, 1]), [rows * times, ...rest]),
    (dy) => ({ x: () => tf.reshape(tf.sum(tf.reshape(dy, [rows, times, size]), 1), x.shape) }),
  );
}
