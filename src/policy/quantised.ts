/** Frozen matrices as codes and scales: which, how they are made of numbers or of a file's blocks, and what they stand for. */
import { lanesOf, NF4_LEVELS, type QuantisedForm, type QuantisedMatrix } from "../backend/quantised.ts";
import { halfTable } from "./files/half.ts";
import { writtenType } from "./files/quantise.ts";
import type { BaseDtype } from "./options.ts";

/** Numbers that share a scale where we choose: ggml's block, and that of arXiv:2305.14314. */
const BLOCKS: Readonly<Record<QuantisedForm, number>> = { q8_0: 32, q4_0: 32, nf4: 64 };

/**
 * The form of a matrix.
 * @param inFile the form that the file has it in; null: it has none
 * @param overTokens it is the embedding or the output: these decide over every token, suffer most from four bits, and get eight
 * @returns null: it stays float32
 */
export function formOf(
  dtype: BaseDtype,
  inFile: QuantisedForm | null,
  overTokens: boolean,
): QuantisedForm | null {
  if (dtype === "keep") return inFile;
  return overTokens ? "q8_0" : dtype;
}

/** Can a matrix [rows, columns] be held so? Scales are shared within a row, and rows of four bits lie in pairs. */
export function fitsForm(form: QuantisedForm, rows: number, columns: number): boolean {
  return columns % BLOCKS[form] === 0 && rows % lanesOf(form) === 0;
}

/** @param values [rows, columns] */
export function quantised(
  form: QuantisedForm,
  values: Float32Array,
  rows: number,
  columns: number,
): QuantisedMatrix {
  if (form === "nf4") return quantisedNf4(values, rows, columns);
  const type = form === "q8_0" ? "Q8_0" : "Q4_0";
  return fromBlocks(form, writtenType(type).encode(values), rows, columns);
}

/** A matrix of which only the shape matters. */
export function zeroMatrix(form: QuantisedForm, rows: number, columns: number): QuantisedMatrix {
  const block = BLOCKS[form];
  const size = (rows / lanesOf(form)) * columns;
  const scales = (rows * columns) / block;
  return {
    form,
    rows,
    columns,
    block,
    codes: form === "q8_0" ? new Int8Array(size) : new Uint8Array(size),
    scales: form === "nf4" ? new Float32Array(scales) : new Uint16Array(scales),
  };
}

/**
 * ggml's blocks, taken apart: codes and scales stay what they are.
 * @param bytes blocks of Q8_0 (34 bytes: the scale as float16, 32 codes) or Q4_0 (18: the scale, code i beside code i + 16)
 */
export function fromBlocks(
  form: "q8_0" | "q4_0",
  bytes: Uint8Array,
  rows: number,
  columns: number,
): QuantisedMatrix {
  const matrix = zeroMatrix(form, rows, columns);
  const { codes, scales } = matrix;
  const size = form === "q8_0" ? 34 : 18;
  const put = fourBits(matrix);
  for (let n = 0; n < scales.length; n++) {
    const at = n * size;
    scales[n] = bytes[at]! | (bytes[at + 1]! << 8);
    if (form === "q8_0") {
      for (let i = 0; i < 32; i++) codes[32 * n + i] = bytes[at + 2 + i]!;
      continue;
    }
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 2 + i]!;
      put(32 * n + i, pair & 15);
      put(32 * n + 16 + i, pair >> 4);
    }
  }
  return matrix;
}

/** Puts a code of four bits in its place. @returns a function of the number's index and its code */
export function fourBits({ codes, rows, columns }: QuantisedMatrix): (index: number, code: number) => void {
  const half = (rows * columns) / 2;
  return (index, code) => {
    if (index < half) codes[index]! |= code;
    else codes[index - half]! |= code << 4;
  };
}

/** The level next to each number of a block over its largest magnitude (arXiv:2305.14314, eq. 3 and appendix E). */
function quantisedNf4(values: Float32Array, rows: number, columns: number): QuantisedMatrix {
  const matrix = zeroMatrix("nf4", rows, columns);
  const put = fourBits(matrix);
  const { block, scales } = matrix;
  for (let n = 0; n < scales.length; n++) {
    let largest = 0;
    for (let i = n * block; i < (n + 1) * block; i++) largest = Math.max(largest, Math.abs(values[i]!));
    scales[n] = largest;
    for (let i = n * block; i < (n + 1) * block; i++)
      put(i, largest === 0 ? ZERO_LEVEL : nearestLevel(values[i]! / largest));
  }
  return matrix;
}

const ZERO_LEVEL = NF4_LEVELS.indexOf(0);

function nearestLevel(x: number): number {
  let code = 0;
  while (code < 15 && x > (NF4_LEVELS[code]! + NF4_LEVELS[code + 1]!) / 2) code++;
  return code;
}

/** The numbers that codes and scales stand for, [rows, columns]: each a product rounded to float32 once. */
export function dequantised({ form, rows, columns, block, codes, scales }: QuantisedMatrix): Float32Array {
  const out = new Float32Array(rows * columns);
  const table = scales instanceof Uint16Array ? halfTable() : null;
  const half = out.length / 2;
  for (let i = 0; i < out.length; i++) {
    const given = scales[Math.floor(i / block)]!;
    const scale = table === null ? given : table[given]!;
    if (form === "q8_0") {
      out[i] = scale * codes[i]!;
      continue;
    }
    const code = i < half ? codes[i]! & 15 : codes[i - half]! >> 4;
    out[i] = scale * (form === "nf4" ? NF4_LEVELS[code]! : code - 8);
  }
  return out;
}
