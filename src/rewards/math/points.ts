/** Where expressions with symbols are compared: fixed pseudo-random points of several kinds and sizes. */
import { Fraction } from "mathjs";
import { createRng } from "../../lib/rng.ts";
import { type Node, some } from "./ast.ts";
import type { Point, SignMode } from "./evaluate.ts";
import { isBoundName } from "./series.ts";

export function symbolsOf(...nodes: readonly Node[]): string[] {
  const names = new Set<string>();
  for (const node of nodes) {
    some(node, (each) => {
      if (each.kind === "symbol" && !isBoundName(each.name)) names.add(each.name);
      return false;
    });
  }
  return [...names].sort();
}

/** What the value of one symbol at one point is drawn from. */
type Draw =
  /** A fraction of at most about 3, negative at odd points. */
  | { kind: "small" }
  | { kind: "whole"; from: number; below: number; negative: boolean }
  /** A fraction of about this size. */
  | { kind: "around"; size: number; negative: boolean }
  /** Beside a number that the expressions mention, where piecewise functions turn. */
  | { kind: "beside"; literal: Fraction; above: boolean };

const small: Draw = { kind: "small" };
const whole = (from: number, below: number, negative = false): Draw => ({
  kind: "whole",
  from,
  below,
  negative,
});

/** Enough to tell quotients of polynomials apart, which are compared exactly. */
const polynomialDraws: readonly Draw[] = [
  small,
  small,
  small,
  small,
  { kind: "around", size: 50, negative: true },
  whole(20, 300),
];

const generalDraws: readonly Draw[] = [
  ...Array.from({ length: 8 }, () => small),
  ...Array.from({ length: 5 }, () => whole(1, 13)),
  ...Array.from({ length: 5 }, () => whole(4, 40)),
  whole(1, 13, true),
  whole(1, 13, true),
  whole(100, 400),
  { kind: "around", size: 20, negative: false },
  { kind: "around", size: 20, negative: true },
  { kind: "around", size: 500, negative: false },
  { kind: "around", size: 500, negative: true },
];

/** Literals looked at; more make no answer. */
const MAX_LITERALS = 6;
const MAX_LITERAL = 10n ** 15n;

/** Distinct numbers in the expressions that a symbol may meet, largest first. */
function literalsOf(nodes: readonly Node[]): Fraction[] {
  const found = new Map<string, Fraction>();
  for (const node of nodes) {
    some(node, (each) => {
      if (
        each.kind === "number" &&
        each.numerator !== 0n &&
        each.numerator <= MAX_LITERAL * each.denominator
      ) {
        if (each.denominator <= MAX_LITERAL) {
          const value = new Fraction(each.numerator, each.denominator);
          found.set(value.toFraction(), value);
        }
      }
      return found.size > 40;
    });
  }
  return [...found.values()].sort((a, b) => b.compare(a)).slice(0, MAX_LITERALS);
}

/** Only sums, products, quotients and whole powers: exact values at a few points settle it. */
function isRationalFunction(node: Node): boolean {
  return !some(node, (each) => {
    if (each.kind === "pow") return each.right.kind !== "number" && symbolsOf(each.right).length > 0;
    return !["number", "symbol", "constant", "add", "sub", "mul", "div", "neg", "unit", "percent"].includes(
      each.kind,
    );
  });
}

function draws(nodes: readonly Node[]): readonly Draw[] {
  if (nodes.every(isRationalFunction)) return polynomialDraws;
  const literals = literalsOf(nodes);
  const [largest] = literals;
  const size = largest === undefined ? 0 : Number(largest.n) / Number(largest.d);
  const beyond: Draw[] =
    size > 300
      ? [
          { kind: "around", size: 2 * size, negative: false },
          { kind: "around", size: 2 * size, negative: true },
        ]
      : [];
  const beside = literals
    .slice(0, MAX_LITERALS)
    .flatMap((literal): Draw[] => [false, true].map((above) => ({ kind: "beside", literal, above })));
  return [...generalDraws, ...beyond, ...beside];
}

function valueAt(draw: Draw, name: string, index: number): Fraction {
  const rng = createRng(20_010).fork("math-points", name);
  const sign = index % 2 === 1 && rng.integer(3, 2 * index + 1) > 0 ? -1 : 1;
  switch (draw.kind) {
    case "small":
      return new Fraction(BigInt(sign * (31 + rng.integer(240, 2 * index))), 97n);
    case "whole": {
      const value = draw.from + rng.integer(draw.below - draw.from, 2 * index);
      return new Fraction(BigInt(draw.negative && rng.integer(3, 2 * index + 1) > 0 ? -value : value), 1n);
    }
    case "around": {
      const value = Math.round(draw.size * (97 + rng.integer(194, 2 * index))) + 1;
      return new Fraction(BigInt(draw.negative ? -value : value), 97n);
    }
    case "beside": {
      // with several symbols, one of them stands beside the literal and the others anywhere
      if (rng.integer(3, 2 * index + 1) === 0)
        return new Fraction(BigInt(31 + rng.integer(240, 2 * index)), 97n);
      const step = new Fraction(BigInt(1 + rng.integer(30, 2 * index)), 97n);
      return draw.above ? draw.literal.add(step) : draw.literal.sub(step);
    }
    default: {
      const unreachable: never = draw;
      throw new Error(JSON.stringify(unreachable));
    }
  }
}

/** The points for these expressions, in an order that tells most differences apart early. */
export function* pointsFor(
  symbols: readonly string[],
  nodes: readonly Node[],
  mode: SignMode,
): Generator<Point> {
  for (const [index, draw] of draws(nodes).entries()) {
    const exact = new Map(symbols.map((name) => [name, valueAt(draw, name, index)]));
    yield { mode, exact, outside: false };
  }
}

/** A point for values without symbols, or where any point will do. */
export function anyPoint(symbols: readonly string[], mode: SignMode): Point {
  return { mode, exact: new Map(symbols.map((name) => [name, valueAt(small, name, 0)])), outside: false };
}
