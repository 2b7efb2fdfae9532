import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ConfigError, RewardError } from "../../src/lib/errors.ts";
import { completeInput } from "../../src/rewards/cases.ts";
import { decidingPart, type RewardSpec, rewardPartsOptions } from "../../src/rewards/options.ts";
import { countStatuses, worstStatus } from "../../src/rewards/score.ts";
import type { RewardInput } from "../../src/types.ts";
import { scoreCompletions } from "../helpers/score.ts";

const specs = (...parts: unknown[]): RewardSpec[] => rewardPartsOptions.parse(parts);
const lenient = { maxErrorShare: 1 };

async function rewards(parts: RewardSpec[], ...inputs: Partial<RewardInput>[]): Promise<number[]> {
  const scores = await scoreCompletions(inputs.map(completeInput), parts, lenient);
  return scores.map(({ reward }) => reward);
}

describe("the weighted sum", () => {
  it("gives CLS-RL's table (two binary parts, first tag or the whole text, any case)", async () => {
    const parts = specs(
      {
        kind: "exact",
        extract: ["first-answer-tag", "whole"],
        ignore_case: true,
        single_line: true,
      },
      { kind: "tag-format", once: false },
    );
    const answer = "tabby cat";
    const completions = [
      "<think>Striped fur.</think><answer>Tabby Cat</answer>",
      "<think>Striped fur.</think>\n <answer> lynx </answer>",
      "<answer>tabby cat</answer>",
      "tabby cat",
      "<think>a</think><answer>tabby cat</answer>\n",
      "<think>a</think><answer>\ntabby cat\n</answer>",
      "<think>a</think><answer>lynx</answer><answer>tabby cat</answer>",
      "<think>a</think> so <answer>tabby cat</answer>",
      "It is a tabby cat",
      "<think></think><answer>tabby cat</answer>",
    ];
    const got = await rewards(parts, ...completions.map((completion) => ({ completion, answer })));
    expect(got).toEqual([2, 1, 1, 1, 1, 1, 1, 1, 0, 2]);
  });

  it("gives Open-RS's worked total: format 1.0, cosine 2.0, right answer of 500 characters", async () => {
    const parts = specs(
      { kind: "math", weight: 0 },
      { kind: "tag-format", tags: [], strings: ["\n</think>\n"], name: "format" },
      { kind: "cosine-length", weight: 2 },
    );
    const tail = "\n</think>\n\\boxed{7}";
    const completion = "x".repeat(500 - tail.length) + tail;
    expect(await rewards(parts, { completion, answer: "7" })).toEqual([2.5]);
  });

  it("counts a required part only where it holds: an exact answer in a well-formed completion", async () => {
    const parts = specs(
      { kind: "tag-format", name: "format", weight: 0 },
      { kind: "exact", extract: "last-answer-tag", requires: "format" },
    );
    const promptText = "3+8=<think>\n";
    const scores = await scoreCompletions(
      ["3+8=1\n</think><answer>1</answer>", "</think><answer>1</answer>", "<answer>1</answer>", "1"].map(
        (completion) => completeInput({ completion, promptText, answer: "1" }),
      ),
      parts,
      lenient,
    );
    expect(scores.map(({ reward }) => reward)).toEqual([1, 1, 0, 0]);
    expect(scores.map(({ correct }) => correct)).toEqual([true, true, false, false]);
    expect(scores[2]!.parts["exact"]!.note).toContain("format does not hold");
  });

  it("takes correctness from the verdict, not from the value that options give it", async () => {
    const parts = specs({ kind: "exact", right: 0.1, wrong: 5 });
    const scores = await scoreCompletions(
      [completeInput({ completion: "a", answer: "a" }), completeInput({ completion: "b", answer: "a" })],
      parts,
      lenient,
    );
    expect(scores.map(({ correct, reward }) => [correct, reward])).toEqual([
      [true, 0.1],
      [false, 5],
    ]);
  });

  it("lets `correct: true` move the decision to another part", () => {
    expect(decidingPart(specs({ kind: "exact" }, { kind: "number" }))).toBe(0);
    expect(decidingPart(specs({ kind: "exact" }, { kind: "number", correct: true }))).toBe(1);
    expect(decidingPart(specs({ kind: "exact", correct: false }, { kind: "number" }))).toBe(1);
    expect(decidingPart(specs({ kind: "finished" }))).toBe(-1);
  });

  it("is the sum of weight times value for any weights", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.float({ min: -4, max: 4, noNaN: true }),
        fc.float({ min: -4, max: 4, noNaN: true }),
        fc.constantFrom("1", "2", ""),
        async (a, b, completion) => {
          const parts = specs({ kind: "exact", weight: a }, { kind: "number", weight: b });
          const [score] = await scoreCompletions(
            [completeInput({ completion, answer: "1" })],
            parts,
            lenient,
          );
          const values = Object.values(score!.parts).map(({ value }) => value);
          expect(score!.reward).toBeCloseTo(a * values[0]! + b * values[1]!, 10);
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe("statuses", () => {
  it("orders them: error over timeout over unparsed over ok", () => {
    expect(worstStatus(["ok", "unparsed"])).toBe("unparsed");
    expect(worstStatus(["timeout", "unparsed"])).toBe("timeout");
    expect(worstStatus(["timeout", "error", "ok"])).toBe("error");
    expect(worstStatus([])).toBe("ok");
  });

  it("an unparsed completion is a legitimate 0; an unreadable gold answer is an error with value 0", async () => {
    const parts = specs({ kind: "number", right: 3, unparsed: -1 });
    const scores = await scoreCompletions(
      [
        completeInput({ completion: "no idea", answer: "4" }),
        completeInput({ completion: "4", answer: "north" }),
        completeInput({ completion: "4", answer: "4" }),
      ],
      parts,
      lenient,
    );
    expect(scores.map(({ status, reward }) => [status, reward])).toEqual([
      ["unparsed", -1],
      ["error", 0],
      ["ok", 3],
    ]);
    expect(countStatuses(scores)).toEqual({ number: { ok: 1, unparsed: 1, error: 1, timeout: 0 } });
  });

  it("does not guess a cosine length when the deciding part failed", async () => {
    const parts = specs({ kind: "number" }, { kind: "cosine-length" });
    const [score] = await scoreCompletions([completeInput({ completion: "4", answer: "x" })], parts, lenient);
    expect(score!.parts["cosine-length"]).toMatchObject({ value: 0, status: "error" });
    expect(score!.reward).toBe(0);
  });

  it("stops above max_error_share and names completion, part and reason", async () => {
    const inputs = ["1", "2", "north", "east"].map((answer) => completeInput({ completion: "1", answer }));
    const parts = specs({ kind: "finished" }, { kind: "number" });
    await expect(scoreCompletions(inputs, parts, { maxErrorShare: 0.5 })).resolves.toHaveLength(4);
    const failure = scoreCompletions(inputs, parts, { maxErrorShare: 0.49 });
    await expect(failure).rejects.toBeInstanceOf(RewardError);
    await expect(failure).rejects.toThrow(/2 of 4 completions.*max_error_share = 0\.49.*number 2 errors/);
    await expect(failure).rejects.toThrow(/completion 2 of the batch, part number.*"north/);
  });
});

describe("a task's own property: the gold completion scores the maximum, wrong and empty ones do not", () => {
  const answering = ["exact", "number", "math"] as const;
  const wrap: Record<(typeof answering)[number], (answer: string) => string> = {
    exact: (answer) => answer,
    number: (answer) => `so the total is ${answer}`,
    math: (answer) => `so it is \\boxed{${answer}}`,
  };

  it.each(answering)("%s", async (kind) => {
    const answers = Array.from({ length: 40 }, (_, i) => String(i * i * (i % 3 === 0 ? -1 : 1)));
    const parts = specs({ kind });
    const gold = await rewards(parts, ...answers.map((a) => ({ completion: wrap[kind](a), answer: a })));
    const wrong = await rewards(
      parts,
      ...answers.map((a) => ({ completion: wrap[kind](String(Number(a) + 1)), answer: a })),
    );
    const empty = await rewards(parts, ...answers.map((a) => ({ completion: "", answer: a })));
    expect(gold.every((value) => value === 1)).toBe(true);
    expect(wrong.every((value) => value < 1)).toBe(true);
    expect(empty.every((value) => value < 1)).toBe(true);
  });
});

describe("the part list's rules", () => {
  const message = (...parts: unknown[]): string =>
    rewardPartsOptions
      .safeParse(parts)
      .error?.issues.map(({ message }) => message)
      .join("; ") ?? "";

  it("refuses what cannot work, and says what to do", () => {
    expect(message({ kind: "exact" }, { kind: "exact" })).toMatch(/called exact too.*name of its own/);
    expect(message({ kind: "exact", requires: "format" })).toMatch(
      /format is not the name of an earlier part/,
    );
    expect(message({ kind: "length", limit: 5, max: 5 })).toMatch(/must exceed limit = 5/);
    expect(message({ kind: "cosine-length" })).toMatch(/must know whether the answer is right/);
    expect(message({ kind: "exact", correct: true }, { kind: "math", correct: true })).toMatch(
      /another part/,
    );
    expect(message({ kind: "file", file: "reward.py" })).toMatch(/\.ts, \.mts, \.js or \.mjs/);
    expect(message({ kind: "tag-format", tags: ["<think>"] })).toMatch(/without brackets|Invalid/);
    expect(message({ kind: "exact", wieght: 1 })).toMatch(/wieght/);
    expect(message({ kind: "exact", name: "a" }, { kind: "finished", requires: "a" })).toBe("");
  });

  it("a missing reward file is a config error", async () => {
    const parts = specs({ kind: "file", file: "/nowhere/reward.ts" });
    await expect(scoreCompletions([], parts, lenient)).rejects.toBeInstanceOf(ConfigError);
  });
});
