/**
 * Matrices held as codes and scales (src/backend/quantised.ts) inside programs. A product dequantises a tile of rows, multiplies,
 * and goes on to the next: each tile is a turn of a loop, out of which XLA moves nothing that depends on the turn. Written
 * without one, a loop over generated tokens would first make float32 of all weights and hold it (decision 0025).
 */
import { lanesOf, NF4_LEVELS, type QuantisedForm } from "../quantised.ts";
import type { Value } from "./graph.ts";
import {
  add,
  binary,
  compare,
  concatenate,
  constant,
  convert,
  dotGeneral,
  dynamicSlice,
  dynamicUpdateSlice,
  gather,
  iota,
  minimum,
  multiply,
  reshape,
  scale,
  select,
  shift,
  subtract,
  transpose,
  whileLoop,
} from "./hlo.ts";
import type { LazyBackend } from "./lazy-backend.ts";

/** Numbers of a tile: 2 MiB of float32, which caches hold. */
const TILE = 2 ** 19;

export interface QuantisedValue {
  readonly form: QuantisedForm;
  readonly rows: number; // R
  readonly columns: number; // C
  readonly block: number;
  /** To tfjs it is [C, R]. */
  readonly transposed: boolean;
  readonly codes: Value; // [R, C] or [R/2, C]
  readonly scales: Value; // [R, C / block]
}

/** Which matrix a float32 value is the whole of. */
const wholes = new WeakMap<Value, QuantisedValue>();

/** The matrix behind a value that stands for all of it; null where it is none. */
export function quantisedOf(x: Value): QuantisedValue | null {
  return wholes.get(x) ?? null;
}

/** A value for the whole matrix, by which `quantisedOf` finds it. */
export function standFor(matrix: QuantisedValue): Value {
  const value = dense(matrix);
  wholes.set(value, matrix);
  return value;
}

/** What is on the device for a value: codes and scales for a quantised matrix, which is never computed as a whole to be held. */
export function partsOf(value: Value): readonly Value[] {
  const matrix = quantisedOf(value);
  return matrix === null ? [value] : [matrix.codes, matrix.scales];
}

/** All of the matrix in float32, as tfjs sees it. */
export function dense(matrix: QuantisedValue): Value {
  const lanes = levelsOf(matrix.form, matrix.codes);
  const levels = lanes.length === 1 ? lanes[0]! : concatenate(lanes, 0);
  const whole = scaled(levels, matrix.scales);
  return matrix.transposed ? transpose(whole, [1, 0]) : whole;
}

/** Levels of codes [T, C]: of the rows in their lower bits, then of those in the upper ones. */
function levelsOf(form: QuantisedForm, codes: Value): Value[] {
  if (lanesOf(form) === 1) return [convert(codes, "f32")];
  const nibbles = [
    binary("and", codes, constant("u8", 15)),
    binary("shift_right_logical", codes, constant("u8", 4)),
  ];
  return nibbles.map((nibble) => (form === "nf4" ? nf4(nibble) : shift(convert(nibble, "f32"), -8)));
}

/** A tree of choices, one for each bit: a gather out of 16 numbers takes them one by one. */
function nf4(nibble: Value): Value {
  let level = NF4_LEVELS.map((number) => constant("f32", number));
  for (let bit = 1; bit < 16; bit *= 2) {
    const isSet = compare("NE", binary("and", nibble, constant("u8", bit)), constant("u8", 0));
    level = Array.from({ length: level.length / 2 }, (_, i) =>
      select(isSet, level[2 * i + 1]!, level[2 * i]!),
    );
  }
  return level[0]!;
}

/** @param levels [T, C] @param scales [T, C / block] */
function scaled(levels: Value, scales: Value): Value {
  const [rows, columns] = levels.shape as [number, number];
  const blocks = scales.shape[1]!;
  const apart = reshape(levels, [rows, blocks, columns / blocks]);
  return reshape(multiply(apart, reshape(convert(scales, "f32"), [rows, blocks, 1])), levels.shape);
}

