import { describe, expect, it } from "vitest";
import { lastBoxes } from "../../src/rewards/answer-boxes.ts";
import { extractAnswer } from "../../src/rewards/extract.ts";
import type { Extraction } from "../../src/rewards/part-options.ts";

const table: [how: Extraction, completion: string, found: string | null][] = [
  ["whole", " a ", " a "],
  ["first-answer-tag", "<answer>1</answer><answer>2</answer>", "1"],
  ["last-answer-tag", "<answer>1</answer><answer>2</answer>", "2"],
  ["last-answer-tag", "<answer>1</answer> <answer>2", "1"],
  ["last-answer-tag", "no tags", null],
  ["first-boxed", "\\boxed{1} \\boxed{2}", "1"],
  ["last-boxed", "\\boxed{1} \\boxed{2}", "2"],
  ["last-boxed", "\\boxed{\\frac{1}{\\sqrt{2}}}", "\\frac{1}{\\sqrt{2}}"],
  ["last-boxed", "\\boxed{\\{1,2\\}}", "\\{1,2\\}"],
  ["last-boxed", "\\boxed{\\text{if } x}", "\\text{if } x"],
  ["last-boxed", "\\boxed{a\\}b}", "a\\}b"],
  ["last-boxed", "\\fbox{5}", "5"],
  ["last-boxed", "$\\boxed 5$", "5"],
  ["last-boxed", "\\boxed{1} and \\boxed{never closed", null],
  ["last-boxed", "boxed{5}", null],
  ["hash", "9 * 2 = 18\n#### 18", "18"],
  ["hash", "#### 1\n#### 2\nmore", "2"],
  ["hash", "####", null],
  ["answer-is", "The answer is 5.", "5"],
  ["answer-is", "Final Answer: $x=5$.", "x=5"],
  ["answer-is", "The answer is 3.5. Bye.", "3.5"],
  ["answer-is", "the answer is \\(\\frac12\\), I think", "\\frac12"],
  ["answer-is", "the answer is 1, no, the answer is 2", "2"],
  ["answer-is", "I cannot answer", null],
  ["last-number", "from 3 to 1,234.5 apples", "1,234.5"],
  ["last-number", "it is -3", "-3"],
  ["last-number", "5-3", "3"],
  ["last-number", "5 - 3", "3"],
  ["last-number", "= -3", "-3"],
  ["last-number", "costs $7.", "$7"],
  ["last-number", "3/4 of it", "3/4"],
  ["last-number", "about 50%", "50%"],
  ["last-number", "none", null],
];

describe("extraction", () => {
  it.each(table)("%s from %j: %j", (how, completion, found) => {
    expect(extractAnswer(completion, { extract: [how] })).toBe(found);
  });

  it("takes the first extraction that finds something", () => {
    const extract: Extraction[] = ["last-boxed", "last-answer-tag", "whole"];
    expect(extractAnswer("<answer>2</answer> \\boxed{1}", { extract })).toBe("1");
    expect(extractAnswer("<answer>2</answer>", { extract })).toBe("2");
    expect(extractAnswer("3", { extract })).toBe("3");
  });

  it("looks only behind `after`, and finds nothing without it", () => {
    const options = { extract: ["last-boxed"] as Extraction[], after: "</think>" };
    expect(extractAnswer("\\boxed{1}</think>\\boxed{2}", options)).toBe("2");
    expect(extractAnswer("\\boxed{1}</think>2", options)).toBe(null);
    expect(extractAnswer("\\boxed{1}", options)).toBe(null);
  });

  it.each([
    ["\\boxed{1}\\boxed{2}", "1, 2"],
    ["\\boxed{1} and \\boxed{2}", "1, 2"],
    ["$\\boxed{a}$, $\\boxed{b}$ and $\\boxed{c}$.", "a, b, c"],
    ["\\boxed{1} papers and \\boxed{2} bins", "1, 2"],
    ["$y_1 = \\boxed{p}$ and $y_2 = \\boxed{q}$", "p, q"],
    ["\\boxed{5}, \\boxed{5}", "5"],
    ["\\boxed{3} no, \\boxed{4}", "4"],
    ["\\boxed{3}. So \\boxed{4}", "4"],
    ["\\boxed{3} no no no no no \\boxed{4}", "4"],
    ["\\boxed{\\boxed{2}}", "2"],
    ["step 1: \\boxed{4}\nstep 2: \\boxed{5}", "5"],
    ["\\boxed{1} and \\boxed{never closed", null],
    ["none", null],
  ])("joins the boxes of %j: %j", (text, found) => {
    expect(lastBoxes(text)).toBe(found);
  });

  it("stays linear on a completion of openings alone", () => {
    const start = performance.now();
    for (const text of ["\\boxed{", "<answer>", "</answer>", "answer is ", "####", "1,", "- "]) {
      for (const how of [
        "last-boxed",
        "first-boxed",
        "last-answer-tag",
        "answer-is",
        "hash",
        "last-number",
      ]) {
        extractAnswer(text.repeat(30_000), { extract: [how as Extraction] });
      }
    }
    expect(performance.now() - start).toBeLessThan(4000);
  });
});
