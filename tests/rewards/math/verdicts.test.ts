import { afterAll, describe, expect, it } from "vitest";

import { mathOptions, numberOptions } from "../../../src/rewards/answer-options.ts";
import { completeInput } from "../../../src/rewards/cases.ts";
import { gradeMath } from "../../../src/rewards/math/grade.ts";
import { closeGrader } from "../../../src/rewards/math/grader.ts";
import { mathRewards } from "../../../src/rewards/math-answer.ts";
import { numberReward } from "../../../src/rewards/number.ts";

afterAll(closeGrader);

/** Answers that were graded wrong once, with the right verdict; and others of each kind. */
const verdicts: [candidate: string, gold: string, equal: boolean][] = [
  ["n = 65537", "n = 65536", false],
  ["x=1000050", "x=1000000", false],
  ["y = 3x + 40001", "y = 3x + 40000", false],
  ["x=20001", "x=20000", false],
  ["x > 40001", "x > 40000", false],
  ["N=2^{50}", "N=2^{40}", false],
  ["2x=40000", "x=20000", true],
  ["(-2\\frac13,0)", "(-\\frac73,0)", true],
  ["-2 1/3", "-\\frac{7}{3}", true],
  ["-\\frac{2}{3}", "-2\\frac{1}{3}", false],
  ["-4\\frac12", "-2", false],
  ["\\lfloor \\sqrt{n} \\rfloor", "\\lfloor \\sqrt[3]{n} \\rfloor", false],
  ["|x-3|", "3-x", false],
  ["\\max(x,3)", "3", false],
  [
    "$\\left\\lfloor\\log _{2} n\\right\\rfloor+1$",
    "$N(n)=\\left\\lfloor\\frac{2 n}{3}\\right\\rfloor+1$",
    false,
  ],
  ["|x-5|+|x+5|", "10", false],
  ["\\(1\\) and \\(2\\)", "1,2", true],
  ["$1$ and $2$", "1,2", true],
  ["x=0 \\text{ or } x=3", "$x=0$ or $x=3$", true],
  ["45", "$\\$ 45$", true],
  ["20", "20 $cm^{2}$", true],
  ["\\binom{n}{2}", "\\frac{n(n-1)}{2}", true],
  ["n2^{n-1}", "n\\cdot 2^{n-1}", true],
  ["63^{\\circ} 45'", "63.75^\\circ", true],
  ["(n-2)2^n+1", "(n-2)\\cdot 2^{n}+1", true],
  ["\\sin\\theta = \\frac35", "\\frac{3}{5}", true],
  ["\\frac{22}{7} \\approx 3.14", "\\frac{22}{7}", true],
  ["(1,2)", "(a,b)=(1,2)", true],
  ["m+n=12", "12", true],
  ["\\frac{a}{b} = 5", "5", true],
  ["17, 41, 83", "17, 41, and 83", true],
  ["\\sqrt{2}, -\\sqrt{2}, and 0", "0,\\pm\\sqrt{2}", true],
  ["1-\\frac{1}{\\mathrm{e}}", "1-\\frac1e", true],
  ["2\\mathrm{i}+3", "3+2i", true],
  ["\\exp(2)", "\\mathrm{e}^{2}", true],
  ["\\{2,1\\}", "{1, 2}", true],
  ["[-2,1)", "$\\{x|-2\\leq x < 1\\}$", true],
  ["1.5×10⁻³", "0.0015", true],
  ["1.5 x 10^3", "1500", true],
  ["1 234", "1234", true],
  ["0.\\overline{3}", "1/3", true],
  ["1.5E3", "1500", true],
  ["1⁄2", "0.5", true],
  ["1\\ 234\\ 567", "1234567", true],
  ["(x,y) = (3, -1)", "(3, -1)", true],
  ["(5,2),(7,2)", "p=5,q=2;p=7,q=2", true],
  ["11,\\! 111,\\! 111,\\! 100", "11111111100", true],
  ["{1\\over 2}", "\\frac12", true],
  ["\\frac{(2n)!}{(n!)^2}", "\\binom{2n}{n}", true],
  // large constants
  ["x=10000000001", "x=10000000000", false],
  ["x \\ge 10^{12}+1", "x \\ge 10^{12}", false],
  ["10^{20}+\\sqrt2", "10^{20}+\\sqrt3", false],
  ["1000000000000\\sqrt2", "1000000000001\\sqrt2", false],
  ["10^{20}\\sqrt2+1", "1+\\sqrt{2\\cdot 10^{40}}", true],
  ["3x=60003", "x=20001", true],
  ["(0,10^{11}]", "(0,10^{11}+1]", false],
  ["I=e^{-t}\\sin t", "\\log_5(3^{\\log_3 5})=1", false],
  ["x=\\sin t", "t\\sqrt{2}\\sqrt{2}-2t=0", false],
  // signs of mixed numbers
  ["-1\\frac{1}{2}", "-1.5", true],
  ["-1\\frac{1}{2}", "-0.5", false],
  ["3-2\\frac12", "\\frac12", true],
  ["-2½", "-2.5", true],
  // functions in pieces and of whole numbers
  ["|x-1000|", "1000-x", false],
  ["|2x+7|", "2x+7", false],
  ["\\min(x,40)", "x", false],
  ["\\lfloor x/100 \\rfloor", "0", false],
  ["\\lceil n/2 \\rceil", "\\lfloor n/2 \\rfloor", false],
  ["|x-3|", "|3-x|", true],
  ["\\sqrt{x^2}", "|x|", true],
  ["\\max(x,3)", "\\frac{x+3+|x-3|}{2}", true],
  // entries that come again
  ["1,1,2", "1,2", false],
  ["1,2", "1,1,2", false],
  ["2,1,1", "1,1,2", true],
  ["\\{1,1,2\\}", "\\{1,2\\}", true],
  // names
  ["x=3, y=-1", "(3,-1)", true],
  ["y=-1, x=3", "(3,-1)", true],
  ["y=3, x=-1", "(3,-1)", false],
  ["a=1, b=2", "1, 2", true],
  ["(x,y)=(3,-1)", "(-1,3)", false],
  ["2x=10", "10", false],
  ["a^2+b=0", "0", false],
  ["0", "a+3z=0", false],
  ["1", "x+y=1", false],
  ["|AB|=1", "1", true],
  ["x > 2", "a > 2", false],
  ["\\pi \\approx 3.14", "2.72", false],
  ["3 \\approx 7", "7", false],
  // factors and whole-number functions
  ["2^n3^m", "3^m 2^n", true],
  ["n!", "n(n-1)!", true],
  ["\\binom{n}{k}", "\\binom{n}{n-k}", true],
  ["\\binom{n}{k}", "\\binom{n}{k+1}", false],
  ["\\frac{d !}{2 k(d-k) !}", "\\frac{d!}{2k(d-k)!}", true],
  ["\\sum_{k=1}^{n} k", "\\frac{n(n+1)}{2}", true],
  ["\\sum_{k=1}^{n} k", "\\frac{n(n-1)}{2}", false],
  ["\\sum_{j=0}^{n-1} 2^j", "2^n-1", true],
  ["\\sum_{i=1}^5 i^2", "55", true],
  ["\\sum_{n=0}^\\infty (-1)^n x^{2n}", "\\sum_{k=0}^\\infty (-x^2)^k", true],
  ["\\sum_{n=0}^\\infty x^{2n}", "\\sum_{n=0}^\\infty x^{2n+1}", false],
  // lists and sets
  ["2 or 3", "\\{2,3\\}", true],
  ["(11,7)or(7,11)", "(7,11), (11,7)", true],
  ["\\{x : x>2\\}", "(2,\\infty)", true],
  ["\\{t \\mid t>2\\}", "x>2", true],
  ["\\{x \\mid x<1 \\text{ or } x>3\\}", "(-\\infty,1)\\cup(3,\\infty)", true],
  ["x>1 and x<3", "(1,3)", true],
  ["1\\le |z|\\le 2", "[-2,-1]\\cup[1,2]", true],
  // numbers as they are written
  ["1\\over 2", "0.5", true],
  ["0.1\\overline{6}", "1/6", true],
  ["0.(3)", "1/3", true],
  ["12\u2009345", "12345", true],
  ["12\u202f345\u202f678", "12345678", true],
  ["⅔", "2/3", true],
  ["−5", "-5", true],
  ["√12", "2\\sqrt3", true],
  ["x²+2x+1", "(x+1)²", true],
  ["10⁻²", "0.01", true],
  ["2.5E-2", "0.025", true],
  ["1 234, 5", "1234, 5", true],
  ["100 km", "100", true],
  ["{1,3}", "(1,3)", false],
  ["Vendor 2", "vendor 2", true],
  ["Vendor 2", "rodneV 2", false],
  ["The mode is $x=0$.", "0", true],
];

