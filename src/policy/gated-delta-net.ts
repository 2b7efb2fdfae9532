/** The gated delta net of Qwen3.5 (`DeltaNetConfig`; arXiv:2412.06464 section 3, with a convolution before it and a gate after). */
import * as tf from "@tensorflow/tfjs";
import { silu } from "../backend/activations.ts";
import { rmsNorm, swiglu } from "../backend/ops.ts";
import type { LayerTables } from "./batch-context.ts";
import { convolve, lastInputs, nothingBefore } from "./causal-conv.ts";
import { gatedDeltaRule } from "./delta-rule.ts";
import type { DeltaNetConfig } from "./interfaces.ts";
import { linear, type WeightView, weight } from "./linear.ts";
import type { Recurrence } from "./recurrence.ts";
import { repeatRows } from "./repeat-rows.ts";

/** Added under the root of a query's and a key's length. */
const LENGTH_EPSILON = 1e-6;

/**
 * A token writes with strength sigmoid(b) and keeps exp(g) of the memory, g = -exp(rate) softplus(a + rateBias). What a head
 * reads is normed and goes through silu of its gate.
 * @param epsilon of the norm
 * @param x the layer's normed input [N, H]
 */
export function deltaNet(
  mixer: DeltaNetConfig,
  epsilon: number,
  x: tf.Tensor2D,
  view: WeightView,
): Recurrence {
  const { conv, valueHeads, keyDim, valueDim } = mixer;
  const strength = tf.sigmoid(linear(x, mixer.strength, view));
  const speed = tf.softplus(tf.add(linear(x, mixer.decay, view), weight(view, mixer.rateBias)));
  const decay = tf.neg(tf.mul(tf.exp(weight(view, mixer.rate)), speed)) as tf.Tensor2D;
  return {
    inputs: [linear(x, mixer.input, view), strength, decay],
    start: (rows) => [nothingBefore(conv, rows), tf.zeros([rows, valueHeads, keyDim, valueDim])],
    run: ([input, b, g], [before, memory], tables) => {
      const mixed = silu(convolve(conv, before as tf.Tensor3D, input!, tables.taps, view));
      const { read, memory: after } = readMemory(mixer, [mixed, b!, g!], memory as tf.Tensor4D, tables);
      return { read, states: [lastInputs(before as tf.Tensor3D, input!), after] };
    },
    finish: (read) => {
      const heads = tf.reshape(read, [-1, valueDim]) as tf.Tensor2D;
      const normed = rmsNorm(heads, weight(view, `${mixer.norm}.weight`), epsilon);
      return swiglu(linear(x, mixer.gate, view), tf.reshape(normed, read.shape) as tf.Tensor2D);
    },
  };
}

/**
 * Heads apart, queries and keys of length one, and the delta rule over time.
 * @param mixed queries, keys and values after the convolution, [R, T, 2 Hk Dk + Hv Dv]
 * @param strength [R, T, Hv]
 * @param decay [R, T, Hv]
 * @param memory [R, Hv, Dk, Dv]
 * @returns [R, T, Hv Dv]
 */
function readMemory(
  { keyHeads, valueHeads, keyDim, valueDim }: DeltaNetConfig,
  [mixed, strength, decay]: readonly [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D],
  memory: tf.Tensor4D,
  { real, reach }: LayerTables,
): { read: tf.Tensor3D; memory: tf.Tensor4D } {
  const [rows, length] = mixed.shape;
  const widths = [keyHeads * keyDim, keyHeads * keyDim, valueHeads * valueDim];
  const [q, k, v] = tf.split(mixed, widths, 2) as [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D];
  const headsFirst = (y: tf.Tensor3D, heads: number) => {
    const apart = tf.reshape(y, [rows, length, heads, -1]);
    return tf.reshape(tf.transpose(apart, [0, 2, 1, 3]), [rows * heads, length, -1]) as tf.Tensor3D;
  };
  // x / sqrt(sum x^2 + e) is the norm by the mean with e / D and a weight of sqrt(1 / D); queries are divided by sqrt(D) too
  const ofLength = (y: tf.Tensor3D, size: number) => {
    const unit = rmsNorm(
      headsFirst(y, keyHeads),
      tf.fill([keyDim], size / Math.sqrt(keyDim)),
      LENGTH_EPSILON / keyDim,
    );
    return repeatRows(unit, valueHeads / keyHeads) as tf.Tensor3D;
  };
  // padding writes nothing and forgets nothing
  const perHead = (y: tf.Tensor3D) => {
    const own = real === undefined ? y : tf.mul(y, real);
    return tf.reshape(tf.transpose(own, [0, 2, 1]), [rows * valueHeads, length]) as tf.Tensor2D;
  };
  const { read, memory: after } = gatedDeltaRule(
    {
      query: ofLength(q, keyDim ** -0.5),
      key: ofLength(k, 1),
      value: headsFirst(v, valueHeads),
      strength: perHead(strength),
      decay: perHead(decay),
    },
    tf.reshape(memory, [rows * valueHeads, keyDim, valueDim]) as tf.Tensor3D,
    reach,
  );
  const tokensFirst = tf.transpose(tf.reshape(read, [rows, valueHeads, length, valueDim]), [0, 2, 1, 3]);
  return {
    read: tf.reshape(tokensFirst, [rows, length, valueHeads * valueDim]) as tf.Tensor3D,
    memory: tf.reshape(after, memory.shape),
  };
}
