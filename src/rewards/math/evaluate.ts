import { Fraction } from "mathjs";
import { createRng } from "../../lib/rng.ts";
import { MathParseError, type Node, some } from "./ast.ts";
import { type Complex, complex } from "./complex.ts";
import { seriesValue } from "./series.ts";

/** How degrees and percent signs count: as factors pi/180 and 1/100, or as units to be ignored. */
export interface SignMode {
  degrees: "value" | "ignored";
  percent: "value" | "ignored";
}

/** Values of the free symbols at one point, and what was met on the way. */
export interface Point {
  mode: SignMode;
  exact: ReadonlyMap<string, Fraction>;
  /** Set when a root, logarithm or fractional power of a symbol left the positive reals: branches may differ there. */
  outside: boolean;
}

/** Nodes evaluated for one comparison; far above real answers. Keeps grading bounded without a clock. */
const MAX_OPERATIONS = 200_000;
/** Largest exact integer, in bits: 9^(9^9) must not be built. */
const MAX_BITS = 50_000;

export class Budget {
  private left = MAX_OPERATIONS;
  private readonly factorials = new Map<bigint, bigint>();

  /** n!, paid for once: the same one comes again at every point. */
  factorial(n: bigint): bigint {
    const known = this.factorials.get(n);
    if (known !== undefined) return known;
    this.spend(Number(n));
    let product = 1n;
    for (let k = 2n; k <= n; k++) product *= k;
    this.factorials.set(n, product);
    return product;
  }

  spend(amount = 1): void {
    this.left -= amount;
    if (this.left < 0) throw new MathParseError("the comparison is too complex");
  }
}

const fraction = (numerator: bigint | number, denominator: bigint | number = 1n): Fraction =>
  new Fraction(BigInt(numerator), BigInt(denominator));

function bits(value: bigint): number {
  return value === 0n ? 0 : value.toString(16).length * 4;
}

const numeratorOf = (value: Fraction): bigint => value.s * value.n;

/** Number nearest to a fraction, also where numerator and denominator overflow. */
export function fractionToNumber(value: Fraction): number {
  const direct = Number(value.n) / Number(value.d);
  if (Number.isFinite(direct)) return Number(value.s) * direct;
  const shift = BigInt(Math.max(0, Math.max(bits(value.n), bits(value.d)) - 1000));
  return (Number(value.s) * Number(value.n >> shift)) / Number(value.d >> shift || 1n);
}

function exactPower(base: Fraction, exponent: Fraction, budget: Budget): Fraction | null {
  if (exponent.d !== 1n) return null;
  const power = exponent.s * exponent.n;
  const size = power < 0n ? -power : power;
  if (base.n === 0n) return power > 0n ? fraction(0) : null;
  if (base.n === 1n && base.d === 1n) return base.s > 0n || size % 2n === 0n ? fraction(1) : fraction(-1);
  const width = Math.max(bits(base.n), bits(base.d));
  if (size > BigInt(MAX_BITS) || width * Number(size) > MAX_BITS) return null;
  budget.spend(1 + Math.ceil((width * Number(size)) / 500));
  const numerator = numeratorOf(base) ** size;
  const denominator = base.d ** size;
  return power >= 0n ? fraction(numerator, denominator) : fraction(denominator, numerator);
}

/** n (n - 1) ... (n - k + 1) / k!; null where it would be too large. */
function binomial(n: Fraction, k: Fraction, budget: Budget): Fraction | null {
  if (n.d !== 1n || k.d !== 1n || n.s < 0n || k.s < 0n || n.n > 5000n) return null;
  if (k.n > n.n) return fraction(0);
  const size = k.n * 2n > n.n ? n.n - k.n : k.n;
  budget.spend(Number(size));
  let result = 1n;
  for (let i = 1n; i <= size; i++) result = (result * (n.n - size + i)) / i;
  return fraction(result);
}

const fractionArithmetic = {
  add: (a: Fraction, b: Fraction) => a.add(b),
  mul: (a: Fraction, b: Fraction) => a.mul(b),
  whole: (value: number) => fraction(value),
};

/** The same point with the variable of a series at one of its indices. */
export function pointWithIndex(point: Point, variable: string, index: number): Point {
  return { ...point, exact: new Map(point.exact).set(variable, fraction(index)) };
}

/** Bounds of a series as numbers; infinity for an upper bound that is infinite, else null where not whole. */
export function seriesBounds(
  node: Extract<Node, { kind: "series" }>,
  point: Point,
  budget: Budget,
): { lower: number; upper: number } | null {
  const lower = evaluateExact(node.lower, point, budget);
  const endless = node.upper.kind === "constant" && node.upper.name === "infinity";
  const upper = endless ? null : evaluateExact(node.upper, point, budget);
  if (lower === null || lower.d !== 1n || lower.n > 1_000_000n) return null;
  if (!endless && (upper === null || upper.d !== 1n || upper.n > 1_000_000n)) return null;
  return {
    lower: fractionToNumber(lower),
    upper: upper === null ? Number.POSITIVE_INFINITY : fractionToNumber(upper),
  };
}