describe("answers that were graded wrong", () => {
  it.each(verdicts)("%j against %j: %j", (candidate, gold, equal) => {
    expect(gradeMath({ candidate, gold })).toMatchObject({ equal });
  });
});

/** Whole completions. */
const completions: [kind: "math" | "number", completion: string, answer: string, value: number][] = [
  ["math", "The answer is $1$, $2$ and $3$.", "1, 2, 3", 1],
  ["number", "#### 1 1/2", "1.5", 1],
  ["number", "\\boxed{\\frac{1}{2}}", "0.5", 1],
  ["math", "### Final Answer\n64", "64", 1],
  ["math", "The answer is therefore 64.", "64", 1],
  ["math", "**Final Answer:**\n\n$$64$$", "64", 1],
  ["math", "**Final Answer**: **64**", "64", 1],
  ["math", "\\boxed{2}", "$\\boxed{1}\\boxed{2}$", 0],
  ["math", "## Answer\n\n$\\frac{1}{2}$", "0.5", 1],
  ["math", "**Answer:** 64", "64", 1],
  ["math", "The final answer to the problem is thus $64$.", "64", 1],
  ["math", "I cannot answer that.", "64", 0],
  ["math", "The answer is $3.5$ meters.", "3.5", 1],
  ["math", "\\boxed{1}, \\boxed{2}", "2", 0],
  ["math", "\\boxed{1} and \\boxed{-2}", "-2,1", 1],
  ["number", "#### -1 1/2", "-1.5", 1],
  ["number", "#### 1.5 × 10^3", "1500", 1],
  ["number", "#### 1 1/2", "0.5", 0],
  ["number", "#### ½", "0.5", 1],
];

describe("completions that were graded wrong", () => {
  it.each(completions)("%s: %j against %j: %d", async (kind, completion, answer, value) => {
    const input = completeInput({ completion, answer });
    const [result] =
      kind === "number"
        ? [numberReward(input, numberOptions.parse({ kind }))]
        : await mathRewards([input], mathOptions.parse({ kind }));
    expect(result!.value).toBe(value);
  });
});
