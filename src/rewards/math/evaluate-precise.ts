import { MathParseError, type Node } from "./ast.ts";
import {
  type Budget,
  evaluateExact,
  hasSymbols,
  type Point,
  phase,
  pointWithIndex,
  seriesBounds,
} from "./evaluate.ts";
import { PreciseArithmetic, type PreciseValue } from "./precise.ts";
import { seriesValue } from "./series.ts";

/** Digits of the first look, and of the last. */
const FIRST_DIGITS = 50;
const MOST_DIGITS = 700;
/** Digits that must be left of a value, and of the number 1 beside it, after all rounding. */
const KEPT_DIGITS = 36;
/** Rounding errors stay this many digits above the last one. */
const NOISE_DIGITS = 8;

function preciseFunction(by: PreciseArithmetic, name: string, args: readonly PreciseValue[]): PreciseValue {
  const [z, second] = args;
  if (z === undefined) throw new MathParseError(`${name} without an argument`);
  const over = (top: PreciseValue, bottom: PreciseValue): PreciseValue => by.div(top, bottom);
  const extreme = (better: (a: PreciseValue, b: PreciseValue) => boolean): PreciseValue =>
    by.of(args.reduce((best, each) => (better(each, best) ? each : best)).re);
  switch (name) {
    case "root":
      return by.root(z, second ?? by.of(2));
    case "ln":
    case "log":
      return second === undefined ? by.log(z) : over(by.log(z), by.log(second));
    case "lg":
      return over(by.log(z), by.log(second ?? by.of(10)));
    case "exp":
      return by.exp(z);
    case "sin":
      return by.sin(z);
    case "cos":
      return by.cos(z);
    case "tan":
      return over(by.sin(z), by.cos(z));
    case "cot":
      return over(by.cos(z), by.sin(z));
    case "sec":
      return over(by.of(1), by.cos(z));
    case "csc":
      return over(by.of(1), by.sin(z));
    case "sinh":
      return by.sinh(z);
    case "cosh":
      return by.cosh(z);
    case "tanh":
      return over(by.sinh(z), by.cosh(z));
    case "arcsin":
      return by.asin(z);
    case "arccos":
      return by.acos(z);
    case "arctan":
      return by.atan(z);
    case "floor":
      return by.step(z, false);
    case "ceil":
      return by.step(z, true);
    case "max":
      return extreme((a, b) => a.re.gt(b.re));
    case "min":
      return extreme((a, b) => a.re.lt(b.re));
    default:
      throw new MathParseError(`the function ${name} is not understood`);
  }
}

function evaluate(node: Node, point: Point, budget: Budget, by: PreciseArithmetic): PreciseValue {
  budget.spend(2 + Math.ceil(by.digits / 50));
  const go = (child: Node): PreciseValue => evaluate(child, point, budget, by);
  switch (node.kind) {
    case "number":
      return by.quotient(node.numerator, node.denominator);
    case "symbol": {
      const value = point.exact.get(node.name);
      if (value === undefined) throw new MathParseError(`${node.name} has no value`);
      return by.quotient(value.s * value.n, value.d);
    }
    case "constant":
      if (node.name === "pi") return by.pi();
      if (node.name === "e") return by.exp(by.of(1));
      if (node.name === "i") return by.of(0, 1);
      if (node.name === "infinity") return by.of(Number.POSITIVE_INFINITY);
      throw new MathParseError("a set is no number");
    case "add":
      return by.add(go(node.left), go(node.right));
    case "sub":
      return by.sub(go(node.left), go(node.right));
    case "mul":
      return by.mul(go(node.left), go(node.right));
    case "div":
      return by.div(go(node.left), go(node.right));
    case "pow": {
      // a power of a fraction is taken exactly, so that its digits do not depend on the precision
      const exponent = evaluateExact(node.right, point, budget);
      if (exponent !== null && exponent.d === 1n) {
        const exact = evaluateExact(node, point, budget);
        if (exact !== null) return by.quotient(exact.s * exact.n, exact.d);
      }
      return by.pow(go(node.left), go(node.right));
    }
    case "neg":
      return by.neg(go(node.operand));
    case "abs":
      return by.abs(go(node.operand));
    case "percent":
      return point.mode.percent === "ignored" ? go(node.operand) : by.div(go(node.operand), by.of(100));
    case "degrees":
      if (point.mode.degrees === "ignored") return go(node.operand);
      return by.div(by.mul(go(node.operand), by.pi()), by.of(180));
    case "factorial": {
      const exact = evaluateExact(node, point, budget);
      if (exact !== null) return by.quotient(exact.s * exact.n, exact.d);
      return by.nan();
    }
    case "function": {
      if (node.name === "binom") {
        const exact = evaluateExact(node, point, budget);
        return exact === null ? by.nan() : by.quotient(exact.s * exact.n, exact.d);
      }
      // an angle in degrees inside a function is always an angle
      const inner: Point = { ...point, mode: { ...point.mode, degrees: "value" } };
      budget.spend(20);
      return preciseFunction(
        by,
        node.name,
        node.args.map((arg) => evaluate(arg, inner, budget, by)),
      );
    }
    case "opaque": {
      budget.spend(20);
      const shift = by.of(phase(node.name));
      return node.args
        .map((arg, index) => by.sin(by.add(by.mul(go(arg), by.of(0.7 + 0.2 * index)), shift)))
        .reduce((sum, each) => by.add(sum, each), shift);
    }
    case "unit":
      return go(node.value);
    case "series": {
      const bounds = seriesBounds(node, point, budget);
      if (bounds === null) return by.nan();
      const term = (index: number): PreciseValue =>
        evaluate(node.body, pointWithIndex(point, node.variable, index), budget, by);
      const { lower, upper } = bounds;
      const arithmetic = {
        add: (a: PreciseValue, b: PreciseValue) => by.add(a, b),
        mul: (a: PreciseValue, b: PreciseValue) => by.mul(a, b),
        whole: (value: number) => by.of(value),
      };
      return seriesValue(node.product, lower, upper, term, arithmetic) ?? by.nan();
    }
    default:
      throw new MathParseError(`a ${node.kind} is no number`);
  }
}

