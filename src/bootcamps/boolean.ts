import { z } from "zod";
import type { Rng } from "../lib/rng.ts";
import { defineBootcamp, range, within } from "./define.ts";

/** T, F, !x, (x&y) and (x|y), without blanks. */
const GRAMMAR = /^[TF!&|()]{1,400}$/;

export const boolean = defineBootcamp({
  name: "boolean",
  about: "whether an expression of not, and, or is true",
  difficulty: z.strictObject({ operators: range(1, 20, [2, 4]).describe("of and, or and not together") }),
  identity: z.strictObject({ expression: z.string().regex(GRAMMAR) }),
  draw: (rng, { operators }) => ({ expression: drawn(rng, within(rng.fork("operators"), operators)) }),
  prompt: ({ expression }) =>
    `Is this true or false: ${expression
      .replaceAll("!", "not ")
      .replaceAll("&", " and ")
      .replaceAll("|", " or ")
      .replaceAll("T", "true")
      .replaceAll("F", "false")}?`,
  brief: ({ expression }) => `${expression}=`,
  solve: ({ expression }) => ({ steps: [], answer: truthOf(expression) ? "true" : "false" }),
  verify: (answer, { expression }) =>
    (truthOf(expression) ? ["true", "t"] : ["false", "f"]).includes(answer.trim().toLowerCase()),
});

function drawn(rng: Rng, operators: number): string {
  if (operators === 0) return rng.uniform(0) < 0.5 ? "T" : "F";
  if (rng.uniform(1) < 0.3) return `!${drawn(rng.fork("not"), operators - 1)}`;
  const left = rng.fork("split").integer(operators, 0);
  const sign = rng.uniform(2) < 0.5 ? "&" : "|";
  return `(${drawn(rng.fork("left"), left)}${sign}${drawn(rng.fork("right"), operators - 1 - left)})`;
}

/** @throws RangeError for what is no expression */
function truthOf(expression: string): boolean {
  let at = 0;
  const take = (sign: string): void => {
    if (expression[at++] !== sign) throw new RangeError(`${expression} is no expression at sign ${at}`);
  };
  const read = (): boolean => {
    const sign = expression[at++];
    if (sign === "T" || sign === "F") return sign === "T";
    if (sign === "!") return !read();
    if (sign !== "(") throw new RangeError(`${expression} is no expression at sign ${at}`);
    const left = read();
    const joined = expression[at];
    take(joined === "&" ? "&" : "|");
    const right = read();
    take(")");
    return joined === "&" ? left && right : left || right;
  };
  const value = read();
  if (at !== expression.length) throw new RangeError(`${expression} goes on after its end`);
  return value;
}
