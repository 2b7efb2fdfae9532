import { integer, MathParseError, type Node, some } from "./ast.ts";
import type { Complex } from "./complex.ts";
import {
  type Budget,
  evaluateComplex,
  evaluateExact,
  fractionToNumber,
  type Point,
  type SignMode,
} from "./evaluate.ts";
import { samePrecisely, sameRatioPrecisely } from "./evaluate-precise.ts";
import { anyPoint, pointsFor, symbolsOf } from "./points.ts";

/** Agreement of double-precision values that is worth a look with many digits. */
const SCREEN = 1e-9;
/** Points at which expressions that agree in double precision are compared with many digits. */
const PRECISE_POINTS = 2;
/** A decimal this long is a rounded value, not a short decimal that should have been exact. */
const ROUNDED_DIGITS = 6;

function close(a: Complex, b: Complex): boolean {
  const distance = Math.hypot(a.re - b.re, a.im - b.im);
  return distance <= SCREEN * Math.max(a.abs(), b.abs());
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

/** How two expressions compare at one point; null where one of them has no value there. */
type PointVerdict = { equal: boolean; screened: boolean } | null;

/** Exact values decide. Without them doubles say "equal" for now, and many digits say "different". */
function compareAt(a: Node, b: Node, point: Point, budget: Budget): PointVerdict {
  const exactA = evaluateExact(a, point, budget);
  const exactB = exactA === null ? null : evaluateExact(b, point, budget);
  if (exactA !== null && exactB !== null) return { equal: exactA.equals(exactB), screened: false };
  const valueA = evaluateComplex(a, point, budget);
  const valueB = evaluateComplex(b, point, budget);
  const finite = [valueA.re, valueA.im, valueB.re, valueB.im].every(Number.isFinite);
  if ([valueA.re, valueB.re].some(Number.isNaN)) return null;
  if (finite && close(valueA, valueB)) return { equal: true, screened: true };
  // branches may differ here, so a difference is not counted
  if (point.outside) return { equal: false, screened: false };
  const precise = samePrecisely(a, b, point, budget);
  return precise === null ? null : { equal: precise, screened: false };
}

/** Two numbers without symbols. */
function equalConstants(a: Node, b: Node, mode: SignMode, budget: Budget): boolean {
  const point = anyPoint([], mode);
  const verdict = compareAt(a, b, point, budget);
  if (verdict?.equal === true) {
    if (!verdict.screened || samePrecisely(a, b, point, budget) === true) return true;
  }
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

/** Both are numbers or expressions; equal as values, or at all points of their symbols where both have one. */
function equalInMode(a: Node, b: Node, mode: SignMode, budget: Budget): boolean {
  const symbols = symbolsOf(a, b);
  if (symbols.length === 0) return equalConstants(a, b, mode, budget);
  let agreed = 0;
  let outside = 0;
  const screened: Point[] = [];
  for (const point of pointsFor(symbols, [a, b], mode)) {
    const verdict = compareAt(a, b, point, budget);
    if (verdict === null) continue;
    if (point.outside) {
      // sqrt(x^3) and x sqrt(x) part ways for x < 0: not counted against, nor for
      if (verdict.equal) outside++;
      continue;
    }
    if (!verdict.equal) return false;
    agreed++;
    if (verdict.screened) screened.push(point);
  }
  if (agreed < 2 && !(agreed === 0 && outside >= 4)) return false;
  return screened.slice(0, PRECISE_POINTS).every((point) => samePrecisely(a, b, point, budget) !== false);
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
    const point = anyPoint([], { degrees: "value", percent: "value" });
    const exact = evaluateExact(node, point, budget);
    if (exact !== null) return fractionToNumber(exact);
    const value = evaluateComplex(node, point, budget);
    return Math.abs(value.im) <= 1e-12 * Math.abs(value.re) && Number.isFinite(value.re) ? value.re : null;
  } catch (error) {
    if (error instanceof MathParseError) return null;
    throw error;
  }
}

const asWritten: SignMode = { degrees: "value", percent: "value" };
/** Points at which a ratio is compared where no exact values exist: each costs many digits. */
const RATIO_POINTS = 4;

/**
 * Are two expressions equal up to a constant factor? Then the equations they form with 0 have the same solutions.
 * @param positive the factor must be so: inequalities turn round with a negative one
 */
export function proportional(a: Node, b: Node, budget: Budget, positive: boolean): boolean {
  const symbols = symbolsOf(a, b);
  if (symbolsOf(a).length === 0 || symbolsOf(b).length === 0) return false;
  const zero: Node = integer(0);
  let first: Point | null = null;
  let agreed = 0;
  for (const point of pointsFor(symbols, [a, b], asWritten)) {
    const valueA = evaluateComplex(a, point, budget);
    const valueB = evaluateComplex(b, point, budget);
    if (point.outside || [valueA, valueB].some((z) => !Number.isFinite(z.re) || z.abs() === 0)) continue;
    if (first === null) {
      const ratio = valueA.div(valueB);
      // 0 = 0 is proportional to anything, and rounding hides it from doubles
      if ([a, b].some((each) => samePrecisely(each, zero, point, budget) !== false)) continue;
      if (Math.abs(ratio.im) > SCREEN * Math.abs(ratio.re) || (positive && ratio.re < 0)) return false;
      first = point;
      continue;
    }
    const same = sameRatio(a, b, first, point, budget);
    if (same === null) continue;
    if (!same.equal) return false;
    agreed += 1;
    if (!same.exact && agreed >= RATIO_POINTS) break;
  }
  return agreed >= 2;
}

/** Is a(p) b(q) = a(q) b(p)? */
function sameRatio(
  a: Node,
  b: Node,
  p: Point,
  q: Point,
  budget: Budget,
): { equal: boolean; exact: boolean } | null {
  const [ap, bq, aq, bp] = [
    evaluateExact(a, p, budget),
    evaluateExact(b, q, budget),
    evaluateExact(a, q, budget),
    evaluateExact(b, p, budget),
  ];
  if (ap !== null && bq !== null && aq !== null && bp !== null)
    return { equal: ap.mul(bq).equals(aq.mul(bp)), exact: true };
  const equal = sameRatioPrecisely(a, b, p, q, budget);
  return equal === null ? null : { equal, exact: false };
}
