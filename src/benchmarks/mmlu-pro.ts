/** MMLU-Pro in both of its published forms: by the log-likelihood of a letter, and by a worked answer. */
import { type Benchmark, type BenchmarkRow, type BenchmarkSource, textOf } from "./define.ts";

const LETTERS = [..."ABCDEFGHIJKLMNOP"];

const source: BenchmarkSource = {
  paper: "Wang et al. 2024, arXiv:2406.01574",
  dataset: { hub: "TIGER-Lab/MMLU-Pro", split: "test" },
  licence: "MIT",
  protocol: "lm-evaluation-harness, leaderboard_mmlu_pro",
};
const columns = ["question", "options", "answer"];
const validation = "mmlu-pro-validation";

const optionsOf = (row: BenchmarkRow): string[] =>
  Array.isArray(row["options"]) ? row["options"].map(String) : [];
const listed = (row: BenchmarkRow) =>
  optionsOf(row)
    .map((option, i) => `${LETTERS[i]}. ${option}\n`)
    .join("");

const short = (row: BenchmarkRow) => `${textOf(row, "question")}\n${listed(row)}Answer:`;

/** The first five of the validation split, as the harness takes them; a letter's log-likelihood decides. */
export const mmluPro = {
  name: "mmlu-pro",
  version: 0.1,
  source,
  columns,
  shots: { count: 5, file: validation, split: "validation", columns },
  output: "multiple_choice",
  input: (row, shots) =>
    [...shots.map((shot) => `${short(shot)}${textOf(shot, "answer")}\n\n`), short(row)].join(""),
  choices: (row) => optionsOf(row).map((_, i) => LETTERS[i]!),
  right: (row) => LETTERS.indexOf(textOf(row, "answer")),
  gold: (row) => textOf(row, "answer"),
} satisfies Benchmark;

const worked = (row: BenchmarkRow, answer: string) =>
  `Question:\n${textOf(row, "question")}\nOptions:\n${listed(row)}${answer}`;

/** Five worked examples of the question's own category, then the model works. */
export const mmluProCot = {
  name: "mmlu-pro-cot",
  version: 2.1,
  source: { ...source, protocol: "lm-evaluation-harness, mmlu_pro" },
  columns: [...columns, "category"],
  shots: {
    count: 5,
    file: validation,
    split: "validation",
    columns: [...columns, "category", "cot_content"],
    of: (shot, row) => shot["category"] === row["category"],
  },
  output: "generate_until",
  until: ["</s>", "Q:", "<|im_end|>"],
  maxTokens: 2048,
  input: (row, shots) =>
    [
      ...shots.map(
        (shot) =>
          `${worked(shot, textOf(shot, "cot_content").replace("A: Let's think step by step.", "Answer: Let's think step by step."))}\n\n`,
      ),
      worked(row, "Answer: Let's think step by step."),
    ].join(""),
  gold: (row) => textOf(row, "answer"),
  metrics: [
    {
      name: "exact_match",
      filter: "custom-extract",
      score: (reply, row) => /answer is \(?([ABCDEFGHIJ])\)?/.exec(reply)?.[1] === textOf(row, "answer"),
    },
  ],
} satisfies Benchmark;
