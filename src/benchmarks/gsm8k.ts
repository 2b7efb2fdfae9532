import { type Benchmark, type BenchmarkRow, textOf } from "./define.ts";

/** The first group that matched of the first (0) or last (-1) match; null without one. */
function matched(pattern: RegExp, text: string, which: 0 | -1): string | null {
  const match = [...text.matchAll(pattern)].at(which);
  return match?.slice(1).find((group) => group !== undefined && group !== "") ?? null;
}

/** As the harness compares: case, commas, dollar signs, what stands up to ####, a final full stop and .0 are ignored. */
function plain(text: string): string {
  return text
    .replaceAll(",", "")
    .replaceAll("$", "")
    .replace(/[\s\S]*#### /, "")
    .replace(/\.$/, "")
    .replace(/\.0+$/, "")
    .toLowerCase();
}

const equals = (found: string | null, row: BenchmarkRow): boolean =>
  found !== null && plain(found) === plain(textOf(row, "answer"));

export const gsm8k = {
  name: "gsm8k",
  version: 3,
  source: {
    paper: "Cobbe et al. 2021, arXiv:2110.14168; prompt: Kojima et al. 2022, arXiv:2205.11916",
    dataset: { hub: "openai/gsm8k", config: "main", split: "test" },
    licence: "MIT",
    protocol: "lm-evaluation-harness, gsm8k_cot_zeroshot",
  },
  columns: ["question", "answer"],
  output: "generate_until",
  until: ["Q:", "</s>", "<|im_end|>"],
  maxTokens: 256,
  input: (row) => `Q: ${textOf(row, "question")}\nA: Let's think step by step.`,
  gold: (row) => plain(textOf(row, "answer")),
  metrics: [
    {
      name: "exact_match",
      filter: "strict-match",
      score: (reply, row) => equals(matched(/The answer is (-?[0-9.,]+)./g, reply, 0), row),
    },
    {
      name: "exact_match",
      filter: "flexible-extract",
      score: (reply, row) => equals(matched(/(-?[$0-9.,]{2,})|(-?[0-9]+)/g, reply, -1), row),
    },
  ],
} satisfies Benchmark;
