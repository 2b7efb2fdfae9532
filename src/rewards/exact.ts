import { z } from "zod";
import type { RewardInput, RewardPartResult } from "../types.ts";
import { defineReward, type PartOptions } from "./define.ts";
import { extractAnswer } from "./extract.ts";
import { answering } from "./part-options.ts";

const shape = {
  ...answering(["whole"]),
  trim: z.boolean().default(true).describe("ignore white space around both answers; a tokenizer may add it"),
  ignore_case: z.boolean().default(false).describe("Tabby = tabby; off, as exact says"),
  single_line: z
    .boolean()
    .default(false)
    .describe("an extracted block with a line break inside does not count as found (CLS-RL's pattern)"),
  match: z
    .enum(["equal", "contains"])
    .default("equal")
    .describe(
      "contains: the gold answer anywhere in the extracted text is right (CLS-RL's evaluation); equal, because a policy rewarded by contains learns to name everything",
    ),
  underscores: z
    .boolean()
    .default(false)
    .describe(
      "a gold answer such as great_dane is also right as great dane (CLS-RL on Pets); off, as exact says",
    ),
};
export type ExactOptions = PartOptions<typeof shape>;

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

export const exact = defineReward({
  kind: "exact",
  judges: true,
  options: shape,
  score: exactReward,
  cases: [
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
  ],
});
