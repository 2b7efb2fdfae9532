/**
 * LIMR's reward (arXiv:2502.11886; the rule server of GAIR-NLP/LIMR, openrlhf/cli/serve_rm.py): one value for a
 * right box, one for a wrong one, one for a completion that is malformed. The first matching row decides:
 * no end token; no box or too many; too many characters outside ASCII and mathematics; a chunk over and over;
 * a box that cannot be read; right; wrong. A gold answer that cannot be read and a timeout, malformed too in the
 * code, are failed rewards here: no score.
 */
import { z } from "zod";
import type { RewardInput, RewardPartResult } from "../types.ts";
import { defineReward, type PartOptions } from "./define.ts";
import { math, mathRewards } from "./math-answer.ts";

const shape = {
  correct: z.boolean().optional().describe("this part decides what accuracy counts; it does by default"),
  right: z.number().default(1).describe("value when the last \\boxed{} equals the answer; LIMR's code"),
  wrong: z.number().default(-0.5).describe("value of a well-formed wrong answer; LIMR's code"),
  malformed: z
    .number()
    .default(-1)
    .describe(
      "value without an end token or a box, with too many boxes, foreign characters or repeats; LIMR's code",
    ),
  max_boxes: z
    .int()
    .min(1)
    .default(4)
    .describe("more \\boxed than this are malformed; LIMR's code: 5 or more"),
  max_foreign_share: z
    .number()
    .min(0)
    .max(1)
    .default(0.3)
    .describe("largest share of characters outside ASCII and mathematical operators; LIMR's code"),
  repeat_chars: z.int().min(1).default(5).describe("shortest chunk that counts as repeated; LIMR's code"),
  repeat_times: z.int().min(2).default(5).describe("times in a row that make it malformed; LIMR's code"),
  timeout_ms: z.int().min(50).default(2000).describe("longest comparison of one answer; LIMR's code: 2 s"),
};
export type RuleServerOptions = PartOptions<typeof shape>;

type Judged = RewardPartResult & { right: boolean };

