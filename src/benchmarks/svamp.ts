import { boxedBenchmark } from "./boxed.ts";
import { textOf } from "./define.ts";

export const svamp = boxedBenchmark({
  name: "svamp",
  source: {
    paper: "Patel et al. 2021, arXiv:2103.07191",
    dataset: { hub: "ChilleD/SVAMP", split: "test" },
    licence: "MIT",
  },
  columns: ["Body", "Question", "Answer"],
  question: (row) => {
    const body = textOf(row, "Body").trim();
    return `${body}${body.endsWith(".") ? "" : "."} ${textOf(row, "Question").trim()}`;
  },
  answer: (row) => textOf(row, "Answer"),
  answers: "number",
});
