import { describe, expect, it } from "vitest";
import { answerPatternFault, compileAnswerPattern } from "../../src/data/answer-pattern.ts";

describe("answer_pattern", () => {
  it.each([
    ["####\\s*(.+)$", "9 * 2 = 18\n#### 18\nmore", "18"],
    ["^(?:Addition|Subtraction) \\d{1,2}[-+]\\d=(\\d{1,2})$", "Addition 1+2=3", "3"],
    ["(?<answer>\\d+)", "is 42.", "42"],
    ["(\\w+?)$", "one\ntwo", "one"],
    ["x(y)?", "x", null],
    ["(a)", "b", null],
  ])("%j in %j: %j", (pattern, text, found) => {
    expect(answerPatternFault(pattern)).toBe(null);
    expect(compileAnswerPattern(pattern).find(text)).toBe(found);
  });

  it.each(["(?=a)(b)", "(a)\\1", "(?<!x)(a)"])("refuses %j, which cannot be bounded", (pattern) => {
    expect(answerPatternFault(pattern)).toMatch(/looks ahead or back/);
  });

  it.each(["(.+){1000}", "((a|b){1,99}){1,9}"])("refuses %j, which is long over long rows", (pattern) => {
    expect(answerPatternFault(pattern)).toMatch(/repeats too much/);
  });

  it("is linear where a pattern would go back over the text 2^n times", () => {
    const start = performance.now();
    expect(compileAnswerPattern("^(?:(a+)+)+$").find(`${"a".repeat(20_000)}!`)).toBe(null);
    expect(performance.now() - start).toBeLessThan(10_000);
  });
});
