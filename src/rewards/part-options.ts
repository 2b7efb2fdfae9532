import { z } from "zod";

export const extraction = z.enum([
  "whole",
  "first-answer-tag",
  "last-answer-tag",
  "first-boxed",
  "last-boxed",
  "hash",
  "answer-is",
  "last-number",
]);

/** What every part has. */
export const common = {
  name: z
    .string()
    .regex(/^[a-z][a-z0-9_-]*$/i, "a name is a letter, then letters, digits, _ or -")
    .optional()
    .describe("name in metrics and samples.jsonl; the kind when absent, so two parts of one kind need names"),
  weight: z.number().default(1).describe("factor in the sum; 0 measures without rewarding"),
  requires: z
    .union([z.string(), z.array(z.string()).min(1)])
    .optional()
    .describe(
      "names of earlier parts that must all have the value 1 or more, else this part is 0 (an answer counts only in a well-formed completion)",
    ),
};

/** What parts that compare an answer share. */
export function answering(extract: z.infer<typeof extraction>[]) {
  return {
    extract: z
      .union([extraction.transform((one) => [one]), z.array(extraction).min(1)])
      .default(extract)
      .describe(
        "where the answer stands, the first that is found: whole completion, first or last <answer> block, first or last \\boxed{}, after ####, after 'answer is', last number",
      ),
    after: z
      .string()
      .min(1)
      .optional()
      .describe(
        "search only after the last occurrence of this text, such as </think>; unparsed without it. Off: trained formats differ",
      ),
    correct: z
      .boolean()
      .optional()
      .describe(
        "this part decides what accuracy counts; by default the first part that compares answers does",
      ),
    right: z.number().default(1).describe("value of a right answer; 1 makes the sum of weights the maximum"),
    wrong: z
      .number()
      .default(0)
      .describe("value of a wrong answer; 0: only its group's better ones push it down"),
    unparsed: z
      .number()
      .default(0)
      .describe(
        "value when no answer is found; 0 as for a wrong one, so that only a format part tells them apart",
      ),
  };
}

export type Extraction = z.infer<typeof extraction>;
