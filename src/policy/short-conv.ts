/** LFM2's short convolution between two gates (`ShortConvConfig`), over rows and over one token with a state. */
import * as tf from "@tensorflow/tfjs";
import type { LayerContext } from "./batch-context.ts";
import type { ShortConvConfig } from "./interfaces.ts";
import { linear, type WeightView, weight } from "./linear.ts";
import { repeatRows } from "./repeat-rows.ts";

/** What is convolved, b * u, and the gate on what comes out, [N, H] each. @param x normed input [N, H] */
function gates(mixer: ShortConvConfig, x: tf.Tensor2D, view: WeightView) {
  const [b, gate, u] = tf.split(linear(x, mixer.input, view), 3, 1) as [
    tf.Tensor2D,
    tf.Tensor2D,
    tf.Tensor2D,
  ];
  return { input: tf.mul(b, u) as tf.Tensor2D, gate };
}

/**
 * Sum over k of kernel[k] * x[t - (K - 1) + k], for each channel.
 * @param before what stands before each row, [R, K - 1, H]
 * @param x [R, T, H]
 * @param taps [1 or R, T, K - 1]; absent: every token that a kernel reaches is of its own sample
 * @returns [R, T, H]
 */
function convolve(
  mixer: ShortConvConfig,
  before: tf.Tensor3D,
  x: tf.Tensor3D,
  taps: tf.Tensor3D | undefined,
  view: WeightView,
): tf.Tensor3D {
  const { kernel } = mixer;
  const [rows, length, width] = x.shape;
  const all = tf.concat([before, x], 1) as tf.Tensor3D; // [R, K - 1 + T, H]
  const kernels = tf.split(weight<tf.Tensor3D>(view, `${mixer.conv}.weight`), kernel, 2); // K of [H, 1, 1]
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
  return mixer.bias ? tf.add(sum, weight(view, `${mixer.conv}.bias`)) : sum;
}

/** The last K - 1 inputs of each row. @param x [R, T, H], T at least 1 */
function lastInputs(before: tf.Tensor3D, x: tf.Tensor3D): tf.Tensor3D {
  const kept = before.shape[1];
  return tf.slice(tf.concat([before, x], 1), [0, x.shape[1], 0], [-1, kept, -1]) as tf.Tensor3D;
}

function nothingBefore({ kernel }: ShortConvConfig, rows: number, width: number): tf.Tensor3D {
  return tf.zeros([rows, kernel - 1, width]);
}

/**
 * A batch's rows; completions go on from their prompts' last inputs.
 * @param x the layer's normed input [N, H]
 * @returns what `output` is applied to, [N, H]
 */
export function shortConv(
  mixer: ShortConvConfig,
  x: tf.Tensor2D,
  view: WeightView,
  context: LayerContext,
): tf.Tensor2D {
  const { rows, length, tables, completions } = context;
  const { input, gate } = gates(mixer, x, view);
  const width = x.shape[1];
  const none = nothingBefore(mixer, rows, width);
  if (completions === null) {
    const y = convolve(mixer, none, tf.reshape(input, [rows, length, width]), tables.taps, view);
    return tf.mul(gate, tf.reshape(y, [-1, width]));
  }
  const times = completions.rows / rows;
  const [prompt, rest] = tf.split(
    tf.reshape(input, [rows, -1, width]) as tf.Tensor3D,
    [length, times * completions.length],
    1,
  ) as [tf.Tensor3D, tf.Tensor3D];
  const own = tf.reshape(rest, [completions.rows, completions.length, width]) as tf.Tensor3D;
  const behind = repeatRows(lastInputs(none, prompt), times) as tf.Tensor3D;
  const parts = [
    convolve(mixer, none, prompt, tables.taps, view),
    convolve(mixer, behind, own, completions.tables.taps, view),
  ];
  const joined = tf.concat(
    parts.map((part) => tf.reshape(part, [rows, -1, width])),
    1,
  );
  return tf.mul(gate, tf.reshape(joined, [-1, width]));
}

/** Prompts: as `shortConv`, and every token's input, of which decoding needs the last. @returns inputs [R, T, H] */
export function shortConvPrompt(
  mixer: ShortConvConfig,
  x: tf.Tensor2D,
  view: WeightView,
  { rows, length, tables }: LayerContext,
): { mixed: tf.Tensor2D; inputs: tf.Tensor3D } {
  const { input, gate } = gates(mixer, x, view);
  const width = x.shape[1];
  const inputs = tf.reshape(input, [rows, length, width]) as tf.Tensor3D;
  const y = convolve(mixer, nothingBefore(mixer, rows, width), inputs, tables.taps, view);
  return { mixed: tf.mul(gate, tf.reshape(y, [-1, width])), inputs };
}

/** One more token of each row. @param state the last K - 1 inputs, [B, K - 1, H] @param x [B, H] */
export function shortConvStep(
  mixer: ShortConvConfig,
  x: tf.Tensor2D,
  view: WeightView,
  state: tf.Tensor3D,
): { mixed: tf.Tensor2D; state: tf.Tensor3D } {
  const { input, gate } = gates(mixer, x, view);
  const own = tf.expandDims(input, 1) as tf.Tensor3D;
  const y = convolve(mixer, state, own, undefined, view);
  return { mixed: tf.mul(gate, tf.reshape(y, x.shape)), state: lastInputs(state, own) };
}
