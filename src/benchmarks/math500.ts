import { boxedBenchmark } from "./boxed.ts";
import { textOf } from "./define.ts";

export const math500 = boxedBenchmark({
  name: "math500",
  source: {
    paper:
      "Hendrycks et al. 2021, arXiv:2103.03874; the 500 problems: Lightman et al. 2023, arXiv:2305.20050",
    dataset: { hub: "HuggingFaceH4/MATH-500", split: "test" },
    licence: "MIT",
  },
  columns: ["problem", "answer"],
  question: (row) => textOf(row, "problem"),
  answer: (row) => textOf(row, "answer"),
  answers: "expression",
});
