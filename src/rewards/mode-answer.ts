/**
 * A right answer that is worth more, and a wrong one that costs more, when the completion did not think: the base
 * reward of AutoThink (arXiv:2505.10832; code: deepscaler/rewards/math_reward.py of TU2021/AutoThink).
 *
 *   thinking  right +1, wrong  0      format error (no </think>, or no answer after it): 0, whatever the mode
 *   direct    right +2, wrong -1      direct, wrong and degenerate text: -2
 *
 * What a mode is stands in thinking.ts; here only `direct_opening` is handed to it.
 */

import { z } from "zod";
import { degenerateDefaults, isDegenerate } from "../lib/degenerate.ts";
import type { RewardInput, RewardPartResult } from "../types.ts";
import { defineReward, type PartOptions } from "./define.ts";
import { exact, exactReward } from "./exact.ts";
import { extractAnswer } from "./extract.ts";
import { math, mathRewards } from "./math-answer.ts";
import { extraction } from "./part-options.ts";
import { thinks } from "./thinking.ts";

const shape = {
  compare: z
    .enum(["math", "exact"])
    .default("math")
    .describe(
      "how the answer is compared with the gold one: as the math part does, or character for character",
    ),
  extract: z
    .union([extraction.transform((one) => [one]), z.array(extraction).min(1)])
    .default(["last-boxed"])
    .describe("where the answer stands after </think>; AutoThink's code reads the last \\boxed{}"),
  direct_opening: z
    .string()
    .min(1)
    .default("</think>\n\n")
    .describe(
      "a completion that starts with these bytes answers without thinking, for this part as for shaping, metrics and evaluation; AutoThink's code has </think> and two line breaks",
    ),
  correct: z
    .boolean()
    .optional()
    .describe("this part decides what accuracy counts; it does by default, unless an earlier part compares"),
  thinking: z
    .strictObject({
      right: z.number().default(1).describe("value of a right answer after thinking; AutoThink's"),
      wrong: z.number().default(0).describe("of a wrong one; AutoThink's"),
    })
    .prefault({})
    .describe("values after thinking"),
  direct: z
    .strictObject({
      right: z.number().default(2).describe("value of a right answer without thinking; AutoThink's"),
      wrong: z.number().default(-1).describe("of a wrong one; AutoThink's"),
    })
    .prefault({})
    .describe("values without thinking"),
  format_error: z
    .strictObject({
      thinking: z
        .number()
        .default(0)
        .describe("no </think>, or no answer after it, in a completion that thinks"),
      direct: z
        .number()
        .default(0)
        .describe("the same without thinking; 0 as in AutoThink's code beats a wrong answer, -1 closes that"),
    })
    .prefault({})
    .describe("values where no answer is found; AutoThink's paper has no such row, its code gives 0"),
  degenerate: z
    .strictObject({
      enabled: z
        .boolean()
        .default(true)
        .describe("a wrong direct answer in text that runs in circles costs more"),
      value: z.number().default(-2).describe("its value; AutoThink's code"),
      repeats: z
        .int()
        .min(2)
        .default(degenerateDefaults.repeats)
        .describe("an n-gram this often in a row; AutoThink's code"),
      longest: z
        .int()
        .min(1)
        .default(degenerateDefaults.longest)
        .describe("words of the longest n-gram; AutoThink's code"),
      word_chars: z
        .int()
        .min(1)
        .default(degenerateDefaults.word_chars)
        .describe("or one word of this many characters; AutoThink's code"),
    })
    .prefault({})
    .describe("AutoThink's code has this rule, its paper does not"),
  timeout_ms: z.int().min(50).default(2000).describe("longest comparison of one answer, for math"),
};
export type ModeAnswerOptions = PartOptions<typeof shape>;

const CLOSE = "</think>";

type Judged = RewardPartResult & { right: boolean };

/** Where the answer is looked for: between the first and the second `</think>` of the last turn, or null. */
export function answerRegion(promptText: string, completion: string): string | null {
  const turn = promptText.slice(Math.max(0, promptText.lastIndexOf("<think>"))) + completion;
  return turn.split(CLOSE)[1] ?? null;
}

