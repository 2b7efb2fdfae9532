/** Activations and norms that some families have instead of SwiGLU and RMSNorm, on generic kernels with their own gradients. */
import * as tf from "@tensorflow/tfjs";
import { differentiable, together } from "./fused.ts";

/** sqrt(2 / pi) */
const TANH_SCALE = Math.sqrt(2 / Math.PI);
const CUBE = 0.044715;
/** sqrt(1 / 2) and 1 / sqrt(2 pi) */
const HALF_ROOT = Math.SQRT1_2;
const DENSITY = 1 / Math.sqrt(2 * Math.PI);

/** GELU by tanh (arXiv:1606.08415 section 2): x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). */
export function geluTanh<T extends tf.Tensor>(x: T): T {
  const inner = (v: tf.Tensor) =>
    tf.tanh(tf.mul(tf.mul(v, tf.add(tf.mul(tf.square(v), CUBE), 1)), TANH_SCALE));
  return differentiable(
    { x },
    (save) => {
      save([x]);
      return tf.mul(tf.mul(x, 0.5), tf.add(inner(x), 1));
    },
    (dy, [input]) => ({
      x: () => {
        const v = input!;
        const t = inner(v);
        const slope = tf.mul(tf.add(tf.mul(tf.square(v), 3 * CUBE), 1), TANH_SCALE);
        const curve = tf.mul(tf.mul(tf.sub(1, tf.square(t)), slope), v);
        return tf.mul(dy, tf.mul(tf.add(tf.add(t, 1), curve), 0.5));
      },
    }),
  ) as T;
}

/** GELU, arXiv:1606.08415: x P(X <= x) for normal X, x/2 (1 + erf(x / sqrt(2))). */
export function gelu<T extends tf.Tensor>(x: T): T {
  const share = (v: tf.Tensor) => tf.mul(tf.add(tf.erf(tf.mul(v, HALF_ROOT)), 1), 0.5);
  return differentiable(
    { x },
    (save) => {
      save([x]);
      return tf.mul(x, share(x));
    },
    (dy, [input]) => ({
      x: () => {
        const v = input!;
        const density = tf.mul(tf.exp(tf.mul(tf.square(v), -0.5)), DENSITY);
        return tf.mul(dy, tf.add(share(v), tf.mul(v, density)));
      },
    }),
  ) as T;
}

/** x sigmoid(x), arXiv:1710.05941 with beta 1. */
export function silu<T extends tf.Tensor>(x: T): T {
  return tf.mul(x, tf.sigmoid(x)) as T;
}

/** x sigmoid(1.702 x), arXiv:1606.08415 section 2. */
export function quickGelu<T extends tf.Tensor>(x: T): T {
  return tf.mul(x, tf.sigmoid(tf.mul(x, 1.702))) as T;
}

/** c tanh(x / c): x near zero, never beyond c (arXiv:2408.00118 section 2). */
export function softcap<T extends tf.Tensor>(x: T, c: number): T {
  return differentiable(
    { x },
    (save) => {
      const t = tf.tanh(tf.div(x, c));
      save([t]);
      return tf.mul(t, c);
    },
    (dy, [t]) => ({ x: () => tf.mul(dy, tf.sub(1, tf.square(t!))) }),
  ) as T;
}

/**
 * LayerNorm, arXiv:1607.06450 eq. 4, over the last axis: y = w (x - mean(x)) / sqrt(var(x) + epsilon) + b, var divided by H.
 * @param x [N, H] @param w [H] @param b [H]
 */
export function layerNorm(x: tf.Tensor2D, w: tf.Tensor1D, b: tf.Tensor1D, epsilon: number): tf.Tensor2D {
  const standard = (v: tf.Tensor) => {
    const centred = tf.sub(v, tf.mean(v, 1, true));
    const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centred), 1, true), epsilon)); // [N, 1]
    return { unit: tf.mul(centred, inverse), inverse };
  };
  return differentiable(
    { x, w, b },
    (save) => {
      save([x, w]);
      return tf.add(tf.mul(standard(x).unit, w), b);
    },
    (dy, [input, weight]) => ({
      ...together(["x", "w"], () => {
        const { unit, inverse } = standard(input!);
        const e = tf.mul(dy, weight!);
        const along = tf.mul(unit, tf.mean(tf.mul(e, unit), 1, true));
        const dx = tf.mul(tf.sub(tf.sub(e, tf.mean(e, 1, true)), along), inverse);
        return [dx, tf.sum(tf.mul(dy, unit), 0)];
      }),
      b: () => tf.sum(dy, 0),
    }),
  ) as tf.Tensor2D;
}
