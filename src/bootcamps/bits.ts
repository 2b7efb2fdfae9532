import { z } from "zod";
import { defineBootcamp, pickFrom, range, within } from "./define.ts";

const OPERATIONS = ["invert", "reverse", "rotate", "xor"] as const;
const binary = z.string().regex(/^[01]{1,64}$/);

const identity = z.strictObject({
  bits: binary,
  operation: z.enum(OPERATIONS),
  by: z.int().min(0).max(64).optional().describe("of rotate: places to the left"),
  mask: binary.optional().describe("of xor"),
});

export const bits = defineBootcamp({
  name: "bits",
  about: "a row of bits inverted, reversed, rotated, or combined with another",
  difficulty: z.strictObject({
    length: range(2, 32, [3, 6]).describe("bits of a row"),
    operations: z
      .array(z.enum(OPERATIONS))
      .min(1)
      .default([...OPERATIONS])
      .describe("drawn from"),
  }),
  identity,
  draw(rng, { length, operations }) {
    const count = within(rng.fork("length"), length);
    const row = (name: string) =>
      Array.from({ length: count }, (_, i) => (rng.fork(name).uniform(i) < 0.5 ? "0" : "1")).join("");
    const operation = pickFrom(rng.fork("operation"), operations);
    return {
      bits: row("bits"),
      operation,
      ...(operation === "rotate" ? { by: 1 + rng.fork("by").integer(count - 1, 0) } : {}),
      ...(operation === "xor" ? { mask: row("mask") } : {}),
    };
  },
  prompt: ({ bits: row, operation, by, mask }) =>
    ({
      invert: `Replace every 0 by 1 and every 1 by 0: ${row}`,
      reverse: `Write these bits in reverse order: ${row}`,
      rotate: `Rotate these bits by ${by} to the left, so that what leaves on the left comes back on the right: ${row}`,
      xor: `What is ${row} xor ${mask}, bit by bit?`,
    })[operation],
  brief: ({ bits: row, operation, by, mask }) =>
    `${operation} ${row} ${by ?? mask ?? ""}:`.replace(" :", ":"),
  solve: (one) => ({ steps: [], answer: result(one) }),
  verify: (answer, one) => answer.replaceAll(/\s/g, "") === result(one),
});

function result({ bits: row, operation, by = 0, mask = "" }: z.infer<typeof identity>): string {
  const signs = [...row];
  switch (operation) {
    case "invert":
      return signs.map((bit) => (bit === "0" ? "1" : "0")).join("");
    case "reverse":
      return signs.toReversed().join("");
    case "rotate":
      return row.slice(by % row.length) + row.slice(0, by % row.length);
    case "xor":
      return signs.map((bit, i) => (bit === mask[i] ? "0" : "1")).join("");
  }
}
