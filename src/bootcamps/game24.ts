import { z } from "zod";
import type { Rng } from "../lib/rng.ts";
import { defineBootcamp, range, within } from "./define.ts";

/** A fraction in lowest terms, the denominator positive. */
interface Fraction {
  top: number;
  bottom: number;
}

const MAX_SIGNS = 400;

export const game24 = defineBootcamp({
  name: "game24",
  about: "an expression of given numbers, each once, that has a given value",
  difficulty: z.strictObject({
    numbers: range(2, 6, [3, 4]).describe("how many are given"),
    largest: z.int().min(2).max(100).default(10).describe("largest of them"),
    target_largest: z.int().min(2).max(1000).default(24).describe("largest value to reach"),
  }),
  identity: z.strictObject({ numbers: z.array(z.int().min(1).max(1000)).min(2).max(6), target: z.int() }),
  draw(rng, { numbers, largest, target_largest: most }) {
    const count = within(rng.fork("count"), numbers);
    for (let attempt = 0; attempt < 10_000; attempt++) {
      const draw = rng.fork("attempt", attempt);
      const list = Array.from({ length: count }, (_, i) => 1 + draw.fork("numbers").integer(largest, i));
      const value = exactValue(expressionOf(list, draw.fork("tree")));
      // a value that can be reached is found by building an expression
      if (value !== null && value.bottom === 1 && value.top >= 1 && value.top <= most)
        return {
          numbers: draw
            .fork("order")
            .permutation(count)
            .map((i) => list[i]!),
          target: value.top,
        };
    }
    throw new RangeError("no whole value within target_largest was found");
  },
  prompt: ({ numbers, target }) =>
    `Use each of the numbers ${numbers.join(", ")} exactly once, with + - * / and parentheses, to make ${target}. Answer with the expression.`,
  brief: ({ numbers, target }) => `make ${target} ${numbers.join(" ")}:`,
  solve: ({ numbers, target }) => ({ steps: [], answer: search(numbers, target) }),
  verify(answer, { numbers, target }) {
    const expression = answer
      .replace(/=[^=]*$/, "")
      .replaceAll(/\s/g, "")
      .replaceAll("×", "*")
      .replaceAll("÷", "/")
      .replaceAll("−", "-");
    if (!/^[\d+\-*/()]+$/.test(expression) || expression.length > MAX_SIGNS) return false;
    const used = (expression.match(/\d+/g) ?? []).map(Number).sort((a, b) => a - b);
    const given = numbers.toSorted((a, b) => a - b);
    if (used.length !== given.length || !used.every((number, i) => number === given[i])) return false;
    const value = exactValue(expression);
    return value !== null && value.bottom === 1 && value.top === target;
  },
});

function expressionOf(numbers: readonly number[], rng: Rng): string {
  if (numbers.length === 1) return String(numbers[0]);
  const split = 1 + rng.integer(numbers.length - 1, 0);
  const sign = "+-*/"[rng.integer(4, 1)]!;
  return `(${expressionOf(numbers.slice(0, split), rng.fork("left"))}${sign}${expressionOf(numbers.slice(split), rng.fork("right"))})`;
}

function reduced(top: number, bottom: number): Fraction | null {
  if (bottom === 0 || !Number.isSafeInteger(top) || !Number.isSafeInteger(bottom)) return null;
  let [a, b] = [Math.abs(top), Math.abs(bottom)];
  while (b !== 0) [a, b] = [b, a % b];
  const sign = bottom < 0 ? -1 : 1;
  return { top: (sign * top) / (a || 1), bottom: (sign * bottom) / (a || 1) };
}

function combined(left: Fraction, sign: string, right: Fraction): Fraction | null {
  if (sign === "*") return reduced(left.top * right.top, left.bottom * right.bottom);
  if (sign === "/") return reduced(left.top * right.bottom, left.bottom * right.top);
  const other = left.bottom * right.top;
  return reduced(left.top * right.bottom + (sign === "+" ? other : -other), left.bottom * right.bottom);
}

/** Exact value by the usual precedence; null for what is no expression, a division by 0, or numbers beyond 2^53. */
function exactValue(expression: string): Fraction | null {
  let at = 0;
  const factor = (): Fraction | null => {
    if (expression[at] === "-") {
      at++;
      const value = factor();
      return value && { top: -value.top, bottom: value.bottom };
    }
    if (expression[at] === "(") {
      at++;
      const value = sum();
      return expression[at++] === ")" ? value : null;
    }
    const [digits] = /^\d{1,9}/.exec(expression.slice(at)) ?? [];
    if (digits === undefined) return null;
    at += digits.length;
    return { top: Number(digits), bottom: 1 };
  };
  const joined = (signs: string, part: () => Fraction | null): Fraction | null => {
    let value = part();
    while (value !== null && at < expression.length && signs.includes(expression[at]!)) {
      const sign = expression[at++]!;
      const right = part();
      value = right && combined(value, sign, right);
    }
    return value;
  };
  const product = () => joined("*/", factor);
  const sum = (): Fraction | null => joined("+-", product);
  const value = sum();
  return at === expression.length ? value : null;
}

/** An expression that has the value, by joining two numbers at a time. @throws RangeError where there is none */
function search(numbers: readonly number[], target: number): string {
  type Part = { text: string; value: Fraction };
  const join = (parts: readonly Part[]): string | null => {
    if (parts.length === 1) {
      const [{ text, value }] = parts as [Part];
      return value.bottom === 1 && value.top === target ? text : null;
    }
    for (const [i, left] of parts.entries()) {
      for (const [j, right] of parts.entries()) {
        if (i === j) continue;
        const rest = parts.filter((_, k) => k !== i && k !== j);
        for (const sign of i < j ? "+-*/" : "-/") {
          const value = combined(left.value, sign, right.value);
          if (value === null) continue;
          const found = join([...rest, { text: `(${left.text}${sign}${right.text})`, value }]);
          if (found !== null) return found;
        }
      }
    }
    return null;
  };
  const found = join(numbers.map((number) => ({ text: String(number), value: { top: number, bottom: 1 } })));
  if (found === null) throw new RangeError(`${numbers.join(", ")} cannot make ${target}`);
  return found.replace(/^\((.*)\)$/, "$1");
}
