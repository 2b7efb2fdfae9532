import { boxedBenchmark } from "./boxed.ts";
import { textOf } from "./define.ts";

export const asdiv = boxedBenchmark({
  name: "asdiv",
  source: {
    paper: "Miao et al. 2020, ACL, arXiv:2106.15772",
    dataset: { hub: "EleutherAI/asdiv", split: "validation", revision: "refs/convert/parquet" },
    licence: "CC BY-NC 4.0",
  },
  columns: ["body", "question", "answer"],
  question: (row) => `${textOf(row, "body").trim()} ${textOf(row, "question").trim()}`,
  // "9 (apples)"
  answer: (row) => textOf(row, "answer").replaceAll(/\(.*?\)/g, ""),
  answers: "number",
});
