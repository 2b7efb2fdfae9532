/**
 * The operations that our models are made of, beyond plain matrix products. Each is a pure function of tensors
 * with its own gradient, on generic tfjs kernels, or on one fused kernel where the backend has it (fused.ts).
 * Arguments are borrowed, results belong to the caller. Static shapes and no read-back, so that all can be traced.
 */
import * as tf from "@tensorflow/tfjs";
import { differentiable, runFused, together } from "./fused.ts";

export { rematerialise } from "./rematerialise.ts";
export { tokenLogprobs } from "./token-logprobs.ts";

/**
 * RMSNorm, arXiv:1910.07467 eq. 4: y = w * x / sqrt(mean(x^2) + epsilon) over the last axis, gradients to both.
 *
 * Fused kernels:
 * - `RlptRmsNorm`            inputs x [N, H], w [H]; attrs epsilon; output y [N, H]
 * - `RlptRmsNormGrad`        inputs x [N, H], w [H], dy [N, H]; attrs epsilon; output dx [N, H]
 *   with r = 1/sqrt(mean(x^2) + epsilon), e = w*dy: dx = r*e - x * r^3 * mean(e*x)
 * - `RlptRmsNormWeightGrad`  inputs x [N, H], dy [N, H]; attrs epsilon; output dw [H] = sum_n dy*x*r
 * @param x [..., H]
 * @param w [H]
 * @returns the shape of x
 */
export function rmsNorm<T extends tf.Tensor>(x: T, w: tf.Tensor, epsilon: number): T {
  const width = w.shape[0]!;
  const rows = x.size / Math.max(1, width);
  const flat = tf.reshape(x, [rows, width]);
  const inverse = (input: tf.Tensor) => tf.rsqrt(tf.add(tf.mean(tf.square(input), 1, true), epsilon)); // [N, 1]
  const y = differentiable(
    { x: flat, w },
    (save) => {
      save([flat, w]);
      return (
        runFused("RlptRmsNorm", { x: flat, w }, { epsilon })?.[0] ?? tf.mul(tf.mul(flat, inverse(flat)), w)
      );
    },
    (dy, [input, weight]) => ({
      x: () =>
        runFused("RlptRmsNormGrad", { x: input!, w: weight!, dy }, { epsilon })?.[0] ??
        normInputGradient(input!, weight!, dy, inverse(input!)),
      w: () =>
        runFused("RlptRmsNormWeightGrad", { x: input!, dy }, { epsilon })?.[0] ??
        tf.sum(tf.mul(dy, tf.mul(input!, inverse(input!))), 0),
    }),
  );
  return tf.reshape(y, x.shape) as T;
}

function normInputGradient(x: tf.Tensor, w: tf.Tensor, dy: tf.Tensor, r: tf.Tensor): tf.Tensor {
  const e = tf.mul(dy, w);
  const slope = tf.mul(tf.mean(tf.mul(e, x), 1, true), tf.mul(tf.square(r), r)); // [N, 1]
  return tf.sub(tf.mul(e, r), tf.mul(x, slope));
}

/**
 * Rotary position embedding (arXiv:2104.09864) in the rotate-half pairing (i with i + D/2), together with the
 * transposition that puts heads before tokens. Gradient to x: the same rotation by the negative angle.
 *
 * Fused kernel `RlptRope`: inputs x, cos [C, T, D/2], sin [C, T, D/2] with C = 1 or R; attrs inverse (bool).
 * - inverse false: x [R, T, h, D] -> y [R, h, T, D], with a, b the halves of x: y = [a cos - b sin, b cos + a sin]
 * - inverse true:  x [R, h, T, D] -> y [R, T, h, D], y = [a cos + b sin, b cos - a sin]
 * @param x [R, T, h, D], the q or k projection [R*T, h*D] reshaped
 * @param cos [1 or R, T, D/2], any attention factor multiplied in
 * @returns [R, h, T, D]
 */
export function rope(x: tf.Tensor4D, cos: tf.Tensor3D, sin: tf.Tensor3D): tf.Tensor4D {
  return differentiable(
    { x },
    (save) => {
      save([cos, sin]);
      return rotate(x, cos, sin, false);
    },
    (dy, [c, s]) => ({ x: () => rotate(dy as tf.Tensor4D, c as tf.Tensor3D, s as tf.Tensor3D, true) }),
  ) as tf.Tensor4D;
}

