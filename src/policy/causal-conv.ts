/** Convolutions over time with a kernel for each channel (`CausalConvConfig`), over rows that go on from a state. */
import * as tf from "@tensorflow/tfjs";
import type { CausalConvConfig } from "./interfaces.ts";
import { type WeightView, weight } from "./linear.ts";

/**
 * Sum over k of kernel[k] * x[t - (K - 1) + k], for each channel.
 * @param before what stands before each row, [R, K - 1, channels]
 * @param x [R, T, channels]
 * @param taps [1 or R, T, K - 1]; absent: every token that a kernel reaches is of its own sample
 * @returns [R, T, channels]
 */
export function convolve(
  { module, kernel, bias }: CausalConvConfig,
  before: tf.Tensor3D,
  x: tf.Tensor3D,
  taps: tf.Tensor3D | undefined,
  view: WeightView,
): tf.Tensor3D {
  const [rows, length, width] = x.shape;
  const all = tf.concat([before, x], 1) as tf.Tensor3D; // [R, K - 1 + T, channels]
  const kernels = tf.split(weight<tf.Tensor3D>(view, `${module}.weight`), kernel, 2); // K of [channels, 1, 1]
  const terms = kernels.map((one, k) => {
    const shifted = tf.slice(all, [0, k, 0], [rows, length, width]);
    const reach = kernel - 1 - k;
    const own =
      taps === undefined || reach === 0
        ? shifted
        : tf.mul(shifted, tf.slice(taps, [0, 0, reach - 1], [-1, -1, 1]));
    return tf.mul(own, tf.reshape(one, [1, 1, width]));
  });
  const sum = terms.reduce((a, b) => tf.add(a, b)) as tf.Tensor3D;
  return bias ? tf.add(sum, weight(view, `${module}.bias`)) : sum;
}

/** The last K - 1 inputs of each row. @param x [R, T, channels], T at least 1 */
export function lastInputs(before: tf.Tensor3D, x: tf.Tensor3D): tf.Tensor3D {
  const kept = before.shape[1];
  return tf.slice(tf.concat([before, x], 1), [0, x.shape[1], 0], [-1, kept, -1]) as tf.Tensor3D;
}

/** What stands before a row that begins: zeros, [R, K - 1, channels]. */
export function nothingBefore({ kernel, channels }: CausalConvConfig, rows: number): tf.Tensor3D {
  return tf.zeros([rows, kernel - 1, channels]);
}