/** Whole-number functions; null where the arguments do not fit. */
function exactFunction(name: string, args: readonly Fraction[], budget: Budget): Fraction | null {
  const [a, b] = args;
  if (a === undefined) return null;
  switch (name) {
    case "binom":
      return b === undefined ? null : binomial(a, b, budget);
    case "floor":
      return a.floor();
    case "ceil":
      return a.ceil();
    case "max":
      return args.reduce((best, each) => (each.compare(best) > 0 ? each : best));
    case "min":
      return args.reduce((best, each) => (each.compare(best) < 0 ? each : best));
    default:
      return null;
  }
}

/** The exact rational value, or null when there is none (roots, pi, overflow, division by zero). */
export function evaluateExact(node: Node, point: Point, budget: Budget): Fraction | null {
  budget.spend();
  const go = (child: Node): Fraction | null => evaluateExact(child, point, budget);
  switch (node.kind) {
    case "number":
      return fraction(node.numerator, node.denominator);
    case "symbol":
      return point.exact.get(node.name) ?? null;
    case "add":
    case "sub":
    case "mul":
    case "div": {
      const left = go(node.left);
      const right = left === null ? null : go(node.right);
      if (left === null || right === null) return null;
      if (bits(left.n) + bits(left.d) + bits(right.n) + bits(right.d) > 4 * MAX_BITS) return null;
      budget.spend(Math.ceil((bits(left.d) + bits(right.d)) / 500));
      if (node.kind === "add") return left.add(right);
      if (node.kind === "sub") return left.sub(right);
      if (node.kind === "mul") return left.mul(right);
      return right.n === 0n ? null : left.div(right);
    }
    case "pow": {
      const left = go(node.left);
      const right = left === null ? null : go(node.right);
      return left === null || right === null ? null : exactPower(left, right, budget);
    }
    case "neg":
      return go(node.operand)?.neg() ?? null;
    case "abs":
      return go(node.operand)?.abs() ?? null;
    case "percent": {
      const value = go(node.operand);
      return value === null || point.mode.percent === "ignored" ? value : value.div(fraction(100));
    }
    case "degrees":
      return point.mode.degrees === "ignored" ? go(node.operand) : null;
    case "factorial": {
      const value = go(node.operand);
      if (value === null || value.d !== 1n || value.s < 0n || value.n > 5000n) return null;
      return fraction(budget.factorial(value.n));
    }
    case "function": {
      const args = node.args.map(go);
      return args.some((arg) => arg === null) ? null : exactFunction(node.name, args as Fraction[], budget);
    }
    case "unit":
      return go(node.value);
    case "series": {
      const bounds = seriesBounds(node, point, budget);
      if (bounds === null) return null;
      const term = (index: number) =>
        evaluateExact(node.body, pointWithIndex(point, node.variable, index), budget);
      return seriesValue(node.product, bounds.lower, bounds.upper, term, fractionArithmetic);
    }
    default:
      return null;
  }
}

const complexArithmetic = {
  add: (a: Complex, b: Complex) => a.add(b),
  mul: (a: Complex, b: Complex) => a.mul(b),
  whole: (value: number) => complex(value),
};

/** A small number from a name, for functions nobody defined. */
export function phase(name: string): number {
  return 0.5 + createRng(7).fork("opaque", name).uniform(0);
}

function complexFunction(name: string, args: readonly Complex[]): Complex {
  const [z, second] = args;
  if (z === undefined) throw new MathParseError(`${name} without an argument`);
  switch (name) {
    case "root": {
      const index = second?.re ?? 2;
      if (index === 2) return z.sqrt();
      // real odd roots of negative numbers are real, as schools have it
      if (z.im === 0 && z.re < 0 && index % 2 === 1) return complex(-((-z.re) ** (1 / index)));
      return z.pow(complex(1 / index));
    }
    case "ln":
    case "log":
    case "lg": {
      const top = z.log();
      if (second !== undefined) return top.div(second.log());
      return name === "lg" ? top.div(complex(Math.LN10)) : top;
    }
    case "exp":
      return z.exp();
    case "sin":
      return z.sin();
    case "cos":
      return z.cos();
    case "tan":
      return z.tan();
    case "cot":
      return z.cot();
    case "sec":
      return z.sec();
    case "csc":
      return z.csc();
    case "sinh":
      return z.sinh();
    case "cosh":
      return z.cosh();
    case "tanh":
      return z.tanh();
    case "arcsin":
      return z.asin();
    case "arccos":
      return z.acos();
    case "arctan":
      return z.atan();
    case "floor":
      return complex(Math.floor(z.re));
    case "ceil":
      return complex(Math.ceil(z.re));
    case "max":
      return complex(Math.max(...args.map((each) => each.re)));
    case "min":
      return complex(Math.min(...args.map((each) => each.re)));
    default:
      throw new MathParseError(`the function ${name} is not understood`);
  }
}

