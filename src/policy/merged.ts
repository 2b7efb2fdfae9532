import * as tf from "@tensorflow/tfjs";
import { quantisedBytes } from "../backend/quantised.ts";
import { readsSynchronously } from "../backend/read.ts";
import type { Adapter } from "./linear.ts";

/** A weight [in, out] with its adapter merged in, W + scale * A B, in the layout it is held in. */
export function mergedValues(weight: tf.Tensor, adapter: Adapter | undefined): Float32Array {
  if (!readsSynchronously()) return mergedOnHost(weight, adapter);
  const merged = tf.tidy(() =>
    adapter ? tf.add(weight, tf.mul(tf.matMul(adapter.a, adapter.b), adapter.scale)) : tf.clone(weight),
  );
  try {
    return merged.dataSync() as Float32Array;
  } finally {
    merged.dispose();
  }
}

/** The same from values that `prepareExport` has brought to the host: a new tensor could not be read. */
function mergedOnHost(weight: tf.Tensor, adapter: Adapter | undefined): Float32Array {
  const values = weight.dataSync() as Float32Array;
  if (!adapter) return values;
  const [rows, columns] = weight.shape as [number, number];
  const rank = adapter.a.shape[1];
  const [a, b] = [adapter.a.dataSync() as Float32Array, adapter.b.dataSync() as Float32Array];
  const merged = values.slice();
  for (let i = 0; i < rows; i++) {
    for (let r = 0; r < rank; r++) {
      const factor = adapter.scale * a[i * rank + r]!;
      for (let j = 0; j < columns; j++) merged[i * columns + j]! += factor * b[r * columns + j]!;
    }
  }
  return merged;
}

/** Values of `mergedValues` that nothing else holds: those of a quantised matrix were made for this reading. */
export function ownValues(values: Float32Array, weight: tf.Tensor): Float32Array {
  return quantisedBytes(weight) === null ? values.slice() : values;
}
