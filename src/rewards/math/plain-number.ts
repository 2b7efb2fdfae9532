import { MathParseError, type Node } from "./ast.ts";
import { normalise } from "./normalise.ts";
import { parseAnswer } from "./parse.ts";
import type { Rational } from "./rational.ts";

/** Longest text that is read as a number, in characters. */
const MAX_NUMBER_CHARS = 200;
/** Largest exponent of ten or of another base; larger ones are no answers to word problems. */
const MAX_EXPONENT = 400;

const whole = (value: bigint): Rational => ({ numerator: value, denominator: 1n });

function power(base: Rational, exponent: Rational): Rational | null {
  if (exponent.denominator === 0n || exponent.numerator % exponent.denominator !== 0n) return null;
  const times = exponent.numerator / exponent.denominator;
  const size = times < 0n ? -times : times;
  const width = base.numerator.toString().length + base.denominator.toString().length;
  if (size > BigInt(MAX_EXPONENT) || width * Number(size) > 20 * MAX_EXPONENT) return null;
  const [top, bottom] = times < 0n ? [base.denominator, base.numerator] : [base.numerator, base.denominator];
  return bottom === 0n ? null : { numerator: top ** size, denominator: bottom ** size };
}

/** The exact value of sums, products, quotients and powers of numbers; null for anything else. */
function rationalValue(node: Node): Rational | null {
  if (node.kind === "number") return { numerator: node.numerator, denominator: node.denominator };
  if (node.kind === "unit") return rationalValue(node.value);
  if (node.kind === "neg") return rationalValue({ kind: "sub", left: zero, right: node.operand });
  if (node.kind === "percent") return rationalValue({ kind: "div", left: node.operand, right: hundred });
  // x = 5 and 22/7 = 3.14... are left to the math reward
  if (!("left" in node) || node.kind === "setop" || node.kind === "plusminus") return null;
  const a = rationalValue(node.left);
  const b = rationalValue(node.right);
  if (a === null || b === null) return null;
  switch (node.kind) {
    case "add":
    case "sub": {
      const sign = node.kind === "add" ? 1n : -1n;
      return {
        numerator: a.numerator * b.denominator + sign * b.numerator * a.denominator,
        denominator: a.denominator * b.denominator,
      };
    }
    case "mul":
      return { numerator: a.numerator * b.numerator, denominator: a.denominator * b.denominator };
    case "div":
      if (b.numerator === 0n) return null;
      return positive({ numerator: a.numerator * b.denominator, denominator: a.denominator * b.numerator });
    default: {
      const value = power(a, b);
      return value === null ? null : positive(value);
    }
  }
}

const positive = ({ numerator, denominator }: Rational): Rational =>
  denominator < 0n ? { numerator: -numerator, denominator: -denominator } : { numerator, denominator };
const zero: Node = { kind: "number", ...whole(0n) };
const hundred: Node = { kind: "number", ...whole(100n) };

/**
 * A number in LaTeX or as people write it: \frac{1}{2}, 1 1/2, ½, 1.5 × 10^3, 1 234. Linear, and without a deadline:
 * only short texts are read.
 * @returns null for what is no single number
 */
export function readWrittenNumber(text: string): { value: Rational; percent: boolean } | null {
  if (text.length > MAX_NUMBER_CHARS) return null;
  try {
    const [answer] = parseAnswer(normalise(text));
    const [item] = answer?.items ?? [];
    if (answer?.items.length !== 1 || item === undefined) return null;
    const value = rationalValue(item);
    return value === null ? null : { value, percent: item.kind === "percent" };
  } catch (error) {
    if (error instanceof MathParseError) return null;
    throw error;
  }
}
