import { z } from "zod";
import { defineBootcamp, pickFrom, range, within } from "./define.ts";

const base = z.int().min(2).max(16);

export const baseConversion = defineBootcamp({
  name: "base-conversion",
  about: "a whole number written in another base",
  difficulty: z.strictObject({
    digits: range(1, 8, [2, 3]).describe("decimal digits of the number"),
    bases: z.array(base).min(2).default([2, 10]).describe("two of them are drawn"),
  }),
  identity: z.strictObject({ number: z.int().min(0).max(1e9), from: base, to: base }),
  draw(rng, { digits, bases }) {
    const size = within(rng.fork("digits"), digits);
    const least = size === 1 ? 0 : 10 ** (size - 1);
    const from = pickFrom(rng.fork("from"), bases);
    const others = bases.filter((one) => one !== from);
    return {
      number: least + rng.fork("number").integer(10 ** size - least, 0),
      from,
      to: others.length === 0 ? from : pickFrom(rng.fork("to"), others),
    };
  },
  prompt: ({ number, from, to }) =>
    `The number ${number.toString(from)} is written in base ${from}. Write it in base ${to}.`,
  brief: ({ number, from, to }) => `${number.toString(from)} ${from}>${to}:`,
  solve: ({ number, to }) => ({ steps: [], answer: number.toString(to) }),
  verify: (answer, { number, to }) =>
    answer
      .replaceAll(/\s/g, "")
      .toLowerCase()
      .replace(/^0[xbo](?=.)/, "")
      .replace(/^0+(?=.)/, "") === number.toString(to),
});