/** The sign of nothing, or why it is not known. */
export type ZeroVerdict = "zero" | "other" | "unknown";

/**
 * Is a sum of products zero? Each term is a product of nodes at points; digits are added until rounding errors are
 * far below both the value and 1, so that no term can be swallowed by a larger one.
 * @param build the value from an arithmetic; evaluated again with more digits where needed
 */
function isZero(build: (by: PreciseArithmetic) => [PreciseValue, PreciseValue], most: number): ZeroVerdict {
  for (let digits = FIRST_DIGITS; ; ) {
    const by = new PreciseArithmetic(digits);
    const [left, right] = build(by);
    const components = [left.re, left.im, right.re, right.im];
    if (components.some((part) => !part.isFinite())) return "unknown";
    const noise = Math.max(by.largest, -1e9) - digits + NOISE_DIGITS;
    const distance = [left.re.minus(right.re).abs(), left.im.minus(right.im).abs()];
    // `e` of a decimal is the exponent of its first digit
    if (distance.some((each) => !each.isZero() && each.e > noise)) return "other";
    const size = Math.max(...components.filter((part) => !part.isZero()).map((part) => part.e), -1e9);
    // both are nothing but rounding errors: as good as zero after a second look
    const least = size <= noise && digits > FIRST_DIGITS ? 0 : Math.min(0, size);
    const needed = Math.max(0, by.largest) + KEPT_DIGITS + NOISE_DIGITS - Math.max(least, -MOST_DIGITS);
    if (needed <= digits || distance.every((each) => each.isZero() && size === -1e9)) return "zero";
    if (needed > most) return size <= noise && digits >= 2 * FIRST_DIGITS ? "zero" : "unknown";
    digits = Math.max(needed, size <= noise ? 2 * digits : needed);
    if (digits > most) return size <= noise ? "zero" : "unknown";
  }
}

/** Most digits for a comparison at points of symbols, where smaller points tell terms apart more cheaply. */
const POINT_DIGITS = 250;

const mostDigits = (node: Node, point: Point): number =>
  hasSymbols(node, point) ? POINT_DIGITS : MOST_DIGITS;

/** Do two scalars have the same value at a point? "unknown" where one has none, or it is out of reach. */
export function samePrecisely(a: Node, b: Node, point: Point, budget: Budget): boolean | null {
  const most = Math.max(mostDigits(a, point), mostDigits(b, point));
  const verdict = isZero((by) => [evaluate(a, point, budget, by), evaluate(b, point, budget, by)], most);
  return verdict === "unknown" ? null : verdict === "zero";
}

/** Is a(p) b(q) = a(q) b(p)? Then the ratio of a and b is the same at both points. Null where that is not known. */
export function sameRatioPrecisely(a: Node, b: Node, p: Point, q: Point, budget: Budget): boolean | null {
  const verdict = isZero(
    (by) => [
      by.mul(evaluate(a, p, budget, by), evaluate(b, q, budget, by)),
      by.mul(evaluate(a, q, budget, by), evaluate(b, p, budget, by)),
    ],
    POINT_DIGITS,
  );
  return verdict === "unknown" ? null : verdict === "zero";
}