const branching = new Set(["root", "ln", "log", "lg", "arcsin", "arccos"]);

export const hasSymbols = (node: Node, point: Point): boolean =>
  some(node, (each) => each.kind === "symbol" && point.exact.has(each.name));

const offReals = (value: Complex): boolean =>
  value.re <= 0 || Math.abs(value.im) > 1e-12 * Math.abs(value.re);

/**
 * The value in double precision, complex where roots or logarithms ask for it.
 * @throws MathParseError when the node is no scalar
 */
export function evaluateComplex(node: Node, point: Point, budget: Budget): Complex {
  budget.spend();
  const go = (child: Node): Complex => evaluateComplex(child, point, budget);
  switch (node.kind) {
    case "number":
      return complex(fractionToNumber(fraction(node.numerator, node.denominator)));
    case "symbol": {
      const value = point.exact.get(node.name);
      if (value === undefined) throw new MathParseError(`${node.name} has no value`);
      return complex(fractionToNumber(value));
    }
    case "constant":
      switch (node.name) {
        case "pi":
          return complex(Math.PI);
        case "e":
          return complex(Math.E);
        case "i":
          return complex(0, 1);
        case "infinity":
          return complex(Number.POSITIVE_INFINITY);
        default:
          throw new MathParseError("a set is no number");
      }
    case "add":
      return go(node.left).add(go(node.right));
    case "sub":
      return go(node.left).sub(go(node.right));
    case "mul":
      return go(node.left).mul(go(node.right));
    case "div":
      return go(node.left).div(go(node.right));
    case "pow": {
      const base = go(node.left);
      const exponent = go(node.right);
      if (
        !(exponent.im === 0 && Number.isInteger(exponent.re)) &&
        offReals(base) &&
        hasSymbols(node.left, point)
      ) {
        point.outside = true;
      }
      // whole powers of reals without a detour over logarithms
      if (base.im === 0 && exponent.im === 0 && (base.re >= 0 || Number.isInteger(exponent.re))) {
        return complex(base.re ** exponent.re);
      }
      return base.pow(exponent);
    }
    case "neg":
      return go(node.operand).neg();
    case "abs":
      return complex(go(node.operand).abs());
    case "percent":
      return point.mode.percent === "ignored" ? go(node.operand) : go(node.operand).div(complex(100));
    case "degrees":
      return point.mode.degrees === "ignored"
        ? go(node.operand)
        : go(node.operand).mul(complex(Math.PI / 180));
    case "factorial": {
      const exact = evaluateExact(node, point, budget);
      if (exact !== null) return complex(fractionToNumber(exact));
      // n! has a value where n is whole; other points say nothing about it
      if (hasSymbols(node, point)) return complex(Number.NaN);
      throw new MathParseError("a factorial of something else than a small whole number");
    }
    case "function": {
      // an angle in degrees inside a function is always an angle
      const inner: Point = { ...point, mode: { ...point.mode, degrees: "value" } };
      const args = node.args.map((arg) => evaluateComplex(arg, inner, budget));
      if (inner.outside) point.outside = true;
      if (node.name === "binom") {
        const exact = evaluateExact(node, point, budget);
        if (exact !== null) return complex(fractionToNumber(exact));
        if (hasSymbols(node, point)) return complex(Number.NaN);
        throw new MathParseError("a binomial coefficient of something else than small whole numbers");
      }
      if (branching.has(node.name) && args.some(offReals) && hasSymbols(node.args[0]!, point))
        point.outside = true;
      return complexFunction(node.name, args);
    }
    case "opaque": {
      // any smooth function without symmetries will do: equal arguments give equal values
      const shift = phase(node.name);
      return node.args
        .map((arg, index) =>
          go(arg)
            .mul(complex(0.7 + 0.2 * index))
            .add(complex(shift))
            .sin(),
        )
        .reduce((sum, each) => sum.add(each), complex(shift));
    }
    case "unit":
      return go(node.value);
    case "series": {
      const bounds = seriesBounds(node, point, budget);
      const term = (index: number): Complex => {
        const inner = pointWithIndex(point, node.variable, index);
        const value = evaluateComplex(node.body, inner, budget);
        if (inner.outside) point.outside = true;
        return value;
      };
      if (bounds === null) return complex(Number.NaN);
      return (
        seriesValue(node.product, bounds.lower, bounds.upper, term, complexArithmetic) ?? complex(Number.NaN)
      );
    }
    default:
      throw new MathParseError(`a ${node.kind} is no number`);
  }
}