/** One result per input, in order. */
export async function modeAnswerRewards(
  inputs: readonly RewardInput[],
  options: ModeAnswerOptions,
): Promise<Judged[]> {
  const regions = inputs.map(({ promptText, completion }) => answerRegion(promptText, completion));
  const judged = await judge(
    inputs.map((input, i) => ({ ...input, completion: regions[i] ?? "" })),
    options,
  );
  return inputs.map((input, i): Judged => {
    const mode =
      thinks(input.promptText, input.completion, options.direct_opening) === false ? "direct" : "thinking";
    const region = regions[i]!;
    const found = region === null ? null : extractAnswer(region, { extract: options.extract });
    if (found === null) {
      const note = region === null ? `no ${CLOSE}` : `no answer after ${CLOSE}`;
      return { value: options.format_error[mode], status: "unparsed", right: false, note };
    }
    const { status, right, note } = judged[i]!;
    const values = { note: note ?? "", status, right };
    if (status === "error" || status === "timeout") return { ...values, value: 0 };
    if (right) return { ...values, value: options[mode].right };
    const { degenerate } = options;
    const text = input.promptText + input.completion;
    if (degenerate.enabled && mode === "direct" && isDegenerate(text, degenerate)) {
      return { ...values, value: degenerate.value, note: `degenerate text; ${values.note}` };
    }
    return { ...values, value: options[mode].wrong };
  });
}

/** Right or wrong by the rules of another part. */
async function judge(inputs: readonly RewardInput[], options: ModeAnswerOptions): Promise<Judged[]> {
  const { extract, timeout_ms } = options;
  if (options.compare === "exact") {
    const options = exact.options.parse({ kind: "exact", extract });
    return inputs.map((input) => exactReward(input, options));
  }
  // as in AutoThink's code: the last box is the answer, whatever stands beside it
  return mathRewards(inputs, math.options.parse({ kind: "math", extract, timeout_ms }), { joinBoxes: false });
}

const asked = { promptText: "2+3?<think>\n...\n", answer: "5" };
const lab = { promptText: "2+3=<think>\n...\n", answer: "5" };
const short = { compare: "exact", extract: "last-answer-tag", direct_opening: "</think>" };
export const modeAnswer = defineReward({
  kind: "mode-answer",
  judges: true,
  options: shape,
  directOpening: (options) => options.direct_opening,
  scoreAll: modeAnswerRewards,
  cases: [
    { options: {}, input: { ...asked, completion: "Adding.</think>\n\n\\boxed{5}" }, expect: 1 },
    { options: {}, input: { ...asked, completion: "Adding.</think>\n\n\\boxed{6}" }, expect: 0 },
    { options: {}, input: { ...asked, completion: "</think>\n\nIt is \\boxed{5}." }, expect: 2 },
    { options: {}, input: { ...asked, completion: "</think>\n\nIt is \\boxed{6}." }, expect: -1 },
    // one line break is not the opening: a thought of no words
    { options: {}, input: { ...asked, completion: "</think>\n\\boxed{5}" }, expect: 1 },
    { options: {}, input: { ...asked, completion: "</think>\n\\boxed{6}" }, expect: 0 },
    // the loophole: without a box, a direct answer costs nothing
    { options: {}, input: { ...asked, completion: "</think>\n\nSix." }, expect: 0, status: "unparsed" },
    {
      options: { format_error: { direct: -1 } },
      input: { ...asked, completion: "</think>\n\nSix." },
      expect: -1,
      status: "unparsed",
    },
    { options: {}, input: { ...asked, completion: "\\boxed{5}" }, expect: 0, status: "unparsed" },
    // only what stands before a second </think> counts
    {
      options: {},
      input: { ...asked, completion: "a</think>b</think>\\boxed{5}" },
      expect: 0,
      status: "unparsed",
    },
    { options: {}, input: { ...asked, completion: `</think>\n\n\\boxed{6}${" so".repeat(10)}` }, expect: -2 },
    { options: {}, input: { ...asked, completion: `</think>\n\n\\boxed{6}${" so".repeat(9)}` }, expect: -1 },
    { options: {}, input: { ...asked, completion: `a</think>\n\n\\boxed{6}${" so".repeat(10)}` }, expect: 0 },
    { options: short, input: { ...lab, completion: "</think><answer>5</answer>" }, expect: 2 },
    { options: short, input: { ...lab, completion: "</think><answer>4</answer>" }, expect: -1 },
    { options: short, input: { ...lab, completion: "2+3=5\n</think><answer>5</answer>" }, expect: 1 },
  ],
});
