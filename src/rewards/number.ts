import type { RewardInput, RewardPartResult } from "../types.ts";
import type { GoldenCase } from "./cases.ts";
import { extractAnswer } from "./extract.ts";
import { equalRationals, type Rational, readNumber, toNumber } from "./math/rational.ts";
import type { NumberOptions } from "./options.ts";

/** The number that a text is or ends with a unit behind: "9 (apples)", "$1,234.50", "50%" (0.5), "3/4". */
function numberOf(text: string): Rational | null {
  return readNumber(text.replace(/\s*\(?[a-zA-Z][a-zA-Z\s.]*\)?\s*$/, "").trim() || text);
}

/**
 * Right when the extracted number equals the gold one: exactly, as fractions, or within a tolerance.
 * Signs, thousands separators, currency, percent (50% = 0.5), a/b and 1e3 are understood.
 */
export function numberReward(input: RewardInput, options: NumberOptions): RewardPartResult {
  // GSM8K keeps the worked solution in the answer column: its number stands behind ####
  const goldText = input.answer.includes("####") ? input.answer.split("####").at(-1)! : input.answer;
  const gold = numberOf(goldText.trim());
  if (gold === null) {
    return { value: 0, status: "error", note: `gold answer ${JSON.stringify(input.answer)} is not a number` };
  }
  const text = extractAnswer(input.completion, { extract: options.extract, after: options.after });
  const found = text === null ? null : numberOf(text.trim());
  if (found === null) {
    return {
      value: options.unparsed,
      status: "unparsed",
      note: text === null ? "no answer found" : text.trim(),
    };
  }
  let equal = equalRationals(found, gold);
  if (!equal && (options.tolerance > 0 || options.relative_tolerance > 0)) {
    const difference = Math.abs(toNumber(found) - toNumber(gold));
    // the slack lets a decimal difference such as 0.3 - 0.2 count as 0.1
    const allowed = Math.max(options.tolerance, options.relative_tolerance * Math.abs(toNumber(gold)));
    equal = difference <= allowed * (1 + 1e-12);
  }
  return { value: equal ? options.right : options.wrong, status: "ok", note: text!.trim() };
}

export const numberCases: readonly GoldenCase[] = [
  { options: {}, input: { completion: "So she has 1,234 apples.", answer: "1234" }, expect: 1 },
  { options: {}, input: { completion: "#### 18", answer: "Janet sells 9.\n#### 18" }, expect: 1 },
  { options: {}, input: { completion: "$2.50", answer: "2.5" }, expect: 1 },
  { options: {}, input: { completion: "50%", answer: "0.5" }, expect: 1 },
  { options: {}, input: { completion: "9", answer: "9 (apples)" }, expect: 1 },
  { options: {}, input: { completion: "19", answer: "18" }, expect: 0 },
  { options: {}, input: { completion: "none", answer: "18" }, expect: 0, status: "unparsed" },
  { options: {}, input: { completion: "18", answer: "north" }, expect: 0, status: "error" },
  { options: { tolerance: 0.1 }, input: { completion: "3.3", answer: "3.2" }, expect: 1 },
  { options: { tolerance: 0.1 }, input: { completion: "3.31", answer: "3.2" }, expect: 0 },
];
