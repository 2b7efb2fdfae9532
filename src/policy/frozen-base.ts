/** Frozen matrices in the form that `model.base_dtype` asks for. */
import type * as tf from "@tensorflow/tfjs";
import { frozenTensor, isHalved } from "../backend/frozen.ts";
import { holdsCodes, type QuantisedMatrix, quantisedBytes, quantisedTensor } from "../backend/quantised.ts";
import { transposeMatrix } from "./decoder-weights.ts";
import type { WeightSource } from "./interfaces.ts";
import type { BaseDtype } from "./options.ts";
import { dequantised, fitsForm, formOf, quantised, zeroMatrix } from "./quantised.ts";

/** A weight that may be held quantised. */
interface Candidate {
  name: string;
  /** As the source calls it. */
  inFile: string;
  /** As in the file. */
  shape: readonly number[];
  /** What of it lies along a row, whose numbers share scales: what is summed over in its product. */
  rows: "out-in" | "in-out";
  /** To tfjs it is [in, out]. */
  transposed: boolean;
  /** The embedding, or the output. */
  overTokens: boolean;
}

export interface FrozenBase {
  /** null: not in such a form, and to be read as it is. */
  tensorOf(candidate: Candidate): tf.Tensor | null;
  /** What became of the matrices, in words. */
  notes(): string[];
}

export function frozenBase(dtype: BaseDtype, weights: WeightSource): FrozenBase {
  const left: Candidate[] = [];
  const sizes = { matrices: 0, numbers: 0, bytes: 0 };

  function matrixOf({ inFile, shape, rows, overTokens }: Candidate): QuantisedMatrix | null {
    const own = weights.quantised?.(inFile) ?? null;
    const form = formOf(dtype, own?.form ?? null, overTokens);
    const [height, width] = (rows === "out-in" ? shape : [...shape].reverse()) as [number, number];
    if (form === null || !fitsForm(form, height, width)) return null;
    if (weights.tensor !== undefined) return zeroMatrix(form, height, width);
    if (form === own?.form) return own.read();
    const values = weights.read(inFile);
    const outIn = rows === "out-in" ? values : transposeMatrix(values, width, height);
    return quantised(form, outIn, height, width);
  }

  return {
    tensorOf(candidate) {
      const matrix = matrixOf(candidate);
      if (matrix === null) {
        if (dtype !== "keep" || !/^B?F\d+$/.test(weights.dtype(candidate.inFile))) left.push(candidate);
        return null;
      }
      const tensor =
        quantisedTensor(matrix, candidate.transposed) ?? wideTensor(matrix, candidate.transposed);
      sizes.matrices++;
      sizes.numbers += tensor.size;
      sizes.bytes += quantisedBytes(tensor) ?? 4 * tensor.size;
      return tensor;
    },
    notes() {
      const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;
      const notes: string[] = [];
      if (sizes.matrices === 0) notes.push(`base_dtype ${dtype}: no matrix of the file can be held so`);
      else if (holdsCodes()) {
        notes.push(
          `base_dtype ${dtype}: ${sizes.matrices} frozen matrices take ${gigabytes(sizes.bytes)} instead of ${gigabytes(4 * sizes.numbers)}`,
        );
      } else {
        notes.push(
          `base_dtype ${dtype}: this backend compiles no programs, so the ${sizes.matrices} frozen matrices are held as the float32 that their codes stand for: the same numbers, and no less memory`,
        );
      }
      if (left.length > 0 && sizes.matrices > 0) {
        const [{ name, inFile, shape }] = left as [Candidate];
        notes.push(
          `${left.length} of the matrices are not held as ${dtype} and stay float32: rows do not divide into blocks, or the file has them in another form; ${name} [${shape}] ${weights.dtype(inFile)} among them`,
        );
      }
      return notes;
    },
  };
}

function wideTensor(matrix: QuantisedMatrix, transposed: boolean): tf.Tensor {
  const { rows, columns } = matrix;
  const values = dequantised(matrix);
  if (!transposed) return frozenTensor(values, [rows, columns]);
  return frozenTensor(transposeMatrix(values, rows, columns), [columns, rows]);
}

/** What weights that are held as bf16 save; nothing where none are. */
export function halvedNote(tensors: ReadonlyMap<string, tf.Tensor>): string[] {
  const halved = [...tensors.values()].filter(isHalved);
  if (halved.length === 0) return [];
  const gigabytes = halved.reduce((sum, { size }) => sum + 2 * size, 0) / 1e9;
  return [
    `frozen weights stay bf16, which they are in the file: ${gigabytes.toFixed(2)} GB instead of ${(2 * gigabytes).toFixed(2)}`,
  ];
}
