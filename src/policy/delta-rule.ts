/**
 * The gated delta rule (arXiv:2412.06464 eq. 10): a memory S [Dk, Dv] that each token reads, and that forgets and is corrected:
 * S <- exp(g) S; S <- S + k (beta (v - k S)); y = q S. Computed in chunks of tokens by products of matrices (section 3.3;
 * docs/decisions/0026-delta-rule-in-chunks.md).
 */
import * as tf from "@tensorflow/tfjs";
import { differentiable } from "../backend/fused.ts";
import { withExactProducts } from "../backend/read.ts";
import { chunkOf, hiddenKey } from "./masks.ts";

/** Of B heads of all rows, one row's after the other's. */
export interface DeltaInputs {
  query: tf.Tensor3D; // [B, T, Dk]
  key: tf.Tensor3D; // [B, T, Dk], of length 1 or less
  value: tf.Tensor3D; // [B, T, Dv]
  /** beta, 0 to 1. [B, T] */
  strength: tf.Tensor2D;
  /** g, the logarithm of what is kept of the memory, 0 or less. [B, T] */
  decay: tf.Tensor2D;
}

/**
 * @param memory before the first token, [B, Dk, Dv]
 * @param reach of R rows (B is a multiple), [1 or R, n C, 1 + C] with n chunks of C tokens: 0 where a token has not begun
 *   anew since what was before its chunk (the first column) or since a token of the chunk, `hiddenKey` where it has, and at later
 *   tokens. Absent: nothing begins anew
 * @returns what is read, [B, T, Dv], and the memory after the last token
 */
export function gatedDeltaRule(
  { query, key, value, strength, decay }: DeltaInputs,
  memory: tf.Tensor3D,
  reach?: tf.Tensor3D,
): { read: tf.Tensor3D; memory: tf.Tensor3D } {
  const [heads, length] = value.shape;
  const size = chunkOf(length);
  const chunks = Math.ceil(length / size);
  /** [B, T, D] to [B n, C, D]; what fills the last chunk up writes and forgets nothing. */
  const cut = (x: tf.Tensor): tf.Tensor3D => {
    const missing = chunks * size - length;
    const whole = missing === 0 ? x : tf.concat([x, tf.zeros([heads, missing, x.shape[2]!])], 1);
    return tf.reshape(whole, [heads * chunks, size, x.shape[2]!]);
  };
  const [q, k, v] = [cut(query), cut(key), cut(value)];
  const beta = cut(tf.expandDims(strength, 2)); // [B n, C, 1]
  const slots = tf.reshape(cut(tf.expandDims(decay, 2)), [-1, size]) as tf.Tensor2D;
  const { within, before } = decays(slots, heads, reach);
  const last = (x: tf.Tensor3D) => tf.slice(x, [0, size - 1, 0], [-1, 1, -1]) as tf.Tensor3D;

  // what tokens of a chunk write depends on what earlier ones wrote: (I + A) fresh = beta (v - before k S)
  const betaKey = tf.mul(k, beta) as tf.Tensor3D;
  const overlap = tf.mul(
    tf.mul(tf.matMul(betaKey, k, false, true), within),
    mask([size, size], (row, column) => column < row),
  ) as tf.Tensor3D;
  const solved = size === 1 ? null : unitLowerInverse(overlap); // [B n, C, C]
  const solve = (x: tf.Tensor3D) => (solved === null ? x : (tf.matMul(solved, x) as tf.Tensor3D));
  const written = solve(tf.mul(v, beta)); // [B n, C, Dv]
  const expected = solve(tf.mul(betaKey, before)); // [B n, C, Dk]
  const scores = tf.mul(tf.matMul(q, k, false, true), within) as tf.Tensor3D; // [B n, C, C]
  const asked = tf.mul(q, before) as tf.Tensor3D; // [B n, C, Dk]
  const kept = tf.mul(k, tf.transpose(last(within), [0, 2, 1])) as tf.Tensor3D; // [B n, C, Dk]

  const apart = (x: tf.Tensor3D) => {
    const [, rows, columns] = x.shape;
    const each = chunks === 1 ? [x] : tf.split(tf.reshape(x, [heads, chunks, rows * columns]), chunks, 1);
    return each.map((part) => tf.reshape(part, [heads, rows, columns]) as tf.Tensor3D);
  };
  const parts = [written, expected, scores, asked, kept, last(before)].map(apart);
  const reads: tf.Tensor3D[] = [];
  let state = memory;
  for (let n = 0; n < chunks; n++) {
    const [w, e, s, a, left, share] = parts.map((all) => all[n]!);
    const fresh = tf.sub(w!, tf.matMul(e!, state)); // [B, C, Dv]
    reads.push(tf.add(tf.matMul(a!, state), tf.matMul(s!, fresh)));
    state = tf.add(tf.mul(state, share!), tf.matMul(left!, fresh, true, false));
  }
  const all = chunks === 1 ? reads[0]! : tf.concat(reads, 1); // [B, n C, Dv]
  return { read: tf.slice(all, [0, 0, 0], [-1, length, -1]) as tf.Tensor3D, memory: state };
}

