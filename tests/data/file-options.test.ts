import { describe, expect, test } from "vitest";
import { answerColumnShown, fileOptions } from "../../src/data/file-options.ts";
import { fillTemplate, templateColumns } from "../../src/data/template.ts";

const faults = (options: object): string[] => {
  const parsed = fileOptions.safeParse({ kind: "file", path: "data.jsonl", ...options });
  return parsed.success
    ? []
    : parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
};

test("a path is enough, and the resolved options are valid again", () => {
  const resolved = fileOptions.parse({ kind: "file", path: "data.jsonl" });
  expect(resolved).toEqual({
    kind: "file",
    path: "data.jsonl",
    prompt: "{prompt}",
    answer: "{answer}",
    target: null,
    chat: true,
    slices: [],
    on_bad_row: "error",
  });
  expect(fileOptions.parse(resolved)).toEqual(resolved);
});

test.each<[string, string | null, string | undefined, string | null]>([
  ["End with $\\boxed{answer}$.\n{problem}", "{answer}", undefined, "answer"],
  ["End with $\\boxed{{answer}}$.\n{problem}", "{answer}", undefined, null],
  ["{problem} End with $\\boxed{{{answer}}}$", "{answer}", undefined, "answer"],
  ["Write <answer>{answer}</answer>. {problem}", "{answer}", undefined, "answer"],
  ["{problem}", "{answer}", undefined, null],
  ["{problem} {type}", "{type} {answer}", undefined, null],
  ["{problem} \\text{answer}", "{type} {answer}", undefined, "answer"],
  ["What is \\frac{a}{b}?", "{c}", undefined, null],
  ["Which number is in: {text}", "{text}", "(\\d+)", null],
  ["\\boxed{text}", "{text}", "(\\d+)", "text"],
  ["\\boxed{answer} {problem}", null, undefined, null],
])(
  "which column shows the gold answer in %j, answer %j, pattern %j: %j",
  (prompt, answer, pattern, column) => {
    expect(answerColumnShown(prompt, { answer, answer_pattern: pattern })).toBe(column);
  },
);

describe("refused", () => {
  test.each([
    [{ prompt: "question" }, "prompt: reads no column; write {question} for the column of that name"],
    [
      { prompt: "What is it?" },
      "prompt: reads no column; write a column's name in braces, such as {question}",
    ],
    [{ target: "{{x}}" }, "target: reads no column; write {x} for the column of that name"],
    [{ answer_pattern: "(" }, "answer_pattern: is not a regular expression: "],
    [{ answer_pattern: "#### .+" }, "answer_pattern: has no group; put parentheses around"],
    [{ answer_pattern: "(a)", answer: null }, "answer_pattern: there is no answer to apply it to"],
    [{ chat: false, system: "s" }, "system: a system message needs a chat template"],
    [{ split: { part: "eval", eval_share: 1 } }, "split.eval_share: "],
    [{ split: {} }, "split.part: "],
    [{ promt: "{x}" }, ": Unrecognized key"],
    [{ limit: 0 }, "limit: "],
  ])("%j", (options, message) => {
    const found = faults(options);
    expect(found).toHaveLength(1);
    expect(found[0]!.startsWith(message)).toBe(true);
  });
});

test("templates: columns, braces and values that look like templates", () => {
  const template = "{a} \\boxed{} {{b}} {{{a}}} {c.d}";
  expect(templateColumns(template)).toEqual(["a", "c.d"]);
  const values: Record<string, string> = { a: "{c.d} $&", "c.d": "2" };
  expect(fillTemplate(template, (column) => values[column]!)).toBe("{c.d} $& \\boxed{} {b} {{c.d} $&} 2");
});
