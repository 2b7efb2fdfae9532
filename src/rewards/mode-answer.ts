/**
 * A right answer that is worth more, and a wrong one that costs more, when the completion did not think: the base
 * reward of AutoThink (arXiv:2505.10832; code: deepscaler/rewards/math_reward.py of TU2021/AutoThink).
 *
 *   thinking  right +1, wrong  0      format error (no </think>, or no answer behind it): 0, whatever the mode
 *   direct    right +2, wrong -1      direct, wrong and degenerate text: -2
 *
 * What a mode is stands in thinking.ts; here only `direct_opening` is handed to it.
 */
import type { RewardInput, RewardPartResult } from "../types.ts";
import { exactOptions, type ModeAnswerOptions, mathOptions } from "./answer-options.ts";
import type { GoldenCase } from "./cases.ts";
import { exactReward } from "./exact.ts";
import { extractAnswer } from "./extract.ts";
import { mathRewards } from "./math-answer.ts";
import { thinks } from "./thinking.ts";

const CLOSE = "</think>";

type Judged = RewardPartResult & { right: boolean };

/** Where the answer is looked for: between the first and the second `</think>` of the last turn, or null. */
export function answerRegion(promptText: string, completion: string): string | null {
  const turn = promptText.slice(Math.max(0, promptText.lastIndexOf("<think>"))) + completion;
  return turn.split(CLOSE)[1] ?? null;
}

/**
 * Text that runs in circles: some n-gram of 1 to `longest` words stands `repeats` times in a row, the words cut
 * into chunks of n from the beginning; or one word has `word_chars` characters or more.
 */
export function isDegenerate(
  text: string,
  {
    repeats,
    longest,
    word_chars,
  }: Pick<ModeAnswerOptions["degenerate"], "repeats" | "longest" | "word_chars">,
): boolean {
  const words = text.split(/\s+/).filter((word) => word !== "");
  if (words.some((word) => word.length >= word_chars)) return true;
  for (let n = 1; n <= Math.min(longest, Math.floor(words.length / repeats)); n++) {
    let run = 1;
    for (let chunk = 1; (chunk + 1) * n <= words.length; chunk++) {
      const at = chunk * n;
      const equal = Array.from({ length: n }, (_, i) => words[at + i] === words[at - n + i]).every(Boolean);
      run = equal ? run + 1 : 1;
      if (run >= repeats) return true;
    }
  }
  return false;
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
      const note = region === null ? `no ${CLOSE}` : `no answer behind ${CLOSE}`;
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
    const exact = exactOptions.parse({ kind: "exact", extract });
    return inputs.map((input) => exactReward(input, exact));
  }
  return mathRewards(inputs, mathOptions.parse({ kind: "math", extract, timeout_ms }));
}

const asked = { promptText: "2+3?<think>\n...\n", answer: "5" };
const lab = { promptText: "2+3=<think>\n...\n", answer: "5" };
const short = { compare: "exact", extract: "last-answer-tag", direct_opening: "</think>" };
export const modeAnswerCases: readonly GoldenCase[] = [
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
];
