/** Operations that sum, or pick by index: reductions, products of matrices, gather and scatter. */
import { type ElementType, typeText } from "./executor.ts";
import { codeOf, operation, type Value } from "./graph.ts";
import { compare, constant, convert, iota, narrowOf, reshape, select } from "./hlo-elementwise.ts";

const INITIAL = {
  add: () => 0,
  multiply: () => 1,
  maximum: (type: ElementType) => (type === "i1" ? 0 : type === "i32" ? -(2 ** 31) : -Infinity),
  minimum: (type: ElementType) => (type === "i32" ? 2 ** 31 - 1 : Infinity),
  or: () => 0,
  and: () => 1,
} as const;

/** @param keep dimensions of 1 stay in the place of those reduced */
export function reduce(
  name: keyof typeof INITIAL,
  x: Value,
  dimensions: readonly number[],
  keep = false,
): Value {
  if (dimensions.length === 0) return x;
  const shape = x.shape.filter((_, i) => !dimensions.includes(i));
  const start = constant(x.type, INITIAL[name](x.type));
  const to = typeText({ type: x.type, shape });
  const reduced = operation(
    x.type,
    shape,
    to,
    [x, start],
    codeOf(name, dimensions.join(), x.text),
    ([a, s]) =>
      `stablehlo.reduce(${a} init: ${s}) applies stablehlo.${name} across dimensions = [${dimensions}] : (${x.text}, ${start.text}) -> ${to}`,
  );
  if (!keep) return reduced;
  return reshape(
    reduced,
    x.shape.map((n, i) => (dimensions.includes(i) ? 1 : n)),
  );
}

export interface DotDimensions {
  batching: readonly [readonly number[], readonly number[]];
  contracting: readonly [readonly number[], readonly number[]];
}

/**
 * Products summed over `contracting`; the result's dimensions are batching, rest of x, rest of y.
 * @param exact f32 operands are not rounded to TF32
 */
export function dotGeneral(
  x: Value,
  y: Value,
  { batching, contracting }: DotDimensions,
  type: ElementType = x.type,
  exact = false,
): Value {
  const rest = (value: Value, side: 0 | 1) =>
    value.shape.filter((_, i) => !batching[side].includes(i) && !contracting[side].includes(i));
  const shape = [...batching[0].map((i) => x.shape[i]!), ...rest(x, 0), ...rest(y, 1)];
  const to = typeText({ type, shape });
  const batchText = batching[0].length === 0 ? "" : `batching_dims = [${batching[0]}] x [${batching[1]}], `;
  const precision = exact ? ", precision = [HIGHEST, HIGHEST]" : "";
  const contractText = `contracting_dims = [${contracting[0]}] x [${contracting[1]}]${precision}`;
  return operation(
    type,
    shape,
    to,
    [x, y],
    -1,
    ([a, b]) =>
      `stablehlo.dot_general ${a}, ${b}, ${batchText}${contractText} : (${x.text}, ${y.text}) -> ${to}`,
  );
}

/** Slices of x along `dimension` at `indices` [N] (i32, clamped into range). @returns x with that dimension of N */
export function gather(x: Value, indices: Value, dimension: number): Value {
  const narrow = narrowOf(x);
  // a few rows are widened instead of the whole table
  if (narrow !== null) return convert(gather(narrow, indices, dimension), x.type);
  const count = indices.shape[0]!;
  const column = reshape(indices, [count, 1]);
  const shape = x.shape.map((n, i) => (i === dimension ? count : n));
  const sizes = x.shape.map((n, i) => (i === dimension ? 1 : n));
  const offsets = x.shape.map((_, i) => i).filter((i) => i !== dimension);
  const numbers = `offset_dims = [${offsets}], collapsed_slice_dims = [${dimension}], start_index_map = [${dimension}], index_vector_dim = 1`;
  const to = typeText({ type: x.type, shape });
  return operation(
    x.type,
    shape,
    to,
    [x, column],
    -1,
    ([a, i]) =>
      `"stablehlo.gather"(${a}, ${i}) <{dimension_numbers = #stablehlo.gather<${numbers}>, slice_sizes = array<i64: ${sizes.join(", ")}>, indices_are_sorted = false}> : (${x.text}, ${column.text}) -> ${to}`,
  );
}

/**
 * Slices x[n, indices[n, k]]: each n looks in itself alone, so that nothing is fetched where devices have n of their own.
 * @param x [N, M, D]
 * @param indices [N, K], i32, clamped into range
 * @returns [N, K, D]
 */
export function gatherInRows(x: Value, indices: Value): Value {
  const [rows, , width] = x.shape as [number, number, number];
  const count = indices.shape[1]!;
  const column = reshape(indices, [rows, count, 1]);
  const numbers =
    "offset_dims = [2], collapsed_slice_dims = [1], operand_batching_dims = [0], start_indices_batching_dims = [0], start_index_map = [1], index_vector_dim = 2";
  const shape = [rows, count, width];
  const to = typeText({ type: x.type, shape });
  return operation(
    x.type,
    shape,
    to,
    [x, column],
    -1,
    ([a, i]) =>
      `"stablehlo.gather"(${a}, ${i}) <{dimension_numbers = #stablehlo.gather<${numbers}>, slice_sizes = array<i64: 1, 1, ${width}>, indices_are_sorted = false}> : (${x.text}, ${column.text}) -> ${to}`,
  );
}

/** Elements x[row, indices[row]]. @param x [N, M] @param indices [N], i32 @returns [N] */
export function pick(x: Value, indices: Value): Value {
  const hot = compare("EQ", iota("i32", x.shape, 1), reshape(indices, [indices.shape[0]!, 1]));
  return reduce("add", select(hot, x, constant(x.type, 0)), [1]);
}

/**
 * Sums of rows of `updates` by index: result[indices[n]] += updates[n].
 * @param indices [N, 1] or [N], i32
 * @param updates [N, ...rest]
 * @param unique no two indices are equal
 * @returns [rows, ...rest]
 */
export function scatterAdd(rows: number, indices: Value, updates: Value, unique = false): Value {
  const count = updates.shape[0]!;
  const column = reshape(indices, [count, 1]);
  const shape = [rows, ...updates.shape.slice(1)];
  const zeros = constant(updates.type, 0, shape);
  const windows = updates.shape.slice(1).map((_, i) => i + 1);
  const numbers = `update_window_dims = [${windows}], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1`;
  const scalar = typeText({ type: updates.type, shape: [] });
  const to = zeros.text;
  return operation(
    updates.type,
    shape,
    to,
    [zeros, column, updates],
    -1,
    ([z, i, u]) =>
      `"stablehlo.scatter"(${z}, ${i}, ${u}) <{scatter_dimension_numbers = #stablehlo.scatter<${numbers}>, indices_are_sorted = false, unique_indices = ${unique}}> ({ ^bb0(%left: ${scalar}, %right: ${scalar}): %sum = stablehlo.add %left, %right : ${scalar} stablehlo.return %sum : ${scalar} }) : (${to}, ${column.text}, ${updates.text}) -> ${to}`,
  );
}