/**
 * What is left at token i of what token j of the chunk wrote, [B n, C, C], 0 at later ones; and of what was there before the
 * chunk, [B n, C, 1].
 * @param decay [B n, C]
 */
function decays(
  decay: tf.Tensor2D,
  heads: number,
  reach: tf.Tensor3D | undefined,
): { within: tf.Tensor3D; before: tf.Tensor3D } {
  const [parts, size] = decay.shape;
  // each sum by itself: the difference of two sums from the chunk's start would be as coarse as these are large
  const since = mask([size, 1 + size], (row, column) => row >= column);
  const each = tf.mul(tf.mul(tf.ones([parts, size, 1 + size]), tf.expandDims(decay, 2)), since);
  // along the last axis: of another, tfjs permutes the gradient wrongly
  const between = tf.transpose(tf.cumsum(tf.transpose(each, [0, 2, 1]), 2), [0, 2, 1]); // [B n, C, 1 + C]
  const left = tf.exp(tf.add(between, masks(between.shape, heads, reach)));
  const [before, within] = tf.split(left, [1, size], 2) as [tf.Tensor3D, tf.Tensor3D];
  return { within, before };
}

/** `reach` of each chunk of each head. @param shape [B n, C, 1 + C] */
function masks([parts, size, columns]: number[], heads: number, reach: tf.Tensor3D | undefined): tf.Tensor {
  if (reach === undefined) {
    const later = Array.from({ length: size! }, (_, i) =>
      Array.from({ length: columns! }, (_, j) => (j > i + 1 ? hiddenKey : 0)),
    );
    return tf.tensor3d([later]);
  }
  const rows = reach.shape[0];
  const own = tf.reshape(reach, [rows, 1, (parts! / heads) * size! * columns!]);
  const each = rows === 1 ? heads : heads / rows;
  return tf.reshape(tf.tile(own, [1, each, 1]), [parts!, size!, columns!]);
}

/** 1 where it holds. [1, rows, columns] */
function mask(
  [rows, columns]: readonly [number, number],
  holds: (row: number, column: number) => boolean,
): tf.Tensor3D {
  const values = Float32Array.from({ length: rows * columns }, (_, at) =>
    Number(holds(Math.floor(at / columns), at % columns)),
  );
  return tf.tensor3d(values, [1, rows, columns]);
}

/**
 * (I + A)^-1 for A below the diagonal, by halves: with X the inverse of the blocks on the diagonal and L what joins two of
 * them, X - X L X is that of blocks twice as large. Products are exact: each error would enter all that follow.
 * @param a [N, C, C], 0 on and above the diagonal; C a power of two, 2 or more
 * @returns [N, C, C]; the gradient is that of all elements of A, also of those that must be 0
 */
export function unitLowerInverse(a: tf.Tensor3D): tf.Tensor3D {
  const size = a.shape[1];
  return differentiable(
    { a },
    (save) =>
      withExactProducts(() => {
        const joins = (block: number) =>
          tf.mul(
            a,
            mask(
              [size, size],
              (i, j) => i >> block === j >> block && (i >> (block - 1)) % 2 > (j >> (block - 1)) % 2,
            ),
          );
        let inverse = tf.sub(
          mask([size, size], (i, j) => i === j),
          joins(1),
        );
        for (let block = 2; 1 << block <= size; block++) {
          inverse = tf.sub(inverse, tf.matMul(tf.matMul(inverse, joins(block)), inverse));
        }
        save([inverse]);
        return inverse;
      }),
    (dy, [inverse]) => ({
      a: () =>
        withExactProducts(() =>
          tf.neg(tf.matMul(tf.matMul(inverse!, dy, true, false), inverse!, false, true)),
        ),
    }),
  ) as tf.Tensor3D;
}
