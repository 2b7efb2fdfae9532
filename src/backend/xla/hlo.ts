/**
 * StableHLO operations on values, with NumPy's broadcasting where two operands meet.
 * Text form: https://openxla.org/stablehlo/spec
 */
import { type ElementType, typeText } from "./executor.ts";
import { LoopNode, operation, type Value } from "./graph.ts";

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** A number as StableHLO writes it, exact for every float32; integers are cut to their range, NaN to 0. */
export function literal(type: ElementType, value: number): string {
  if (type === "i1") return value ? "true" : "false";
  if (type === "f32") {
    float[0] = value;
    return `0x${bits[0]!.toString(16).toUpperCase().padStart(8, "0")}`;
  }
  if (type === "bf16") {
    if (Number.isNaN(value)) return "0x7FC0";
    return Number.isFinite(value) ? value.toExponential(8) : value > 0 ? "0x7F80" : "0xFF80";
  }
  if (type === "i32") return String(Math.trunc(Math.min(2 ** 31 - 1, Math.max(-(2 ** 31), value || 0))));
  return String(Math.trunc(value));
}

/** One number, repeated over a shape. */
export function constant(type: ElementType, value: number, shape: readonly number[] = []): Value {
  const text = `stablehlo.constant dense<${literal(type, value)}> : ${typeText({ type, shape })}`;
  return operation(type, shape, [], () => text);
}

/** 0, 1, 2 ... along a dimension. */
export function iota(type: ElementType, shape: readonly number[], dimension: number): Value {
  return operation(type, shape, [], () => `stablehlo.iota dim = ${dimension} : ${typeText({ type, shape })}`);
}

export function broadcastShape(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1) throw new RangeError(`shapes [${a}] and [${b}] do not broadcast`);
    return x === 1 ? y : x;
  });
}

const same = (a: readonly number[], b: readonly number[]) =>
  a.length === b.length && a.every((n, i) => n === b[i]);

/** Repeats a value over a larger shape; dimensions of 1 and missing leading ones stretch. */
export function broadcast(x: Value, shape: readonly number[]): Value {
  if (same(x.shape, shape)) return x;
  const offset = shape.length - x.shape.length;
  const kept = x.shape.map((_, i) => i).filter((i) => x.shape[i] !== 1 || shape[i + offset] === 1);
  const core = reshape(
    x,
    kept.map((i) => x.shape[i]!),
  );
  const dims = kept.map((i) => i + offset);
  const to = typeText({ type: x.type, shape });
  return operation(
    x.type,
    shape,
    [core],
    ([a]) => `stablehlo.broadcast_in_dim ${a}, dims = [${dims}] : (${typeText(core)}) -> ${to}`,
  );
}

export function reshape(x: Value, shape: readonly number[]): Value {
  if (same(x.shape, shape)) return x;
  const to = typeText({ type: x.type, shape });
  return operation(x.type, shape, [x], ([a]) => `stablehlo.reshape ${a} : (${typeText(x)}) -> ${to}`);
}

export function convert(x: Value, type: ElementType): Value {
  if (x.type === type) return x;
  const to = typeText({ type, shape: x.shape });
  return operation(type, x.shape, [x], ([a]) => `stablehlo.convert ${a} : (${typeText(x)}) -> ${to}`);
}

/** The same bits under another type of equal width. */
export function bitcast(x: Value, type: ElementType): Value {
  const to = typeText({ type, shape: x.shape });
  return operation(type, x.shape, [x], ([a]) => `stablehlo.bitcast_convert ${a} : (${typeText(x)}) -> ${to}`);
}

export type UnaryName =
  | "negate"
  | "exponential"
  | "exponential_minus_one"
  | "log"
  | "log_plus_one"
  | "sqrt"
  | "rsqrt"
  | "abs"
  | "sign"
  | "floor"
  | "ceil"
  | "round_nearest_even"
  | "cosine"
  | "sine"
  | "tan"
  | "tanh"
  | "logistic"
  | "not";

export function unary(name: UnaryName, x: Value): Value {
  return operation(x.type, x.shape, [x], ([a]) => `stablehlo.${name} ${a} : ${typeText(x)}`);
}

export function finite(x: Value): Value {
  const to = typeText({ type: "i1", shape: x.shape });
  return operation("i1", x.shape, [x], ([a]) => `stablehlo.is_finite ${a} : (${typeText(x)}) -> ${to}`);
}

export type BinaryName =
  | "add"
  | "subtract"
  | "multiply"
  | "divide"
  | "power"
  | "maximum"
  | "minimum"
  | "remainder"
  | "atan2"
  | "and"
  | "or"
  | "xor"
  | "shift_left"
  | "shift_right_logical";

