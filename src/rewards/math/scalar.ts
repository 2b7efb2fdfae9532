import { Fraction } from "mathjs";
import { createRng } from "../../lib/rng.ts";
import { MathParseError, type Node, some } from "./ast.ts";
import type { Complex } from "./complex.ts";
import {
  type Budget,
  evaluateComplex,
  evaluateExact,
  fractionToNumber,
  type Point,
  type SignMode,
} from "./evaluate.ts";

/** Agreement asked of double-precision values; roundings of real answers stay far below. */
const RELATIVE_TOLERANCE = 1e-9;
const ABSOLUTE_TOLERANCE = 1e-11;
/** A decimal this long is a rounded value, not a short decimal that should have been exact. */
const ROUNDED_DIGITS = 6;

export function symbolsOf(...nodes: readonly Node[]): string[] {
  const names = new Set<string>();
  for (const node of nodes) {
    some(node, (each) => {
      if (each.kind === "symbol") names.add(each.name);
      return false;
    });
  }
  return [...names].sort();
}

/** Point number `index`: small rationals drawn from a fixed stream per symbol; odd points have negative values. */
export function pointAt(symbols: readonly string[], index: number, mode: SignMode): Point {
  const exact = new Map<string, Fraction>();
  for (const name of symbols) {
    const rng = createRng(20_010).fork("math-points", name);
    const numerator = 31 + rng.integer(240, 2 * index);
    const sign = index % 2 === 1 && rng.integer(3, 2 * index + 1) > 0 ? -1 : 1;
    exact.set(name, new Fraction(BigInt(sign * numerator), 97n));
  }
  return { mode, exact, outside: false };
}

function close(a: Complex, b: Complex): boolean {
  if (!Number.isFinite(a.re) || !Number.isFinite(b.re)) return false;
  const distance = Math.hypot(a.re - b.re, a.im - b.im);
  const size = Math.max(a.abs(), b.abs());
  if (a.abs() === 0 || b.abs() === 0) return distance <= ABSOLUTE_TOLERANCE;
  return distance <= RELATIVE_TOLERANCE * size;
}

const infinite = (node: Node): number => {
  if (node.kind === "constant" && node.name === "infinity") return 1;
  if (node.kind === "neg") return -infinite(node.operand);
  return 0;
};

/** Is `node` a decimal literal rounded from `value`? 0.333333 is 1/3, 0.33 is not. */
function roundsFrom(node: Node, value: number): boolean {
  const literal = node.kind === "neg" ? node.operand : node;
  if (literal.kind !== "number" || literal.decimals === undefined) return false;
  if ((literal.significant ?? 0) < ROUNDED_DIGITS) return false;
  const sign = node.kind === "neg" ? -1 : 1;
  const written = (sign * Number(literal.numerator)) / Number(literal.denominator);
  return Math.abs(written - value) <= 0.5000001 * 10 ** -literal.decimals;
}

function equalAt(a: Node, b: Node, point: Point, budget: Budget): boolean | null {
  const exactA = evaluateExact(a, point, budget);
  const exactB = exactA === null ? null : evaluateExact(b, point, budget);
  if (exactA !== null && exactB !== null) return exactA.equals(exactB);
  const valueA = evaluateComplex(a, point, budget);
  const valueB = evaluateComplex(b, point, budget);
  if (Number.isNaN(valueA.re) || Number.isNaN(valueB.re)) return null;
  return close(valueA, valueB);
}

/** Both are numbers or expressions; equal as values, or at random points of their symbols. */
function equalInMode(a: Node, b: Node, mode: SignMode, budget: Budget): boolean {
  const symbols = symbolsOf(a, b);
  if (symbols.length === 0) {
    const point = pointAt([], 0, mode);
    if (equalAt(a, b, point, budget) === true) return true;
    const literalA = roundsFrom(a, evaluateComplex(b, point, budget).re);
    const literalB = roundsFrom(b, evaluateComplex(a, point, budget).re);
    if (!literalA && !literalB) return false;
    const imaginary = evaluateComplex(literalA ? b : a, point, budget).im;
    // two decimals are compared digit by digit; rounding is for what has no short decimal
    const decimal = (node: Node): boolean => {
      const exact = evaluateExact(node, point, budget);
      return exact !== null && isShortDecimal(exact.d);
    };
    return imaginary === 0 && !(decimal(a) && decimal(b));
  }
  let agreed = 0;
  let outside = 0;
  for (let index = 0; index < 12 && agreed < 5; index++) {
    const point = pointAt(symbols, index, mode);
    const equal = equalAt(a, b, point, budget);
    if (equal === null) continue;
    if (point.outside) {
      // sqrt(x^3) and x sqrt(x) part ways for x < 0: not counted against, nor for
      if (equal) outside++;
      continue;
    }
    if (!equal) return false;
    agreed++;
  }
  return agreed >= 2 || (agreed === 0 && outside >= 4);
}

function isShortDecimal(denominator: bigint): boolean {
  let rest = denominator;
  while (rest % 2n === 0n) rest /= 2n;
  while (rest % 5n === 0n) rest /= 5n;
  return rest === 1n;
}

/**
 * Equality of two scalars. A degree or percent sign that only one side writes may count as a factor or as a unit:
 * 50% equals 0.5 and 50, 90 degrees equals pi/2 and 90.
 * @throws MathParseError when one side is no scalar
 */
export function equalScalars(a: Node, b: Node, budget: Budget): boolean {
  const infiniteA = infinite(a);
  const infiniteB = infinite(b);
  if (infiniteA !== 0 || infiniteB !== 0) return infiniteA === infiniteB;
  const has = (node: Node, kind: "degrees" | "percent"): boolean => some(node, (each) => each.kind === kind);
  const differs = (kind: "degrees" | "percent"): boolean => has(a, kind) !== has(b, kind);
  // 25 degrees against 25%: two different units, and not one that is missing
  const conflict = differs("degrees") && differs("percent");
  const modes = (kind: "degrees" | "percent"): ("value" | "ignored")[] =>
    differs(kind) && !conflict ? ["value", "ignored"] : ["value"];
  for (const degrees of modes("degrees")) {
    for (const percent of modes("percent")) {
      if (equalInMode(a, b, { degrees, percent }, budget)) return true;
    }
  }
  return false;
}

/** The real value of a scalar without symbols, or null. Infinity is allowed. */
export function realValue(node: Node, budget: Budget): number | null {
  const unbounded = infinite(node);
  if (unbounded !== 0) return unbounded * Number.POSITIVE_INFINITY;
  if (symbolsOf(node).length > 0) return null;
  try {
    const point = pointAt([], 0, { degrees: "value", percent: "value" });
    const exact = evaluateExact(node, point, budget);
    if (exact !== null) return fractionToNumber(exact);
    const value = evaluateComplex(node, point, budget);
    return Math.abs(value.im) <= 1e-12 * Math.abs(value.re) && Number.isFinite(value.re) ? value.re : null;
  } catch (error) {
    if (error instanceof MathParseError) return null;
    throw error;
  }
}
