/** Constants, shapes that meet, and operations element by element. */
import { type ElementType, typeText } from "./executor.ts";
import { operation, type Value } from "./graph.ts";

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

/** Are two shapes equal? */
export const same = (a: readonly number[], b: readonly number[]) =>
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
