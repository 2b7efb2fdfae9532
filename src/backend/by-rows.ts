/** Row by row, where the whole would not fit. */
import * as tf from "@tensorflow/tfjs";
import { deviceCount } from "./devices.ts";
import { currentEngine } from "./engine.ts";

export interface RowsAndSum {
  rows: tf.Tensor;
  sum: tf.Tensor | null;
}

/**
 * fn over rows, a slice at a time: what it makes on the way stands in memory for one slice only. Backends that compile do it
 * in a loop, where rows of zeros fill up the last slice; they must add nothing to the sum.
 * @param inputs [K, ...] each
 * @param options.size rows of a slice, on each device
 * @param options.width columns of fn's rows
 * @param options.sumShape shape of fn's sum; null: it has none
 * @param fn of a slice of each input and the sum so far (null before the first) to rows [k, width] and the new sum, which is a
 *   tensor of its own
 * @returns rows [K, width]; no sum where there are no rows
 */
export function byRows(
  inputs: readonly tf.Tensor[],
  options: { size: number; width: number; sumShape: readonly number[] | null },
  fn: (slices: tf.Tensor[], sum: tf.Tensor | null) => RowsAndSum,
): { rows: tf.Tensor2D; sum: tf.Tensor | null } {
  const { width, sumShape } = options;
  const count = inputs[0]!.shape[0]!;
  const { programs } = currentEngine();
  // on each device
  const size = options.size * (count % deviceCount() === 0 ? deviceCount() : 1);
  if (programs !== null && count > size) return programs.loopOverRows(inputs, size, width, sumShape, fn);
  const parts: tf.Tensor2D[] = [];
  let sum: tf.Tensor | null = null;
  for (let start = 0; start < count; start += size) {
    const before: tf.Tensor | null = sum;
    const own = Math.min(size, count - start);
    const [rows, next] = tf.tidy(() => {
      const slices = inputs.map((x) => (own === count ? x : tf.slice(x, start, own)));
      const made = fn(slices, before);
      return made.sum === null ? [made.rows] : [made.rows, made.sum];
    });
    before?.dispose();
    parts.push(rows as tf.Tensor2D);
    sum = next ?? null;
  }
  return { rows: joined(parts, width), sum };
}

function joined(parts: tf.Tensor2D[], width: number): tf.Tensor2D {
  if (parts.length === 0) return tf.zeros([0, width]);
  return parts.length === 1 ? parts[0]! : (tf.concat(parts, 0) as tf.Tensor2D);
}