function rotate(x: tf.Tensor4D, cos: tf.Tensor3D, sin: tf.Tensor3D, inverse: boolean): tf.Tensor4D {
  const fused = runFused("RlptRope", { x, cos, sin }, { inverse });
  if (fused) return fused[0] as tf.Tensor4D;
  const input = inverse ? tf.transpose(x, [0, 2, 1, 3]) : x; // [R, T, h, D]
  const half = input.shape[3] / 2;
  const a = tf.slice(input, [0, 0, 0, 0], [-1, -1, -1, half]);
  const b = tf.slice(input, [0, 0, 0, half], [-1, -1, -1, half]);
  const c = tf.expandDims(cos, 2); // [1 or R, T, 1, D/2]
  const s = inverse ? tf.neg(tf.expandDims(sin, 2)) : tf.expandDims(sin, 2);
  const rotated = tf.concat(
    [tf.sub(tf.mul(a, c), tf.mul(b, s)), tf.add(tf.mul(b, c), tf.mul(a, s))],
    3,
  ) as tf.Tensor4D;
  return inverse ? rotated : tf.transpose(rotated, [0, 2, 1, 3]);
}

/**
 * SwiGLU, arXiv:2002.05202 eq. 6 without the products: silu(gate) * up, silu(z) = z * sigmoid(z).
 *
 * Fused kernels:
 * - `RlptSwiGlu`      inputs gate, up, of one shape; no attrs; output of that shape
 * - `RlptSwiGluGrad`  inputs gate, up, dy, of one shape; no attrs; outputs [dgate, dup] of that shape, with
 *   s = sigmoid(gate): dgate = dy * up * s * (1 + gate * (1 - s)), dup = dy * gate * s
 */
export function swiglu<T extends tf.Tensor>(gate: T, up: T): T {
  return differentiable(
    { gate, up },
    (save) => {
      save([gate, up]);
      return runFused("RlptSwiGlu", { gate, up }, {})?.[0] ?? tf.mul(tf.mul(gate, tf.sigmoid(gate)), up);
    },
    (dy, [g, u]) =>
      together(["gate", "up"], () => {
        const fused = runFused("RlptSwiGluGrad", { gate: g!, up: u!, dy }, {});
        if (fused) return fused;
        const s = tf.sigmoid(g!);
        const slope = tf.mul(s, tf.add(1, tf.mul(g!, tf.sub(1, s))));
        return [tf.mul(tf.mul(dy, u!), slope), tf.mul(dy, tf.mul(g!, s))];
      }),
  ) as T;
}

/**
 * Attention weights: softmax over keys of scale * scores + mask. Query heads that share a key/value head lie
 * one after the other along the query axis (query q of the G*T is token q mod T), so no key is ever tiled.
 *
 * Fused kernels:
 * - `RlptMaskedSoftmax`      inputs scores [R, Nk, G*T, S], and unless absent mask [M, T, S] with M = 1 or R;
 *   attrs scale; output p [R, Nk, G*T, S],
 *   p[r, k, q, :] = softmax(scale * scores[r, k, q, :] + mask[M == 1 ? 0 : r, q mod T, :])
 * - `RlptMaskedSoftmaxGrad`  inputs p, dy [R, Nk, G*T, S]; attrs scale;
 *   output dscores = scale * p * (dy - sum_s(dy * p))
 * @param scores [R, Nk, G*T, S], raw products of queries and keys
 * @param mask [1 or R, T, S], added: 0 where seen, -1e30 where not (a row of S never all masked); null sees all
 */
export function maskedSoftmax(scores: tf.Tensor4D, mask: tf.Tensor3D | null, scale: number): tf.Tensor4D {
  return differentiable(
    { scores },
    (save) => {
      const p =
        runFused("RlptMaskedSoftmax", mask ? { scores, mask } : { scores }, { scale })?.[0] ??
        genericMaskedSoftmax(scores, mask, scale);
      save([p]);
      return p;
    },
    (dy, [p]) => ({
      scores: () => {
        const fused = runFused("RlptMaskedSoftmaxGrad", { p: p!, dy }, { scale });
        if (fused) return fused[0]!;
        const weighted = tf.mul(p!, dy);
        return tf.mul(tf.sub(weighted, tf.mul(p!, tf.sum(weighted, -1, true))), scale);
      },
    }),
  ) as tf.Tensor4D;
}

