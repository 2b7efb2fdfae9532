import type { RewardInput, RewardPartResult } from "../types.ts";
import type { ExactOptions } from "./answer-options.ts";
import type { GoldenCase } from "./cases.ts";
import { extractAnswer } from "./extract.ts";

/** Right when the extracted answer is the gold answer, character for character, or holds it (`match: contains`). */
export function exactReward(
  input: RewardInput,
  options: ExactOptions,
): RewardPartResult & { right: boolean } {
  const found = extractAnswer(input.completion, {
    extract: options.extract,
    after: options.after,
    singleLine: options.single_line,
  });
  if (found === null)
    return { value: options.unparsed, status: "unparsed", right: false, note: "no answer found" };
  const comparable = (text: string): string => {
    const trimmed = options.trim ? text.trim() : text;
    return options.ignore_case ? trimmed.toLowerCase() : trimmed;
  };
  const given = comparable(found);
  const gold = comparable(input.answer);
  const accepted = options.underscores ? [gold, gold.replaceAll("_", " ")] : [gold];
  const right = accepted.some((one) => (options.match === "contains" ? given.includes(one) : given === one));
  return {
    value: right ? options.right : options.wrong,
    status: "ok",
    right,
    note: given.slice(0, 200),
  };
}

export const exactCases: readonly GoldenCase[] = [
  { options: {}, input: { completion: "6\n", answer: "6" }, expect: 1 },
  { options: { trim: false }, input: { completion: "6\n", answer: "6" }, expect: 0 },
  { options: {}, input: { completion: "The answer is 6", answer: "6" }, expect: 0 },
  { options: {}, input: { completion: "", answer: "6" }, expect: 0 },
  {
    options: { extract: "last-answer-tag" },
    input: { completion: "<answer>5</answer><answer>6</answer>", answer: "6" },
    expect: 1,
  },
  { options: { match: "contains" }, input: { completion: "it is 6.", answer: "6" }, expect: 1 },
  { options: { match: "contains" }, input: { completion: "it is 5.", answer: "6" }, expect: 0 },
  { options: { underscores: true }, input: { completion: "great dane", answer: "great_dane" }, expect: 1 },
  { options: {}, input: { completion: "great dane", answer: "great_dane" }, expect: 0 },
  {
    options: { extract: "last-answer-tag" },
    input: { completion: "6", answer: "6" },
    expect: 0,
    status: "unparsed",
  },
];