/** Operands of one type, broadcast against each other. */
export function binary(name: BinaryName, x: Value, y: Value): Value {
  if (x.type !== y.type) throw new TypeError(`${name} of ${typeText(x)} and ${typeText(y)}`);
  const shape = broadcastShape(x.shape, y.shape);
  const type = typeText({ type: x.type, shape });
  return operation(
    x.type,
    shape,
    [broadcast(x, shape), broadcast(y, shape)],
    ([a, b]) => `stablehlo.${name} ${a}, ${b} : ${type}`,
  );
}

export const add = (x: Value, y: Value) => binary("add", x, y);
export const subtract = (x: Value, y: Value) => binary("subtract", x, y);
export const multiply = (x: Value, y: Value) => binary("multiply", x, y);
export const divide = (x: Value, y: Value) => binary("divide", x, y);
export const maximum = (x: Value, y: Value) => binary("maximum", x, y);
export const minimum = (x: Value, y: Value) => binary("minimum", x, y);
export const and = (x: Value, y: Value) => binary("and", x, y);
export const or = (x: Value, y: Value) => binary("or", x, y);
/** x times a number. */
export const scale = (x: Value, factor: number) => (factor === 1 ? x : multiply(x, constant(x.type, factor)));
/** x plus a number. */
export const shift = (x: Value, term: number) => add(x, constant(x.type, term));

export type Comparison = "EQ" | "NE" | "LT" | "LE" | "GT" | "GE";

/** Said in every comparison: without it XLA of interface 0.81 folds integers that are constant as if unsigned. */
const kindOf = (type: ElementType): string =>
  type === "i32" ? "SIGNED" : type === "f32" || type === "bf16" ? "FLOAT" : "UNSIGNED";

export function compare(direction: Comparison, x: Value, y: Value): Value {
  if (x.type !== y.type) throw new TypeError(`comparison of ${typeText(x)} and ${typeText(y)}`);
  const shape = broadcastShape(x.shape, y.shape);
  const from = typeText({ type: x.type, shape });
  const to = typeText({ type: "i1", shape });
  const kind = kindOf(x.type);
  return operation(
    "i1",
    shape,
    [broadcast(x, shape), broadcast(y, shape)],
    ([a, b]) => `stablehlo.compare ${direction}, ${a}, ${b}, ${kind} : (${from}, ${from}) -> ${to}`,
  );
}

/** @param condition i1, broadcast */
export function select(condition: Value, x: Value, y: Value): Value {
  const shape = broadcastShape(broadcastShape(x.shape, y.shape), condition.shape);
  const type = typeText({ type: x.type, shape });
  const test = broadcast(condition, shape);
  return operation(
    x.type,
    shape,
    [test, broadcast(x, shape), broadcast(y, shape)],
    ([c, a, b]) => `stablehlo.select ${c}, ${a}, ${b} : ${typeText(test)}, ${type}`,
  );
}

export function transpose(x: Value, permutation: readonly number[]): Value {
  if (permutation.every((p, i) => p === i)) return x;
  const shape = permutation.map((p) => x.shape[p]!);
  const to = typeText({ type: x.type, shape });
  return operation(
    x.type,
    shape,
    [x],
    ([a]) => `stablehlo.transpose ${a}, dims = [${permutation}] : (${typeText(x)}) -> ${to}`,
  );
}

/** Elements [begin, begin + size) by steps of `strides`. */
export function slice(
  x: Value,
  begin: readonly number[],
  size: readonly number[],
  strides: readonly number[] = size.map(() => 1),
): Value {
  if (same(x.shape, size)) return x;
  const ranges = begin.map((b, i) => {
    const end = b + Math.max(0, (size[i]! - 1) * strides[i]! + 1);
    return strides[i] === 1 ? `${b}:${b + size[i]!}` : `${b}:${end}:${strides[i]}`;
  });
  const to = typeText({ type: x.type, shape: size });
  return operation(
    x.type,
    size,
    [x],
    ([a]) => `stablehlo.slice ${a} [${ranges.join(", ")}] : (${typeText(x)}) -> ${to}`,
  );
}

/** @param start one i32 scalar per dimension */
export function dynamicSlice(x: Value, start: readonly Value[], size: readonly number[]): Value {
  const types = start.map(() => "tensor<i32>").join(", ");
  const to = typeText({ type: x.type, shape: size });
  return operation(
    x.type,
    size,
    [x, ...start],
    ([a, ...s]) =>
      `stablehlo.dynamic_slice ${a}, ${s.join(", ")}, sizes = [${size}] : (${typeText(x)}, ${types}) -> ${to}`,
  );
}

