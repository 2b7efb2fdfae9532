import { z } from "zod";
import { defineBootcamp, isNumber, pickFrom, range, within } from "./define.ts";

const RULES = ["constant-step", "growing-step", "factor", "sum-of-two"] as const;
const SPOKEN = {
  "constant-step": "Each number is the one before and a step that is always the same.",
  "growing-step": "The step from one number to the next grows by the same amount each time.",
  factor: "Each number is the one before times the same factor.",
  "sum-of-two": "Each number from the third on is the sum of the two before it.",
};

const identity = z.strictObject({ rule: z.enum(RULES), terms: z.array(z.int()).min(3).max(50) });

export const sequence = defineBootcamp({
  name: "sequence",
  about: "the next number of a sequence whose kind of rule is told",
  difficulty: z.strictObject({
    rules: z
      .array(z.enum(RULES))
      .min(1)
      .default([...RULES])
      .describe("drawn from"),
    terms: range(3, 12, [4, 5]).describe("numbers that are given"),
    largest: z.int().min(2).max(1000).default(9).describe("largest first number and step"),
  }),
  identity,
  draw(rng, { rules, terms, largest }) {
    const rule = pickFrom(rng.fork("rule"), rules);
    const count = within(rng.fork("terms"), terms);
    const [first, step] = [
      1 + rng.fork("first").integer(largest, 0),
      1 + rng.fork("step").integer(largest, 0),
    ];
    const list = [first, rule === "factor" ? first * (2 + (step % 3)) : first + step];
    const growth = 1 + rng.fork("growth").integer(3, 0);
    while (list.length < count) {
      const [before, last] = [list.at(-2)!, list.at(-1)!];
      const next = {
        "constant-step": last + step,
        "growing-step": 2 * last - before + growth,
        factor: last * (2 + (step % 3)),
        "sum-of-two": before + last,
      };
      list.push(next[rule]);
    }
    return { rule, terms: list };
  },
  prompt: ({ rule, terms }) => `${SPOKEN[rule]} Which number comes next: ${terms.join(", ")}?`,
  brief: ({ rule, terms }) => `${rule[0]} ${terms.join(" ")}:`,
  solve: (one) => ({ steps: [], answer: String(next(one)) }),
  verify: (answer, one) => isNumber(answer, next(one)),
});

function next({ rule, terms }: z.infer<typeof identity>): number {
  const [third, before, last] = terms.slice(-3) as [number, number, number];
  switch (rule) {
    case "constant-step":
      return 2 * last - before;
    case "growing-step":
      return last + (last - before) + (last - before - (before - third));
    case "factor":
      return (last * last) / before;
    case "sum-of-two":
      return before + last;
  }
}
