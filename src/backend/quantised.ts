/** Matrices that nothing trains, held as codes and scales: a program makes numbers of them a tile at a time (decision 0025). */
import type * as tf from "@tensorflow/tfjs";
import { currentEngine } from "./engine.ts";

/**
 * What a code stands for, times its block's scale: itself (q8_0), itself less 8 (q4_0), or its level of NF4. The first two are
 * ggml's, the third is arXiv:2305.14314's.
 */
export type QuantisedForm = "q8_0" | "q4_0" | "nf4";

/** The levels of NF4: quantiles of a normal distribution, 0 among them (arXiv:2305.14314, appendix E). */
export const NF4_LEVELS: readonly number[] = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
  -0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725,
  0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
].map(Math.fround);

/** A matrix [R, C] as codes and scales. Scales are shared along a row. */
export interface QuantisedMatrix {
  form: QuantisedForm;
  rows: number; // R
  columns: number; // C
  /** Numbers of a row that share a scale; divides C. */
  block: number;
  /** q8_0: [R, C]. Of four bits: [R/2, C], row r in the lower bits and row r + R/2 in the upper ones. */
  codes: Int8Array | Uint8Array;
  /** float16 bits, or float32. [R, C / block] */
  scales: Uint16Array | Float32Array;
}

/** Matrix rows behind one row of codes. */
export function lanesOf(form: QuantisedForm): 1 | 2 {
  return form === "q8_0" ? 1 : 2;
}

/** Do programs of the current engine compute with codes? Elsewhere a matrix is held as the float32 that they stand for. */
export function holdsCodes(): boolean {
  return currentEngine().quantised !== null;
}

/**
 * A tensor that lies on the device as codes and scales; to tfjs it is float32. Products with it, and rows picked out of it, are
 * computed by tiles; anything else makes the whole matrix first.
 * @param transposed the tensor is [C, R]
 * @returns null where the engine has none
 */
export function quantisedTensor(matrix: QuantisedMatrix, transposed: boolean): tf.Tensor | null {
  return currentEngine().quantised?.make(matrix, transposed) ?? null;
}

/** Bytes of a tensor's codes and scales; null where it is held otherwise. */
export function quantisedBytes(tensor: tf.Tensor): number | null {
  return currentEngine().quantised?.bytes(tensor) ?? null;
}
