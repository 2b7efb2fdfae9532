import { z } from "zod";
import type { RewardInput } from "../types.ts";
import { defineReward, type Judged, type PartOptions } from "./define.ts";
import { extractAnswer } from "./extract.ts";
import { answering } from "./part-options.ts";

const shape = {
  ...answering(["first-answer-tag"]),
  letters: z
    .string()
    .regex(/^[A-Z]{2,26}$/, "write the options' letters without anything between, such as ABCD")
    .default("ABCD")
    .describe("letters of the options"),
  strict: z
    .boolean()
    .default(false)
    .describe(
      "the answer is a letter and nothing else; otherwise its first lone letter counts, so that `C or D` reads as C, and `A plasma cell` as A",
    ),
};
export type ChoiceOptions = PartOptions<typeof shape>;

/** The first letter of these that stands alone, as in `(D) Plasma cells`; null where none does. Small letters are words. */
export function chosenLetter(text: string, letters: string, strict: boolean): string | null {
  const trimmed = text.trim();
  if (strict) return trimmed.length === 1 && letters.includes(trimmed) ? trimmed : null;
  const found = new RegExp(`(?<![\\p{L}\\p{N}])[${letters}](?![\\p{L}\\p{N}'’])`, "u").exec(trimmed);
  return found === null ? null : found[0];
}

/** Right when the answer's letter is the gold one: multiple choice. */
export function choiceReward(input: RewardInput, options: ChoiceOptions): Judged {
  const gold = chosenLetter(input.answer, options.letters, true);
  if (gold === null) {
    const note = `the gold answer ${JSON.stringify(input.answer.slice(0, 200))} is none of the letters ${options.letters}`;
    return { value: 0, status: "error", note };
  }
  const text = extractAnswer(input.completion, { extract: options.extract, after: options.after });
  const found = text === null ? null : chosenLetter(text, options.letters, options.strict);
  if (found === null)
    return { value: options.unparsed, status: "unparsed", right: false, note: "no letter found" };
  const right = found === gold;
  return { value: right ? options.right : options.wrong, status: "ok", right, note: found };
}

const gold = { answer: "D" };
const said = (answer: string, completion = `<think>x</think><answer>${answer}</answer>`) => ({
  ...gold,
  completion,
});
export const choice = defineReward({
  kind: "choice",
  judges: true,
  options: shape,
  score: choiceReward,
  cases: [
    { options: {}, input: said("D"), expect: 1 },
    { options: {}, input: said("(D) Plasma cells"), expect: 1 },
    { options: {}, input: said(" D. "), expect: 1 },
    { options: {}, input: said("C or D"), expect: 0 },
    { options: { strict: true }, input: said("C or D"), expect: 0, status: "unparsed" },
    { options: { strict: true }, input: said(" D\n"), expect: 1 },
    { options: { strict: true }, input: said("(D)"), expect: 0, status: "unparsed" },
    { options: {}, input: said("plasma cells"), expect: 0, status: "unparsed" },
    { options: {}, input: said("d"), expect: 0, status: "unparsed" },
    { options: {}, input: said("DNA, so D"), expect: 1 },
    { options: {}, input: said("", "<answer>D</answer>"), expect: 1 },
    { options: {}, input: said("", "D"), expect: 0, status: "unparsed" },
    { options: { extract: "whole" }, input: said("", "D"), expect: 1 },
    { options: {}, input: said("", ""), expect: 0, status: "unparsed" },
    { options: {}, input: { ...said("D"), answer: "plasma cells" }, expect: 0, status: "error" },
    { options: { letters: "ABCDE" }, input: { ...said("E"), answer: "E" }, expect: 1 },
  ],
});