function genericMaskedSoftmax(scores: tf.Tensor4D, mask: tf.Tensor3D | null, scale: number): tf.Tensor {
  const scaled = tf.mul(scores, scale);
  if (!mask) return tf.softmax(scaled, -1);
  const [rows, heads, queries, keys] = scores.shape;
  const tokens = mask.shape[1];
  const grouped = tf.reshape(scaled, [rows, (heads * queries) / tokens, tokens, keys]);
  return tf.reshape(tf.softmax(tf.add(grouped, tf.expandDims(mask, 1)), -1), scores.shape);
}

/**
 * Rows of an embedding table. The gradient sums over equal ids.
 *
 * Fused kernel `RlptEmbeddingGrad`: inputs ids [N] int32, dy [N, H]; attrs rows (V); output [V, H].
 * The forward pass is tfjs's own `GatherV2`.
 * @param table [V, H]
 * @param ids [N], int32, each in [0, V)
 * @returns [N, H]
 */
export function embedding(table: tf.Tensor2D, ids: tf.Tensor1D): tf.Tensor2D {
  const [rows, width] = table.shape;
  return differentiable(
    { table },
    (save) => {
      save([ids]);
      return tf.gather(table, ids);
    },
    (dy, [index]) => ({
      table: () => {
        const fused = runFused("RlptEmbeddingGrad", { ids: index!, dy }, { rows });
        if (fused) return fused[0]!;
        if (tf.getKernel("UnsortedSegmentSum", tf.getBackend()) != null) {
          return tf.unsortedSegmentSum(dy as tf.Tensor2D, index as tf.Tensor1D, rows);
        }
        return tf.scatterND(tf.expandDims(index!, 1), dy, [rows, width]);
      },
    }),
  ) as tf.Tensor2D;
}

export interface AdamWStep {
  learningRate: number;
  beta1: number;
  beta2: number;
  epsilon: number;
  weightDecay: number;
  /** 1 for the first update. */
  step: number;
}

/**
 * One AdamW update (arXiv:1711.05101 algorithm 2) with PyTorch's reading of it: the weight decays by
 * learningRate * weightDecay first, and epsilon is added after the bias correction of the second moment:
 *   m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2
 *   w = w (1 - lr*wd) - lr / (1-b1^t) * m / (sqrt(v) / sqrt(1-b2^t) + eps)
 *
 * Fused kernel `RlptAdamW`: inputs w, m, v, g, of one shape; attrs decay = 1 - lr*wd, stepSize = lr / (1-b1^t),
 * beta1, beta2, secondScale = 1 / sqrt(1-b2^t), epsilon; outputs [w, m, v], new tensors of that shape,
 *   w = w*decay - stepSize * m / (sqrt(v)*secondScale + epsilon), with the new m and v.
 * @returns new tensors; the arguments stay the caller's
 */
export function adamwUpdate<T extends tf.Tensor>(
  w: T,
  m: T,
  v: T,
  g: T,
  options: AdamWStep,
): { w: T; m: T; v: T } {
  const { beta1, beta2, epsilon } = options;
  const decay = 1 - options.learningRate * options.weightDecay;
  const stepSize = options.learningRate / (1 - beta1 ** options.step);
  const secondScale = 1 / Math.sqrt(1 - beta2 ** options.step);
  const fused = runFused(
    "RlptAdamW",
    { w, m, v, g },
    { decay, stepSize, beta1, beta2, secondScale, epsilon },
  );
  if (fused) return { w: fused[0] as T, m: fused[1] as T, v: fused[2] as T };
  return tf.tidy(() => {
    const first = tf.add(tf.mul(m, beta1), tf.mul(g, 1 - beta1)) as T;
    const second = tf.add(tf.mul(v, beta2), tf.mul(tf.square(g), 1 - beta2)) as T;
    const scaled = tf.div(first, tf.add(tf.mul(tf.sqrt(second), secondScale), epsilon));
    return { w: tf.sub(tf.mul(w, decay), tf.mul(scaled, stepSize)) as T, m: first, v: second };
  });
}