/** x with `update` written at `start`, in place where XLA can. */
export function dynamicUpdateSlice(x: Value, update: Value, start: readonly Value[]): Value {
  const types = start.map(() => "tensor<i32>").join(", ");
  const type = typeText(x);
  return operation(
    x.type,
    x.shape,
    [x, update, ...start],
    ([a, u, ...s]) =>
      `stablehlo.dynamic_update_slice ${a}, ${u}, ${s.join(", ")} : (${type}, ${typeText(update)}, ${types}) -> ${type}`,
  );
}

export function concatenate(parts: readonly Value[], dimension: number): Value {
  if (parts.length === 1) return parts[0]!;
  const first = parts[0]!;
  const shape = first.shape.slice();
  shape[dimension] = parts.reduce((sum, part) => sum + part.shape[dimension]!, 0);
  const to = typeText({ type: first.type, shape });
  return operation(
    first.type,
    shape,
    parts,
    (names) =>
      `stablehlo.concatenate ${names.join(", ")}, dim = ${dimension} : (${parts.map(typeText).join(", ")}) -> ${to}`,
  );
}

export function pad(
  x: Value,
  paddings: readonly (readonly [number, number])[],
  value: number,
  interior: readonly number[] = paddings.map(() => 0),
): Value {
  const shape = x.shape.map(
    (n, i) => paddings[i]![0] + n + Math.max(0, n - 1) * interior[i]! + paddings[i]![1],
  );
  const to = typeText({ type: x.type, shape });
  const low = paddings.map(([before]) => before);
  const high = paddings.map(([, after]) => after);
  const filler = constant(x.type, value);
  return operation(
    x.type,
    shape,
    [x, filler],
    ([a, f]) =>
      `stablehlo.pad ${a}, ${f}, low = [${low}], high = [${high}], interior = [${interior}] : (${typeText(x)}, ${typeText(filler)}) -> ${to}`,
  );
}

export function reverse(x: Value, dimensions: readonly number[]): Value {
  return operation(
    x.type,
    x.shape,
    [x],
    ([a]) => `stablehlo.reverse ${a}, dims = [${dimensions}] : ${typeText(x)}`,
  );
}

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
    [x, start],
    ([a, s]) =>
      `stablehlo.reduce(${a} init: ${s}) applies stablehlo.${name} across dimensions = [${dimensions}] : (${typeText(x)}, ${typeText(start)}) -> ${to}`,
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
    [x, y],
    ([a, b]) =>
      `stablehlo.dot_general ${a}, ${b}, ${batchText}${contractText} : (${typeText(x)}, ${typeText(y)}) -> ${to}`,
  );
}

/** Slices of x along `dimension` at `indices` [N] (i32, clamped into range). @returns x with that dimension of N */
export function gather(x: Value, indices: Value, dimension: number): Value {
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
    [x, column],
    ([a, i]) =>
      `"stablehlo.gather"(${a}, ${i}) <{dimension_numbers = #stablehlo.gather<${numbers}>, slice_sizes = array<i64: ${sizes.join(", ")}>, indices_are_sorted = false}> : (${typeText(x)}, ${typeText(column)}) -> ${to}`,
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
 * @returns [rows, ...rest]
 */
export function scatterAdd(rows: number, indices: Value, updates: Value): Value {
  const count = updates.shape[0]!;
  const column = reshape(indices, [count, 1]);
  const shape = [rows, ...updates.shape.slice(1)];
  const zeros = constant(updates.type, 0, shape);
  const windows = updates.shape.slice(1).map((_, i) => i + 1);
  const numbers = `update_window_dims = [${windows}], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1`;
  const scalar = typeText({ type: updates.type, shape: [] });
  const to = typeText(zeros);
  return operation(
    updates.type,
    shape,
    [zeros, column, updates],
    ([z, i, u]) =>
      `"stablehlo.scatter"(${z}, ${i}, ${u}) <{scatter_dimension_numbers = #stablehlo.scatter<${numbers}>, indices_are_sorted = false, unique_indices = false}> ({ ^bb0(%left: ${scalar}, %right: ${scalar}): %sum = stablehlo.add %left, %right : ${scalar} stablehlo.return %sum : ${scalar} }) : (${to}, ${typeText(column)}, ${typeText(updates)}) -> ${to}`,
  );
}

/** `state = body(state)` while `condition(state)`; both may use values from outside. */
export function whileLoop(
  initial: readonly Value[],
  condition: (state: readonly Value[]) => Value,
  body: (state: readonly Value[]) => readonly Value[],
): readonly Value[] {
  return new LoopNode(initial, condition, body).results;
}
