/** Log-probabilities of chosen tokens without ever holding [tokens, vocabulary]. */
import * as tf from "@tensorflow/tfjs";
import { byRows } from "./by-rows.ts";
import { differentiable, runFused, together } from "./fused.ts";

/** Most logits that stand in memory at once: 2^23 floats, 32 MiB (170 tokens of a 49,152-word vocabulary). */
const SLICE_ELEMENTS = 2 ** 23;

export interface TokenLogprobOptions {
  /** "vh": outputWeight is [V, H] (a tied embedding); "hv": [H, V]. */
  layout: "vh" | "hv";
  /** Logits are divided by it. */
  temperature: number;
  /** c: logits are c tanh(hidden W / c), before the temperature; null or absent: hidden W. */
  softcap?: number | null;
  /** false for a frozen output weight: its gradient, the largest product of the backward pass, is skipped. */
  weightGradient: boolean;
  /** The entropy is differentiable too: another term in the backward pass, by generic operations. */
  entropyGradient?: boolean;
  /** Tokens whose logits stand in memory at once; by default 2^23 / V. */
  sliceTokens?: number;
}

/**
 * log softmax(hidden W / temperature) at the targets, and the entropy of the same distribution. Logits are made
 * slice by slice. Where the logprobs' gradient goes to hidden alone it is made beside them, up to its factor, which is one number
 * per token; else logits are made again in the backward pass: d log p(t) / d logits = (1[v = t] - p) / temperature, and
 * where the entropy has a gradient, d entropy / d logits = -p (log p + entropy) / temperature.
 *
 * Fused kernels, on one slice of k tokens, z = logits / temperature:
 * - `RlptTokenStats`        inputs logits [k, V], targets [k] int32; attrs temperature; output [k, 3]:
 *   columns logprob z[t] - lse, entropy lse - sum_v softmax(z)_v z_v, and lse = logsumexp_v(z)
 * - `RlptTokenLogprobGrad`  inputs logits [k, V], targets [k] int32, lse [k], dy [k]; attrs temperature;
 *   output dlogits [k, V] = dy / temperature * (1[v = target] - exp(z - lse))
 * @param hidden [K, H], after the final norm
 * @param targets [K], int32
 * @returns logprobs [K], differentiable in hidden and, unless frozen, outputWeight; entropy [K], nats, without gradient
 *   unless `entropyGradient`
 */
export function tokenLogprobs(
  hidden: tf.Tensor2D,
  outputWeight: tf.Tensor2D,
  targets: tf.Tensor1D,
  options: TokenLogprobOptions,
): { logprobs: tf.Tensor1D; entropy: tf.Tensor1D } {
  const { layout, temperature, weightGradient, entropyGradient = false, softcap = null } = options;
  const [tokens, width] = hidden.shape;
  const vocabulary = outputWeight.shape[layout === "vh" ? 0 : 1];
  const slice = options.sliceTokens ?? Math.max(1, Math.floor(SLICE_ELEMENTS / vocabulary));
  const transposed = layout === "vh";
  const logitsOf = (h: tf.Tensor, w: tf.Tensor2D) =>
    capped(tf.matMul(h as tf.Tensor2D, w, false, transposed) as tf.Tensor2D, softcap);
  if (!weightGradient && !entropyGradient && tapeIsOn()) {
    return withUnitGradient(hidden, outputWeight, targets, { transposed, temperature, slice, softcap });
  }

  // two columns, so that one operation gives both: logprob and entropy
  const both = differentiable(
    weightGradient ? { hidden, outputWeight } : { hidden },
    (save) => {
      const { rows: stats } = byRows(
        [hidden, targets],
        { size: slice, width: 3, sumShape: null },
        ([h, t]) => {
          const logits = logitsOf(h!, outputWeight);
          return { rows: tokenStats(logits, t as tf.Tensor1D, temperature), sum: null };
        },
      ); // [K, 3]
      save([hidden, outputWeight, targets, column(stats, 2), column(stats, 1)]);
      return tf.slice(stats, [0, 0], [tokens, 2]);
    },
    (dy, saved) =>
      together(["hidden", "outputWeight"], () => {
        const [h, w, t, lse, entropy] = saved as [
          tf.Tensor2D,
          tf.Tensor2D,
          ...[tf.Tensor1D, tf.Tensor1D, tf.Tensor1D],
        ];
        const inputs = [h, t, lse, column(dy, 0), entropy, column(dy, 1)];
        const { rows: dhidden, sum: weightSum } = byRows(
          inputs,
          { size: slice, width, sumShape: weightGradient ? w.shape : null },
          (slices, before) => {
            const part = slices[0] as tf.Tensor2D;
            const [id, partLse, slope, partEntropy, entropySlope] = slices.slice(1) as tf.Tensor1D[];
            const logits = logitsOf(part, w);
            let dlogits = tokenLogprobGradient(logits, id!, partLse!, slope!, temperature);
            if (entropyGradient) {
              const own = [partEntropy!, entropySlope!] as const;
              dlogits = tf.add(dlogits, tokenEntropyGradient(logits, partLse!, ...own, temperature));
            }
            dlogits = capGradient(dlogits, logits, softcap);
            const rows = tf.matMul(dlogits, w, false, !transposed) as tf.Tensor2D;
            if (!weightGradient) return { rows, sum: null };
            const dw = transposed
              ? tf.matMul(dlogits, part, true, false)
              : tf.matMul(part, dlogits, true, false);
            return { rows, sum: before ? tf.add(before, dw) : dw };
          },
        );
        return weightGradient ? [dhidden, weightSum ?? tf.zerosLike(w)] : [dhidden];
      }),
  );
  return { logprobs: column(both, 0), entropy: column(both, 1) };
}

