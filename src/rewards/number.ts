import { z } from "zod";
import type { RewardInput, RewardPartResult } from "../types.ts";
import { defineReward, type PartOptions } from "./define.ts";
import { extractAnswer } from "./extract.ts";
import { readWrittenNumber } from "./math/plain-number.ts";
import { equalRationals, type Rational, readNumber, toNumber } from "./math/rational.ts";
import { answering } from "./part-options.ts";

const shape = {
  ...answering(["last-answer-tag", "last-boxed", "hash", "last-number"]),
  tolerance: z
    .number()
    .min(0)
    .default(0)
    .describe("largest absolute difference; 0: decimals are compared exactly, 0.50 = 0.5 holds anyway"),
  relative_tolerance: z
    .number()
    .min(0)
    .default(0)
    .describe("largest difference as a share of the gold answer; 0: no rounding is forgiven"),
};
export type NumberOptions = PartOptions<typeof shape>;

/** Longest text that may be a number with a unit after it, in characters. */
const MAX_CHARS = 2000;

/** The text without words after its number: "9 (apples)", "5 miles per hour". */
function withoutUnit(text: string): string {
  let end = text.length;
  const ends = (fits: (char: string) => boolean): boolean => end > 0 && fits(text[end - 1]!);
  const skip = (fits: (char: string) => boolean): void => {
    while (ends(fits)) end--;
  };
  const blank = (char: string): boolean => char.trim() === "";
  skip(blank);
  if (ends((char) => char === ")")) end--;
  const words = end;
  skip((char) => /[a-zA-Z.]/.test(char) || blank(char));
  if (!/[a-zA-Z]/.test(text.slice(end, words))) return text;
  if (ends((char) => char === "(")) end--;
  skip(blank);
  return text.slice(0, end).trim() || text;
}

/** The number that a text is, with or without a unit after it: "9 (apples)", "$1,234.50", "3/4", "1 1/2". */
function numberOf(text: string): { value: Rational; percent: boolean } | null {
  if (text.length > MAX_CHARS) return null;
  const bare = withoutUnit(text);
  const value = readNumber(bare);
  return value === null ? readWrittenNumber(text) : { value, percent: bare.includes("%") };
}

/**
 * Right when the extracted number equals the gold one: exactly, as fractions, or within a tolerance.
 * Signs, thousands separators, currency, a/b and 1e3 are understood; 50% is 0.5, and where only one side has a
 * percent sign 50 as well.
 */
export function numberReward(
  input: RewardInput,
  options: NumberOptions,
): RewardPartResult & { right: boolean } {
  // GSM8K keeps the worked solution in the answer column: its number stands after ####
  const goldText = input.answer.includes("####") ? input.answer.split("####").at(-1)! : input.answer;
  const gold = numberOf(goldText.trim());
  if (gold === null) {
    const note = `gold answer ${JSON.stringify(input.answer.slice(0, 200))} is not a number`;
    return { value: 0, status: "error", right: false, note };
  }
  const text = extractAnswer(input.completion, { extract: options.extract, after: options.after });
  const found = text === null ? null : numberOf(text.trim());
  if (text === null || found === null) {
    const note = text === null ? "no answer found" : text.trim().slice(0, 200);
    return { value: options.unparsed, status: "unparsed", right: false, note };
  }
  const right =
    near(found.value, gold.value, options) ||
    (found.percent !== gold.percent && near(withoutPercent(found), withoutPercent(gold), options));
  return { value: right ? options.right : options.wrong, status: "ok", right, note: text.trim() };
}

function withoutPercent({ value, percent }: { value: Rational; percent: boolean }): Rational {
  return percent ? { ...value, numerator: value.numerator * 100n } : value;
}

function near(found: Rational, gold: Rational, options: NumberOptions): boolean {
  if (equalRationals(found, gold)) return true;
  const allowed = Math.max(options.tolerance, options.relative_tolerance * Math.abs(toNumber(gold)));
  // the slack lets a decimal difference such as 0.3 - 0.2 count as 0.1
  return allowed > 0 && Math.abs(toNumber(found) - toNumber(gold)) <= allowed * (1 + 1e-12);
}

export const number = defineReward({
  kind: "number",
  judges: true,
  options: shape,
  score: numberReward,
  cases: [
    { options: {}, input: { completion: "So she has 1,234 apples.", answer: "1234" }, expect: 1 },
    { options: {}, input: { completion: "#### 18", answer: "Janet sells 9.\n#### 18" }, expect: 1 },
    { options: {}, input: { completion: "$2.50", answer: "2.5" }, expect: 1 },
    { options: {}, input: { completion: "50%", answer: "0.5" }, expect: 1 },
    { options: {}, input: { completion: "50%", answer: "50" }, expect: 1 },
    { options: {}, input: { completion: "50", answer: "0.5" }, expect: 0 },
    { options: {}, input: { completion: "9", answer: "9 (apples)" }, expect: 1 },
    { options: {}, input: { completion: "#### 1 1/2", answer: "1.5" }, expect: 1 },
    { options: {}, input: { completion: "\\boxed{\\frac{1}{2}}", answer: "0.5" }, expect: 1 },
    { options: {}, input: { completion: "It takes 2 1/2 hours.", answer: "2.5" }, expect: 1 },
    { options: {}, input: { completion: "19", answer: "18" }, expect: 0 },
    { options: {}, input: { completion: "none", answer: "18" }, expect: 0, status: "unparsed" },
    { options: {}, input: { completion: "18", answer: "north" }, expect: 0, status: "error" },
    { options: { tolerance: 0.1 }, input: { completion: "3.3", answer: "3.2" }, expect: 1 },
    { options: { tolerance: 0.1 }, input: { completion: "3.31", answer: "3.2" }, expect: 0 },
  ],
});
