import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { completeInput } from "../../src/rewards/cases.ts";
import { closeGrader } from "../../src/rewards/math/grader.ts";
import { rewardPartsOptions } from "../../src/rewards/options.ts";
import { builtInKinds } from "../../src/rewards/run-cases.ts";
import { createScorer } from "../../src/rewards/score.ts";

afterAll(closeGrader);

/** Options of each kind, those that run the most code. */
const variants: Readonly<Record<string, object[]>> = {
  exact: [
    { extract: "first-answer-tag", single_line: true },
    { extract: "answer-is" },
    { extract: "last-boxed" },
  ],
  number: [{}, { extract: "whole" }, { extract: "answer-is" }],
  math: [{}, { extract: "whole" }],
  "rule-server": [{}, { max_boxes: 1_000_000, max_foreign_share: 1 }],
  length: [{ limit: 10, max: 20 }],
  trigger: [{ counts: "format" }],
  "tag-format": [{}, { between: "any", once: false, tags: ["think", "answer"] }],
};

const bits = [
  " ",
  "\n",
  "\t",
  "1",
  "1,",
  "1 ",
  "1/",
  "- ",
  "a",
  "a ",
  "a.",
  "(",
  ")",
  "{",
  "}",
  "$",
  "\\(",
  "\\)",
  "*",
  "**",
  "_",
  "^",
  "'",
  "%",
  ".",
  ",\\! ",
  "<answer>",
  "</answer>",
  "<think>",
  "</think>",
  "\\boxed",
  "\\boxed{",
  "\\boxed{1}, ",
  "\\fbox{1}",
  "answer",
  "answer is",
  "answer: ",
  "Answer\n",
  "####",
  "\\text{",
  "\\phantom",
  "\\frac",
  "\\sqrt",
  "sqrt(",
  "\\overline{3}",
  "0.(3",
  "\u2009",
  "½",
  "⁻",
  "abcdefgh",
  "1e9",
  "x^",
];

/** Texts of this many characters; quadratic time would take minutes over them, cubic time hours. */
const SIZE = 200_000;
/** Far above what linear code takes on a busy machine. */
const BOUND_MS = 10_000;

const grown = (unit: string, close: string): string =>
  (unit.repeat(Math.ceil(SIZE / unit.length)) + close).slice(-SIZE - close.length);

async function slowest(kind: string, text: string): Promise<number> {
  let most = 0;
  for (const options of variants[kind] ?? [{}]) {
    const parts: object[] = [{ kind, ...options }];
    if (kind === "cosine-length") parts.unshift({ kind: "exact" });
    const scorer = await createScorer(rewardPartsOptions.parse(parts), { maxErrorShare: 1 });
    const start = performance.now();
    const [score] = await scorer([
      completeInput({
        completion: text,
        answer: "7",
        promptText: "7<think>\n...\n",
        fields: { choices: ["a", "1"] },
      }),
    ]);
    most = Math.max(most, performance.now() - start);
    expect(Number.isFinite(score!.reward)).toBe(true);
    await scorer.close();
  }
  return most;
}

describe("text that is made to take long", () => {
  it("covers every built-in kind", () => expect(builtInKinds.length).toBeGreaterThanOrEqual(12));

  it.each(builtInKinds)("%s scores it in bounded time", { timeout: 600_000 }, async (kind) => {
    const units = fc
      .array(fc.constantFrom(...bits), { minLength: 1, maxLength: 3 })
      .map((some) => some.join(""));
    const close = fc.constantFrom("", "!", "\\boxed{x", "</answer>", "1 1/2", "answer is");
    await fc.assert(
      fc.asyncProperty(units, close, async (unit, end) => {
        expect(await slowest(kind, grown(unit, end))).toBeLessThan(BOUND_MS);
      }),
      { numRuns: 12, seed: 16 },
    );
    // each bit by itself
    for (const unit of bits) expect(await slowest(kind, grown(unit, "!"))).toBeLessThan(BOUND_MS);
  });

  it("takes no longer for a tag that holds the blanks of a number", async () => {
    expect(
      await slowest("number", `<answer>9${" a".repeat(50_000)}${" ".repeat(50_000)}!</answer>`),
    ).toBeLessThan(BOUND_MS);
    expect(await slowest("number", `<answer>${" ".repeat(100_000)}!</answer>`)).toBeLessThan(BOUND_MS);
    expect(await slowest("math", `\\boxed{${"x ".repeat(4000)}1}`)).toBeLessThan(BOUND_MS);
  });
});
