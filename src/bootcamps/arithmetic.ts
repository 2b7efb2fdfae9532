import { z } from "zod";
import { defineBootcamp, isNumber, pickFrom, range, within } from "./define.ts";

const OPERATORS = ["+", "-", "*"] as const;
const WORDS = { "+": "plus", "-": "minus", "*": "times" };

export const arithmetic = defineBootcamp({
  name: "arithmetic",
  about: "a sum, a difference or a product of two whole numbers",
  difficulty: z.strictObject({
    digits: range(1, 7, [1, 3]).describe("of each number"),
    operators: z.array(z.enum(OPERATORS)).min(1).default(["+", "-"]).describe("drawn from"),
  }),
  identity: z.strictObject({ left: z.int(), operator: z.enum(OPERATORS), right: z.int() }),
  draw(rng, { digits, operators }) {
    const number = (name: string) => {
      const size = within(rng.fork(name, "digits"), digits);
      const least = size === 1 ? 0 : 10 ** (size - 1);
      return least + rng.fork(name).integer(10 ** size - least, 0);
    };
    return {
      left: number("left"),
      operator: pickFrom(rng.fork("operator"), operators),
      right: number("right"),
    };
  },
  prompt: ({ left, operator, right }) => `What is ${left} ${WORDS[operator]} ${right}?`,
  brief: ({ left, operator, right }) => `${left}${operator}${right}=`,
  solve: (identity) => ({ steps: [], answer: String(result(identity)) }),
  verify: (answer, identity) => isNumber(answer, result(identity)),
});

function result({
  left,
  operator,
  right,
}: {
  left: number;
  operator: "+" | "-" | "*";
  right: number;
}): number {
  return operator === "+" ? left + right : operator === "-" ? left - right : left * right;
}
