/**
 * The protocol of Qwen2.5-Math's evaluation (arXiv:2409.12122, evaluation/ of its repository, prompt type
 * qwen25-math-cot): a system message that asks for steps and a box, greedy, at most 2,048 tokens; the last box, else what is stated as
 * the answer, else the last number, compared as mathematics.
 */

import { extractAnswer } from "../rewards/extract.ts";
import { math, mathRewards } from "../rewards/math-answer.ts";
import { number, numberReward } from "../rewards/number.ts";
import type { RewardInput } from "../types.ts";
import type { BenchmarkMetric, BenchmarkRow, BenchmarkSource, GeneratingBenchmark } from "./define.ts";

const SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}.";

const input = (completion: string, answer: string): RewardInput => ({
  completion,
  answer,
  finishReason: "eos",
  tokens: 1,
  promptText: "",
  fields: {},
});

const extract = ["last-boxed", "answer-is", "last-number"];
const numbers = number.options.parse({ kind: "number", extract });
const expressions = math.options.parse({ kind: "math", extract });

const graders = {
  /** Some of ASDiv's answers are names, colours and dates: these are compared as texts, in any case. */
  number: (reply: string, answer: string) => {
    const graded = numberReward(input(reply, answer), numbers);
    if (graded.status !== "error") return graded.right;
    const found = extractAnswer(reply, { extract: ["last-boxed", "answer-is"] });
    return found?.trim().toLowerCase() === answer.trim().toLowerCase();
  },
  expression: async (reply: string, answer: string) =>
    (await mathRewards([input(reply, answer)], expressions))[0]!.right,
};

interface Declared {
  name: string;
  source: Omit<BenchmarkSource, "protocol">;
  columns: readonly string[];
  question(row: BenchmarkRow): string;
  answer(row: BenchmarkRow): string;
  answers: keyof typeof graders;
}

export function boxedBenchmark({
  name,
  source,
  columns,
  question,
  answer,
  answers,
}: Declared): GeneratingBenchmark {
  const metric: BenchmarkMetric = {
    name: "exact_match",
    filter: "boxed",
    score: (reply, row) => graders[answers](reply, answer(row)),
  };
  return {
    name,
    version: 1,
    source: { ...source, protocol: "Qwen2.5-Math, evaluation/math_eval.py, qwen25-math-cot" },
    columns,
    output: "generate_until",
    until: ["</s>", "<|im_end|>", "<|endoftext|>"],
    maxTokens: 2048,
    input: (row) => [
      { role: "system", content: SYSTEM },
      { role: "user", content: question(row) },
    ],
    gold: answer,
    metrics: [metric],
  };
}