/** Letters, digits, white space, ASCII punctuation, and the mathematical operators U+2200 to U+22FF. */
const ORDINARY = /[a-zA-Z0-9\s.,!?"'(){}[\]_\-+=<>/@#$%^&*\\|:;~`\u2200-\u22FF]/g;

/** Share of characters (code points) outside the ordinary ones; 0 for an empty text. */
export function foreignShare(text: string): number {
  const rest = text.replaceAll(ORDINARY, "");
  const count = (part: string) => [...part].length;
  return text === "" ? 0 : count(rest) / count(text);
}

/**
 * Is there a chunk of at least `chunk` characters that stands `times` times in a row within one line? What
 * /(.{chunk,}?)\1{times-1}/ finds, without its backtracking: a period p repeats when (times - 1) p characters in a
 * row equal those p places on. Such a stretch covers times - 2 multiples of p in a row, so only these are looked at
 * first: n/p comparisons for a period, n log n in all. Stretches that are followed further belong to repetitions,
 * whose lengths sum up to a few n.
 */
export function hasRepeatedChunk(text: string, chunk: number, times: number): boolean {
  return text.split("\n").some((line) => {
    for (let period = chunk; period * times <= line.length; period++) {
      if (repeats(line, period, times)) return true;
    }
    return false;
  });
}

function repeats(line: string, period: number, times: number): boolean {
  const equal = (i: number): boolean => line.charCodeAt(i) === line.charCodeAt(i + period);
  const needed = period * (times - 1);
  const last = line.length - period;
  for (let anchor = 0; anchor < last; anchor += period) {
    let hits = 0;
    while (hits < times - 2 && anchor + hits * period < last && equal(anchor + hits * period)) hits++;
    if (hits < times - 2) {
      anchor += hits * period;
      continue;
    }
    let start = anchor;
    while (start > 0 && anchor - start < period && equal(start - 1)) start--;
    let end = start;
    while (end < last && end - start < needed && equal(end)) end++;
    if (end - start >= needed) return true;
    // what was followed in vain holds no later beginning of a longer stretch
    anchor = Math.max(anchor, end - (end % period));
  }
  return false;
}

/** Why the completion is malformed, or null. */
function malformed({ completion, finishReason }: RewardInput, options: RuleServerOptions): string | null {
  if (finishReason !== "eos") return "no end token";
  const count = completion.split("\\boxed").length - 1;
  if (count === 0) return "no \\boxed";
  if (count > options.max_boxes) return `${count} \\boxed`;
  const share = foreignShare(completion);
  if (share > options.max_foreign_share) return `${(100 * share).toFixed(0)}% foreign characters`;
  if (hasRepeatedChunk(completion, options.repeat_chars, options.repeat_times)) return "a repeated chunk";
  return null;
}

export async function ruleServerRewards(
  inputs: readonly RewardInput[],
  options: RuleServerOptions,
): Promise<Judged[]> {
  const reasons = inputs.map((input) => malformed(input, options));
  const whole = inputs.filter((_, i) => reasons[i] === null);
  const { right, wrong, malformed: value, timeout_ms } = options;
  const graded = await mathRewards(
    whole,
    math.options.parse({ kind: "math", extract: "last-boxed", right, wrong, unparsed: value, timeout_ms }),
    { joinBoxes: false },
  );
  let next = 0;
  return reasons.map((note) =>
    note === null ? graded[next++]! : { value, status: "unparsed", right: false, note },
  );
}

const box = (times: number) => Array.from({ length: times }, (_, i) => `step ${i}: \\boxed{4}`).join("\n");

export const ruleServer = defineReward({
  kind: "rule-server",
  judges: true,
  options: shape,
  scoreAll: ruleServerRewards,
  cases: [
    { options: {}, input: { completion: "so \\boxed{4}", answer: "4" }, expect: 1 },
    { options: {}, input: { completion: "so \\boxed{5}", answer: "4" }, expect: -0.5 },
    { options: {}, input: { completion: "no \\boxed{5} but \\boxed{4}", answer: "4" }, expect: 1 },
    {
      options: {},
      input: { completion: "so \\boxed{4}", answer: "4", finishReason: "length" },
      expect: -1,
      status: "unparsed",
    },
    {
      options: {},
      input: { completion: "so \\boxed{4}\nuser\n", answer: "4", finishReason: "stop" },
      expect: -1,
      status: "unparsed",
    },
    { options: {}, input: { completion: "it is 4", answer: "4" }, expect: -1, status: "unparsed" },
    { options: {}, input: { completion: "", answer: "4" }, expect: -1, status: "unparsed" },
    { options: {}, input: { completion: box(4), answer: "4" }, expect: 1 },
    { options: {}, input: { completion: box(5), answer: "4" }, expect: -1, status: "unparsed" },
    {
      options: {},
      input: { completion: "所以答案是四因为 \\boxed{4}", answer: "4" },
      expect: -1,
      status: "unparsed",
    },
    { options: {}, input: { completion: "∀x ∈ A: x ≤ 4, \\boxed{4}", answer: "4" }, expect: 1 },
    {
      options: {},
      input: { completion: `${"abcde".repeat(5)} \\boxed{4}`, answer: "4" },
      expect: -1,
      status: "unparsed",
    },
    { options: {}, input: { completion: `${"abcde".repeat(4)} \\boxed{4}`, answer: "4" }, expect: 1 },
    { options: {}, input: { completion: `${"abcd".repeat(6)} \\boxed{4}`, answer: "4" }, expect: 1 },
    {
      options: {},
      input: { completion: `${"abcd".repeat(10)} \\boxed{4}`, answer: "4" },
      expect: -1,
      status: "unparsed",
    },
    { options: {}, input: { completion: `${"wait,\n".repeat(9)} \\boxed{4}`, answer: "4" }, expect: 1 },
    { options: {}, input: { completion: "so \\boxed{4", answer: "4" }, expect: -1, status: "unparsed" },
    { options: {}, input: { completion: "so \\boxed{4}", answer: "\\int x" }, expect: 0, status: "error" },
  ],
});
