/** LFM2's short convolution between two gates (`ShortConvConfig`). */
import * as tf from "@tensorflow/tfjs";
import { convolve, lastInputs, nothingBefore } from "./causal-conv.ts";
import type { ShortConvConfig } from "./interfaces.ts";
import { linear, type WeightView } from "./linear.ts";
import type { Recurrence } from "./recurrence.ts";

/** What is convolved is b * u, and the result is times c. @param x the layer's normed input [N, H] */
export function shortConv({ input, conv }: ShortConvConfig, x: tf.Tensor2D, view: WeightView): Recurrence {
  const [b, c, u] = tf.split(linear(x, input, view), 3, 1) as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
  return {
    inputs: [tf.mul(b, u)],
    start: (rows) => [nothingBefore(conv, rows)],
    run: ([own], [before], tables) => ({
      read: convolve(conv, before as tf.Tensor3D, own!, tables.taps, view),
      states: [lastInputs(before as tf.Tensor3D, own!)],
    }),
    finish: (read) => tf.mul(c, read),
  };
}
