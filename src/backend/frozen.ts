/** Weights that are not trained, in the least memory that loses nothing. */
import * as tf from "@tensorflow/tfjs";
import { upperHalves } from "../lib/bfloat16.ts";
import { currentEngine } from "./engine.ts";
import { quantisedBytes } from "./quantised.ts";

/** Smaller ones (norms, biases) are not worth it, and not operands of products. */
const HALVED_FROM = 2 ** 12;

/**
 * Do compiled programs read bf16 weights as they are? Only where products round their operands to bf16 anyway: else each
 * program makes a float32 copy of every weight and holds it as long as it runs (decision 0012).
 */
export function holdsHalves(): boolean {
  return currentEngine().halves?.wanted ?? false;
}

/**
 * A matrix whose numbers lie on the device as bf16; to tfjs it is float32, with the same numbers.
 * @returns null where nothing is saved, or a number is not bf16
 */
export function halvedTensor(values: Float32Array, shape: readonly number[]): tf.Tensor | null {
  if (!holdsHalves() || shape.length !== 2 || values.length < HALVED_FROM) return null;
  const halves = upperHalves(values);
  return halves === null ? null : currentEngine().halves!.make(halves, shape);
}

/** Does the tensor lie on the device as bf16? */
export function isHalved(tensor: tf.Tensor): boolean {
  return currentEngine().halves?.has(tensor) ?? false;
}

/** Bytes of a tensor's numbers where they lie. */
export function heldBytes(tensor: tf.Tensor): number {
  return quantisedBytes(tensor) ?? tensor.size * (isHalved(tensor) ? 2 : 4);
}

/** A tensor that nothing will change. */
export function frozenTensor(values: Float32Array, shape: readonly number[]): tf.Tensor {
  return halvedTensor(values, shape) ?? tf.tensor(values, [...shape]);
}
