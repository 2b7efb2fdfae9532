/** Constants, shapes that meet, and operations element by element. */
import { type ElementType, typeText } from "./executor.ts";
import { codeOf, operation, type Value } from "./graph.ts";

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

const scalars = new Map<ElementType, Map<number, Value>>();

/** Constants from now on are values of their own: the ones before belong to a program that has run. */
export function forgetConstants(): void {
  scalars.clear();
}

/** One number, repeated over a shape. Scalars of one program are shared. */
export function constant(type: ElementType, value: number, shape: readonly number[] = []): Value {
  // keys of a map do not tell -0 from 0
  if (shape.length > 0 || Object.is(value, -0)) return newConstant(type, value, shape);
  const ofType = scalars.get(type) ?? new Map<number, Value>();
  const known = ofType.get(value);
  if (known !== undefined) return known;
  const made = newConstant(type, value, shape);
  scalars.set(type, ofType.set(value, made));
  return made;
}

function newConstant(type: ElementType, value: number, shape: readonly number[]): Value {
  const to = typeText({ type, shape });
  const number = literal(type, value);
  const code = codeOf("constant", number, to);
  return operation(type, shape, to, [], code, () => `stablehlo.constant dense<${number}> : ${to}`);
}

/** 0, 1, 2 ... along a dimension. */
export function iota(type: ElementType, shape: readonly number[], dimension: number): Value {
  const to = typeText({ type, shape });
  return operation(type, shape, to, [], -1, () => `stablehlo.iota dim = ${dimension} : ${to}`);
}

export function broadcastShape(a: readonly number[], b: readonly number[]): readonly number[] {
  if (b.length === 0 || same(a, b)) return a;
  if (a.length === 0) return b;
  const rank = Math.max(a.length, b.length);
  const shape: number[] = [];
  for (let i = 0; i < rank; i++) {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1) throw new RangeError(`shapes [${a}] and [${b}] do not broadcast`);
    shape.push(x === 1 ? y : x);
  }
  return shape;
}

/** Are two shapes equal? */
export function same(a: readonly number[], b: readonly number[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** The text of a type: a value's own where it has that shape. */
const textOver = (x: Value, shape: readonly number[]): string =>
  same(x.shape, shape) ? x.text : typeText({ type: x.type, shape });

/**
 * Repeats a value over a larger shape; dimensions of 1 and missing leading ones stretch.
 * @param to the text of the result's type, where it is known
 */
export function broadcast(x: Value, shape: readonly number[], to = textOver(x, shape)): Value {
  if (same(x.shape, shape)) return x;
  const make = () => {
    const offset = shape.length - x.shape.length;
    return operation(x.type, shape, to, [x], codeOf("broadcast", x.text, to), ([a]) => {
      const dims = x.shape.map((_, i) => i + offset);
      return `stablehlo.broadcast_in_dim ${a}, dims = [${dims}] : (${x.text}) -> ${to}`;
    });
  };
  return x.shape.length === 0 ? x.repeatedOver(to, make) : make();
}

export function reshape(x: Value, shape: readonly number[]): Value {
  if (same(x.shape, shape)) return x;
  const to = typeText({ type: x.type, shape });
  const code = codeOf("reshape", x.text, to);
  return operation(x.type, shape, to, [x], code, ([a]) => `stablehlo.reshape ${a} : (${x.text}) -> ${to}`);
}

/** What a float32 was widened from. */
const narrow = new WeakMap<Value, Value>();

/** The bf16 value that x is, widened; null where it is none. */
export function narrowOf(x: Value): Value | null {
  return narrow.get(x) ?? null;
}

export function convert(x: Value, type: ElementType): Value {
  if (x.type === type) return x;
  const before = narrowOf(x);
  if (before?.type === type) return before;
  const result = cast("convert", x, type);
  if (x.type === "bf16" && type === "f32") narrow.set(result, x);
  return result;
}

/** The same bits under another type of equal width. */
export function bitcast(x: Value, type: ElementType): Value {
  return cast("bitcast_convert", x, type);
}

function cast(name: string, x: Value, type: ElementType): Value {
  const to = typeText({ type, shape: x.shape });
  const code = codeOf(name, x.text, to);
  return operation(type, x.shape, to, [x], code, ([a]) => `stablehlo.${name} ${a} : (${x.text}) -> ${to}`);
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
  const code = codeOf("unary", name, x.text);
  return operation(x.type, x.shape, x.text, [x], code, ([a]) => `stablehlo.${name} ${a} : ${x.text}`);
}

export function finite(x: Value): Value {
  return cast("is_finite", x, "i1");
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
  if (x.type !== y.type) throw new TypeError(`${name} of ${x.text} and ${y.text}`);
  const shape = broadcastShape(x.shape, y.shape);
  const type = same(y.shape, shape) ? y.text : textOver(x, shape);
  return operation(
    x.type,
    shape,
    type,
    [broadcast(x, shape, type), broadcast(y, shape, type)],
    codeOf("binary", name, type),
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
  if (x.type !== y.type) throw new TypeError(`comparison of ${x.text} and ${y.text}`);
  const shape = broadcastShape(x.shape, y.shape);
  const from = same(y.shape, shape) ? y.text : textOver(x, shape);
  const to = typeText({ type: "i1", shape });
  const kind = kindOf(x.type);
  return operation(
    "i1",
    shape,
    to,
    [broadcast(x, shape, from), broadcast(y, shape, from)],
    codeOf("compare", direction, from),
    ([a, b]) => `stablehlo.compare ${direction}, ${a}, ${b}, ${kind} : (${from}, ${from}) -> ${to}`,
  );
}

/** @param condition i1, broadcast */
export function select(condition: Value, x: Value, y: Value): Value {
  const shape = broadcastShape(broadcastShape(x.shape, y.shape), condition.shape);
  const type = textOver(x, shape);
  const test = broadcast(condition, shape);
  return operation(
    x.type,
    shape,
    type,
    [test, broadcast(x, shape, type), broadcast(y, shape, type)],
    codeOf("select", type),
    ([c, a, b]) => `stablehlo.select ${c}, ${a}, ${b} : ${test.text}, ${type}`,
  );
}
