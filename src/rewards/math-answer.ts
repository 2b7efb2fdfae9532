import { z } from "zod";
import type { RewardInput, RewardPartResult } from "../types.ts";
import { lastBoxes } from "./answer-boxes.ts";
import { defineReward, type PartOptions } from "./define.ts";
import { extractAnswer } from "./extract.ts";
import { gradeAnswers } from "./math/grader.ts";
import { answering } from "./part-options.ts";

const shape = {
  ...answering(["last-boxed", "last-answer-tag", "hash", "answer-is"]),
  timeout_ms: z
    .int()
    .min(50)
    .default(2000)
    .describe("longest comparison of one answer; real ones take under a millisecond"),
};
export type MathOptions = PartOptions<typeof shape>;

/** Where the gold answer stands in a column that holds a worked solution. */
export function goldAnswer(answer: string): string {
  const boxed = lastBoxes(answer);
  if (boxed !== null) return boxed;
  return answer.includes("####") ? (answer.split("####").at(-1) ?? "").trim() : answer;
}

/**
 * Right when the extracted answer equals the gold one as mathematics; see math/equal.ts for what is understood.
 * An answer that cannot be read is `unparsed`; a gold answer that cannot is `error`, for it is the data's fault.
 */
export async function mathRewards(
  inputs: readonly RewardInput[],
  options: MathOptions,
  { joinBoxes = true } = {},
): Promise<(RewardPartResult & { right: boolean })[]> {
  const found = inputs.map((input) =>
    extractAnswer(input.completion, { extract: options.extract, after: options.after, joinBoxes }),
  );
  const pairs = inputs.map((input, index) => ({
    candidate: found[index] ?? "",
    gold: goldAnswer(input.answer),
  }));
  const verdicts = await gradeAnswers(pairs, options.timeout_ms);
  return verdicts.map(({ status, equal, note }, index) => {
    const answer = found[index];
    switch (status) {
      case "ok":
        return {
          value: equal ? options.right : options.wrong,
          status,
          right: equal,
          note: (answer ?? "").slice(0, 200),
        };
      case "unparsed":
        return {
          value: options.unparsed,
          status,
          right: false,
          note: answer === null ? "no answer found" : (note ?? ""),
        };
      default:
        return { value: 0, status, right: false, note: note ?? "" };
    }
  });
}

export const math = defineReward({
  kind: "math",
  judges: true,
  options: shape,
  scoreAll: mathRewards,
  cases: [
    { options: {}, input: { completion: "So \\boxed{\\frac12}.", answer: "0.5" }, expect: 1 },
    { options: {}, input: { completion: "\\boxed{3} no, \\boxed{4}", answer: "4" }, expect: 1 },
    { options: {}, input: { completion: "\\boxed{1} and \\boxed{2}", answer: "1, 2" }, expect: 1 },
    { options: {}, input: { completion: "\\boxed{2}", answer: "\\boxed{1}\\boxed{2}" }, expect: 0 },
    { options: {}, input: { completion: "<answer>2\\sqrt3</answer>", answer: "\\sqrt{12}" }, expect: 1 },
    { options: {}, input: { completion: "The answer is $x=5$.", answer: "5" }, expect: 1 },
    { options: {}, input: { completion: "\\boxed{(-\\infty,2)}", answer: "(-\\infty, 2]" }, expect: 0 },
    { options: {}, input: { completion: "\\boxed{1,2}", answer: "(1,2)" }, expect: 0 },
    { options: {}, input: { completion: "I do not know", answer: "5" }, expect: 0, status: "unparsed" },
    { options: {}, input: { completion: "", answer: "5" }, expect: 0, status: "unparsed" },
    { options: {}, input: { completion: "\\boxed{5}", answer: "\\int x" }, expect: 0, status: "error" },
    {
      options: { wrong: -0.5, unparsed: -1 },
      input: { completion: "\\boxed{6}", answer: "5" },
      expect: -0.5,
    },
    {
      options: { wrong: -0.5, unparsed: -1 },
      input: { completion: "6", answer: "5" },
      expect: -1,
      status: "unparsed",
    },
    {
      options: { after: "</think>" },
      input: { completion: "\\boxed{5}</think>", answer: "5" },
      expect: 0,
      status: "unparsed",
    },
  ],
});
