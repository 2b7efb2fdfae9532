import { z } from "zod";
import { defineBootcamp, range, within } from "./define.ts";

const CLOSES: Record<string, string> = { "(": ")", "[": "]", "{": "}", "<": ">" };

export const dyck = defineBootcamp({
  name: "dyck",
  about: "the brackets that close what is open",
  difficulty: z.strictObject({ length: range(2, 60, [4, 10]).describe("brackets that are given") }),
  identity: z.strictObject({ given: z.string().regex(/^[()[\]{}<>]{1,200}$/) }),
  draw(rng, { length }) {
    const count = within(rng.fork("length"), length);
    let given = "";
    const open: string[] = [];
    for (let i = 0; i < count; i++) {
      // the last one opens, so that something is left to close
      if (open.length > 0 && i < count - 1 && rng.uniform(2 * i) < 0.45) given += CLOSES[open.pop()!];
      else {
        const bracket = "([{<"[rng.fork("kinds").integer(4, i)]!;
        open.push(bracket);
        given += bracket;
      }
    }
    return { given };
  },
  prompt: ({ given }) =>
    `Write the brackets that are missing at the end of this sequence, and nothing else, so that all are closed properly: ${given}`,
  brief: ({ given }) => `${given}:`,
  solve: ({ given }) => ({ steps: [], answer: missing(given) }),
  verify: (answer, { given }) => answer.replaceAll(/\s/g, "") === missing(given),
});

/** @throws RangeError where a bracket closes what is not open */
function missing(given: string): string {
  const open: string[] = [];
  for (const bracket of given) {
    if (bracket in CLOSES) open.push(bracket);
    else if (open.length === 0 || CLOSES[open.pop()!] !== bracket)
      throw new RangeError(`${given} closes what is not open`);
  }
  return open
    .reverse()
    .map((bracket) => CLOSES[bracket])
    .join("");
}