/** x times the matrix as tfjs sees it; either may be transposed. @param x [N, K] */
export function quantisedProduct(
  x: Value,
  matrix: QuantisedValue,
  transposeX: boolean,
  transposeY: boolean,
  backend: LazyBackend,
): Value {
  const input = transposeX ? transpose(x, [1, 0]) : x;
  return matrix.transposed !== transposeY
    ? overColumns(input, matrix, backend)
    : overRows(input, matrix, backend);
}

/** x M^T: each tile gives columns of the result. @param x [N, C] @returns [N, R] */
function overColumns(x: Value, matrix: QuantisedValue, backend: LazyBackend): Value {
  const zero = constant("i32", 0);
  const initial = constant("f32", 0, [x.shape[0]!, matrix.rows]);
  return overTiles(matrix, backend, initial, (result, tile) => {
    const product = dot(x, tile.numbers, 1, backend);
    return dynamicUpdateSlice(result, product, [zero, tile.start]);
  });
}

/** x M: each tile gives a term of the result. @param x [N, R] @returns [N, C] */
function overRows(x: Value, matrix: QuantisedValue, backend: LazyBackend): Value {
  const [rows] = x.shape as [number];
  const initial = constant("f32", 0, [rows, matrix.columns]);
  return overTiles(matrix, backend, initial, (sum, tile) => {
    const part = dynamicSlice(x, [constant("i32", 0), tile.start], [rows, tile.size]);
    const own = tile.isNew === null ? part : select(tile.isNew, part, constant("f32", 0));
    return add(sum, dot(own, tile.numbers, 0, backend));
  });
}

/** @param side of y that is summed over */
function dot(x: Value, y: Value, side: 0 | 1, { products }: LazyBackend): Value {
  const dimensions = { batching: [[], []], contracting: [[1], [side]] } as const;
  return dotGeneral(convert(x, products.type), convert(y, products.type), dimensions, "f32", products.exact);
}

interface Tile {
  /** [size, C] */
  numbers: Value;
  size: number;
  /** The matrix's row that it begins at. */
  start: Value;
  /** The last tile may begin before the end of the one before it: [1, size], false where it repeats; null: it never does. */
  isNew: Value | null;
}

/** `step` over all tiles, from state to state. */
function overTiles(
  { form, rows, columns, codes, scales }: QuantisedValue,
  backend: LazyBackend,
  initial: Value,
  step: (state: Value, tile: Tile) => Value,
): Value {
  const lanes = lanesOf(form);
  const span = rows / lanes;
  const needed = Math.ceil(span / Math.max(1, Math.floor(TILE / (lanes * columns))));
  // a loop that is known to turn once is none, and XLA would move its tile out of any loop around it
  const turns = Math.min(span, Math.max(2, needed));
  const size = Math.ceil(span / turns);
  const bound = constant("f32", turns);
  const whole = size * turns === span;
  const [, result] = whileLoop(
    [constant("f32", 0), backend.byRows(initial)],
    ([turn]) => compare("LT", turn!, bound),
    ([turn, before]) => {
      const zero = constant("i32", 0);
      const first = scale(convert(turn!, "i32"), size);
      const start = whole ? first : minimum(first, constant("i32", span - size));
      const isNew = whole ? null : compare("GE", add(iota("i32", [1, size], 1), start), first);
      const levels = levelsOf(form, dynamicSlice(codes, [start, zero], [size, columns]));
      let state = before!;
      for (const [lane, own] of levels.entries()) {
        const row = shift(start, lane * span);
        const factors = dynamicSlice(scales, [row, zero], [size, scales.shape[1]!]);
        state = step(state, { numbers: scaled(own, factors), size, start: row, isNew });
      }
      return [shift(turn!, 1), state];
    },
  );
  return result!;
}

/** Rows of the matrix. @param indices [N], i32, in range @returns [N, C] */
export function gatherQuantised(matrix: QuantisedValue, indices: Value): Value {
  const { form, rows, codes, scales } = matrix;
  const span = rows / lanesOf(form);
  const inUpper = compare("GE", indices, constant("i32", span));
  const place = span === rows ? indices : select(inUpper, subtract(indices, constant("i32", span)), indices);
  const [lower, upper] = levelsOf(form, gather(codes, place, 0));
  const levels = upper === undefined ? lower! : select(reshape(inUpper, [indices.size, 1]), upper, lower!);
  return scaled(levels, gather(scales, indices, 0));
}