/** Is what is computed now differentiated? */
function tapeIsOn(): boolean {
  return (tf.engine() as unknown as { isTapeOn(): boolean }).isTapeOn();
}

/** Two products per slice instead of three: d log p(t) / d hidden = (1[v = t] - p) W^T / temperature needs no slope. */
function withUnitGradient(
  hidden: tf.Tensor2D,
  outputWeight: tf.Tensor2D,
  targets: tf.Tensor1D,
  {
    transposed,
    temperature,
    slice,
    softcap,
  }: { transposed: boolean; temperature: number; slice: number; softcap: number | null },
): { logprobs: tf.Tensor1D; entropy: tf.Tensor1D } {
  const [tokens, width] = hidden.shape;
  const both = differentiable(
    { hidden },
    (save) => {
      const { rows } = byRows(
        [hidden, targets],
        { size: slice, width: 3 + width, sumShape: null },
        ([h, t]) => {
          const ids = t as tf.Tensor1D;
          const product = tf.matMul(h as tf.Tensor2D, outputWeight, false, transposed) as tf.Tensor2D;
          const logits = capped(product, softcap);
          const stats = tokenStats(logits, ids, temperature);
          const own = tokenLogprobGradient(logits, ids, column(stats, 2), tf.ones(ids.shape), temperature);
          const slopes = capGradient(own, logits, softcap);
          return {
            rows: tf.concat([stats, tf.matMul(slopes, outputWeight, false, !transposed)], 1),
            sum: null,
          };
        },
      ); // [K, 3 + H]
      save([tf.slice(rows, [0, 3], [tokens, width])]);
      return tf.slice(rows, [0, 0], [tokens, 2]);
    },
    (dy, [unit]) => ({ hidden: () => tf.mul(unit!, tf.slice(dy, [0, 0], [tokens, 1])) }),
  );
  return { logprobs: column(both, 0), entropy: column(both, 1) };
}

function capped(product: tf.Tensor2D, c: number | null): tf.Tensor2D {
  return c === null ? product : tf.mul(tf.tanh(tf.div(product, c)), c);
}

/** From the gradient of capped logits to that of the product: d/dx c tanh(x / c) = 1 - tanh(x / c)^2. */
function capGradient(dlogits: tf.Tensor2D, logits: tf.Tensor2D, c: number | null): tf.Tensor2D {
  return c === null ? dlogits : tf.mul(dlogits, tf.sub(1, tf.square(tf.div(logits, c))));
}

function column(x: tf.Tensor, index: number): tf.Tensor1D {
  return tf.reshape(tf.slice(x, [0, index], [-1, 1]), [x.shape[0]!]) as tf.Tensor1D;
}

function tokenStats(logits: tf.Tensor2D, targets: tf.Tensor1D, temperature: number): tf.Tensor2D {
  const fused = runFused("RlptTokenStats", { logits, targets }, { temperature });
  if (fused) return fused[0] as tf.Tensor2D;
  const [tokens, vocabulary] = logits.shape;
  const z = temperature === 1 ? logits : tf.div(logits, temperature);
  const shifted = tf.sub(z, tf.max(z, 1, true)); // [k, V]; every statistic but lse ignores the shift
  const mass = tf.exp(shifted);
  const total = tf.sum(mass, 1); // [k]
  const logTotal = tf.log(total);
  const offsets = tf.range(0, tokens * vocabulary, vocabulary, "int32");
  const flat = tf.reshape(shifted, [tokens * vocabulary, 1]);
  const picked = tf.reshape(tf.gather(flat, tf.add(targets, offsets)), [tokens]);
  const entropy = tf.sub(logTotal, tf.div(tf.sum(tf.mul(mass, shifted), 1), total));
  const lse = tf.add(logTotal, tf.reshape(tf.max(z, 1), [tokens]));
  return tf.stack([tf.sub(picked, logTotal), entropy, lse], 1) as tf.Tensor2D;
}

function tokenLogprobGradient(
  logits: tf.Tensor2D,
  targets: tf.Tensor1D,
  lse: tf.Tensor1D,
  dy: tf.Tensor1D,
  temperature: number,
): tf.Tensor2D {
  const fused = runFused("RlptTokenLogprobGrad", { logits, targets, lse, dy }, { temperature });
  if (fused) return fused[0] as tf.Tensor2D;
  const z = temperature === 1 ? logits : tf.div(logits, temperature);
  const p = tf.exp(tf.sub(z, tf.expandDims(lse, 1)));
  const hot = tf.oneHot(targets, logits.shape[1]) as tf.Tensor2D;
  const slope = tf.expandDims(temperature === 1 ? dy : tf.div(dy, temperature), 1);
  return tf.mul(tf.sub(hot, p), slope);
}

/** dy * d entropy / d logits. [k, V] @param entropy, dy [k] */
function tokenEntropyGradient(
  logits: tf.Tensor2D,
  lse: tf.Tensor1D,
  entropy: tf.Tensor1D,
  dy: tf.Tensor1D,
  temperature: number,
): tf.Tensor2D {
  const z = temperature === 1 ? logits : tf.div(logits, temperature);
  const logp = tf.sub(z, tf.expandDims(lse, 1));
  const slope = tf.expandDims(tf.div(dy, -temperature), 1);
  return tf.mul(tf.mul(tf.exp(logp), tf.add(logp, tf.expandDims(entropy, 1))), slope);
}
