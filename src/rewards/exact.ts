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
  normalise: z
    .boolean()
    .default(false)
    .describe(
      "compare without case, punctuation, underscores, articles (a, an, the) and double spaces, as SQuAD's exact match does (ARENA); off, as exact says",
    ),
  answers: z
    .string()
    .min(1)
    .optional()
    .describe("a column with a list of further answers that are right too (ARENA's data); none when absent"),
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
    if (options.normalise) return normalised(text);
    const trimmed = options.trim ? text.trim() : text;
    return options.ignore_case ? trimmed.toLowerCase() : trimmed;
  };
  const given = comparable(found);
  const golds = [input.answer, ...furtherAnswers(input.fields, options.answers)].map(comparable);
  const accepted = options.underscores ? golds.flatMap((gold) => [gold, gold.replaceAll("_", " ")]) : golds;
  const right = accepted.some((one) => (options.match === "contains" ? given.includes(one) : given === one));
  return {
    value: right ? options.right : options.wrong,
    status: "ok",
    right,
    note: given.slice(0, 200),
  };
}

/** Exact match's text: lower case, words and numbers alone, without articles, single spaces. */
function normalised(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s]/gu, " ")
    .split(/\s+/)
    .filter((word) => word !== "" && word !== "a" && word !== "an" && word !== "the")
    .join(" ");
}

/** @throws TypeError for a column that holds no list of texts */
function furtherAnswers(fields: RewardInput["fields"], column: string | undefined): string[] {
  if (column === undefined) return [];
  const value = fields[column];
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) return value;
  throw new TypeError(
    `column ${column} holds ${JSON.stringify(value) ?? "nothing"}, and further answers are a list of texts`,
  );
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
    {
      options: { normalise: true },
      input: { completion: "The  Eiffel-Tower!", answer: "eiffel_tower" },
      expect: 1,
    },
    { options: { normalise: true }, input: { completion: "a tower", answer: "eiffel tower" }, expect: 0 },
    {
      options: { answers: "aliases" },
      input: { completion: "NYC", answer: "New York", fields: { aliases: ["NYC"] } },
      expect: 1,
    },
    {
      options: { answers: "aliases" },
      input: { completion: "NYC", answer: "New York" },
      expect: 0,
      status: "error",
    },
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
