/** What relations say of values: `x = 5`, `(x, y) = (3, -1)`, `m + n = 12`, `22/7 \approx 3.14`. */
import { type Node, some } from "./ast.ts";
import type { Budget } from "./evaluate.ts";
import { symbolsOf } from "./points.ts";
import { realValue } from "./scalar.ts";

export type RelationNode = Extract<Node, { kind: "relation" }>;

/** Left side of a definition: x, f(x), AB, |AB|, (x, y). */
export function isName(node: Node): boolean {
  switch (node.kind) {
    case "symbol":
    case "opaque":
      return true;
    case "constant":
      return node.name.length === 1;
    case "mul":
      return isName(node.left) && isName(node.right);
    case "abs":
      return isName(node.operand);
    case "tuple":
      return node.items.every(isName);
    default:
      return false;
  }
}

/** Unknowns of equations that describe curves and are no questions of their own. */
const coordinates = new Set(["x", "y", "z"]);

/** No structure but numbers and functions of them. */
const structured = new Set<Node["kind"]>(["tuple", "set", "matrix", "setop", "relation", "text"]);

/** Sums, differences and quotients of names: m + n, a/b. */
const isSimple = (node: Node): boolean =>
  isName(node) ||
  ((node.kind === "add" || node.kind === "sub" || node.kind === "div") &&
    isSimple(node.left) &&
    isSimple(node.right));

const isZero = (node: Node): boolean => node.kind === "number" && node.numerator === 0n;

/**
 * Does `left` name a quantity that a problem asks for, such as m + n, a/b or sin θ? An equation in one unknown is to
 * be solved, and one in two coordinates is a curve: neither says its right side.
 * @param asked the other answer is a plain value: then x + y may be what was asked for, though x^2 + y^2 may not
 */
function isQuantity(left: Node, asked: boolean): boolean {
  if (isName(left)) return true;
  if (some(left, (each) => structured.has(each.kind)))
    return left.kind === "ratio" && left.items.every(isName);
  if (left.kind === "ratio") return left.items.every(isName);
  const names = symbolsOf(left);
  if (names.length === 0) return some(left, (each) => each.kind === "opaque");
  if (left.kind === "function" && ["sin", "cos", "tan", "cot", "sec", "csc"].includes(left.name)) return true;
  if (names.length < 2) return false;
  const curve = names.filter((name) => coordinates.has(name)).length >= 2;
  if (!curve && (asked || isSimple(left))) return true;
  return (
    asked && !some(left, (each) => each.kind === "pow" || each.kind === "mul" || each.kind === "function")
  );
}

/** Is the decimal what `exact` rounds to? */
function isRounded(exact: Node, decimal: Node, budget: Budget): boolean {
  const value = realValue(exact, budget);
  const rounded = realValue(decimal, budget);
  if (value === null || rounded === null) return false;
  const digits = decimal.kind === "number" ? (decimal.decimals ?? 0) : 2;
  return Math.abs(value - rounded) <= 1.01 * Math.max(10 ** -digits, 1e-3 * Math.abs(value));
}

/**
 * The values that a relation states, the exact one first: the last side of `name = a = b`, and after an
 * approximation sign its decimal. Empty where it states none, as x^2 + y^2 = 4, or contradicts itself.
 */
export function statedValues(node: RelationNode, asked: boolean, budget: Budget): Node[] {
  const [first] = node.sides;
  if (!node.ops.every((op) => op === "=" || op === "in" || op === "~")) return [];
  const cut = node.ops.indexOf("~");
  const exact = cut < 0 ? node.sides : node.sides.slice(0, cut + 1);
  const rounded = cut < 0 ? [] : node.sides.slice(cut + 1);
  // a decimal that is none of the value contradicts it: nothing is stated then
  const withRounded = (value: Node): Node[] => {
    const fitting = rounded.filter((each) => isRounded(value, each, budget));
    return fitting.length < rounded.length ? [] : [value, ...fitting];
  };
  const named = isQuantity(first!, asked);
  const plain = (side: Node): boolean => symbolsOf(side).length === 0;
  if (exact.length === 1) {
    // x \approx 3.14 says the decimal, 22/7 \approx 3.14 both
    if (named) return rounded.slice(-1);
    return plain(first!) ? withRounded(first!) : [];
  }
  const reversed = exact.length === 2 && isName(exact[1]!) && plain(first!) && !isName(first!);
  const value = reversed ? first! : named || exact.every(plain) ? exact.at(-1)! : null;
  // a^2 + b = 0 is an equation
  if (value === null || (isZero(value) && !isName(first!) && !exact.every(plain))) return [];
  return withRounded(value);
}

/** Name and value of `x = 5`; null for other relations. */
export function namedValue(node: Node): { name: string; value: Node } | null {
  if (node.kind !== "relation" || node.ops.join() !== "=") return null;
  const [left, right] = node.sides;
  return left!.kind === "symbol" ? { name: left!.name, value: right! } : null;
}

/**
 * The values of `x = 3, y = -1` as one tuple: by name where the names are single letters, else as they stand.
 * Null where an item is no named value or a name comes twice.
 */
export function tupleOfNamed(items: readonly Node[]): Node | null {
  const named = items.map(namedValue);
  if (named.length < 2 || named.some((each) => each === null)) return null;
  const pairs = named.map((each) => each!);
  if (new Set(pairs.map(({ name }) => name)).size !== pairs.length) return null;
  if (pairs.every(({ name }) => /^[a-zA-Z]$/.test(name))) pairs.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { kind: "tuple", open: "(", close: ")", items: pairs.map(({ value }) => value) };
}
