/** Completions, gold answers, patterns and options that are made to take long. */
import type { Draw } from "../draw.ts";

const bits: readonly string[] = [
  " ",
  "\n",
  "\t",
  "\u00a0",
  "\u2009",
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
  "[",
  "]",
  "|",
  "$",
  "$$",
  "\\(",
  "\\)",
  "\\[",
  "\\]",
  "*",
  "**",
  "_",
  "^",
  "'",
  "!",
  "%",
  ".",
  ";",
  "&",
  "\\\\",
  "\\",
  ",\\! ",
  "<answer>",
  "</answer>",
  "<think>",
  "</think>",
  "<",
  "\\boxed",
  "\\boxed{",
  "\\boxed{1}, ",
  "\\boxed{2} and ",
  "\\fbox{1}",
  "answer",
  "answer is",
  "answer: ",
  "Answer\n",
  "**Answer**: ",
  "### Final Answer\n",
  "####",
  "\\text{",
  "\\frac",
  "\\frac12",
  "\\frac{",
  "\\sqrt",
  "sqrt(",
  "\\overline{3}",
  "0.(3",
  "\\left(",
  "\\right)",
  "\\begin{pmatrix}",
  "\\end{pmatrix}",
  "\\begin{cases}",
  "\\sum_{i=1}^{9}",
  "\\binom{9}{4}",
  "\\int",
  "\\cdot",
  "\\pm",
  "\\cup",
  "\\in",
  "\\infty",
  "\\pi",
  "x^",
  "x^{9",
  "x=",
  "e^",
  "n!",
  "9^9",
  "^9^9^9",
  "10^{",
  "1e9",
  "1e999",
  "9999999999",
  "½",
  "⁻",
  "é",
  "漢",
  "🙂",
  "\ud800",
  "\u0000",
  "\u001b[2J",
  "\u202e",
  "and",
  "or",
  "so ",
  "step 1: ",
  "the the ",
  "abcdefgh",
  "km",
  "miles per hour",
  "\\quad",
  "mod ",
  "log",
  "sin",
  "\\sin^2 ",
  "floor(",
  "gcd(",
  "max(",
];

/** Real answers, to be damaged and nested. */
const answers: readonly string[] = [
  "42",
  "-3/4",
  "1,234.50",
  "\\frac{3}{4}",
  "x = 3, y = -1",
  "(x,y)=(3,-1)",
  "\\{1,2,3\\}",
  "[0,\\infty)",
  "(-\\infty,2)\\cup(3,4]",
  "2\\sqrt{3}+\\pi",
  "x^2+2x+1",
  "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}",
  "50\\%",
  "3.14\\text{ cm}^2",
  "0.\\overline{3}",
  "\\binom{n}{2}",
  "n!",
  "\\sum_{k=1}^{n} k",
  "10^{100}",
  "(n-2)2^n",
  "\\text{Monday}",
  "A",
  "3 \\pm \\sqrt{5}",
  "x\\le 4",
  "1.5E3",
];

const lengthOf = (draw: Draw): number => {
  const roll = draw.below(100);
  if (roll < 65) return 1 + draw.below(200);
  if (roll < 92) return 1 + draw.below(3000);
  return roll < 99 ? 1 + draw.below(20_000) : 1 + draw.below(200_000);
};

function repeated(draw: Draw): string {
  const unit = Array.from({ length: 1 + draw.below(3) }, () => draw.one(bits)).join("");
  return unit.repeat(Math.ceil(lengthOf(draw) / unit.length));
}

function mixed(draw: Draw): string {
  let text = "";
  for (const length = lengthOf(draw); text.length < length; ) text += draw.one(bits);
  return text;
}

function nested(draw: Draw): string {
  const [open, close] = draw.one([
    ["{", "}"],
    ["(", ")"],
    ["\\frac{1}{", "}"],
    ["\\sqrt{", "}"],
    ["\\boxed{", "}"],
    ["\\left(", "\\right)"],
    ["2^{", "}"],
    ["-(", ")"],
    ["<answer>", "</answer>"],
    ["\\begin{cases}", "\\end{cases}"],
    ["|", "|"],
    ["f(x,", ")"],
  ] as const);
  const depth = Math.ceil(lengthOf(draw) / (open.length + close.length));
  return (
    open.repeat(depth) + draw.one(answers) + close.repeat(draw.chance(0.7) ? depth : draw.below(depth + 1))
  );
}

function damagedAnswer(draw: Draw): string {
  let text = draw.one(answers);
  for (let i = draw.below(4); i > 0; i--) {
    const at = draw.below(text.length + 1);
    text = draw.chance(0.5)
      ? text.slice(0, at) + draw.one(bits) + text.slice(at)
      : text.slice(0, at) + text.slice(at + 1 + draw.below(3));
  }
  return text;
}

const wraps: readonly ((text: string) => string)[] = [
  (text) => text,
  (text) => `\\boxed{${text}}`,
  (text) => `<think>\nso\n</think>\n<answer>${text}</answer>`,
  (text) => `The answer is ${text}.`,
  (text) => `#### ${text}`,
  (text) => `**Answer**: $${text}$`,
  (text) => `</think>\n\n\\boxed{${text}}`,
];

export function hostileCompletion(draw: Draw): string {
  const wrap = draw.one(wraps);
  const body = draw.one([damagedAnswer, damagedAnswer, damagedAnswer, mixed, repeated, nested])(draw);
  const before = draw.chance(0.2) ? repeated(draw) : "";
  const after = draw.chance(0.2) ? repeated(draw) : "";
  return before + wrap(body) + after;
}

export const hostileGold = (draw: Draw): string =>
  draw.chance(0.6)
    ? draw.one(answers)
    : draw.chance(0.7)
      ? damagedAnswer(draw)
      : draw.one([mixed, repeated, nested])(draw).slice(0, 5000);

/** Option sets of each kind: the usual, and what a config may say at its extremes. */
export const hostileOptions: Readonly<Record<string, readonly object[]>> = {
  exact: [
    {},
    { extract: "first-answer-tag", single_line: true },
    { extract: "answer-is", ignore_case: true },
    { match: "contains", underscores: true },
    { extract: ["last-boxed", "first-boxed", "hash", "last-number"], after: "</think>" },
  ],
  number: [
    {},
    { extract: "whole" },
    { extract: "answer-is", tolerance: 1e300 },
    { relative_tolerance: 1e-300 },
  ],
  math: [
    {},
    { extract: "whole" },
    { extract: "answer-is" },
    { extract: ["first-answer-tag", "first-boxed", "last-number"] },
  ],
  "mode-answer": [
    {},
    { compare: "exact", extract: "answer-is" },
    { degenerate: { repeats: 2, longest: 1_000_000_000, word_chars: 1_000_000_000 } },
    { degenerate: { repeats: 2, longest: 1000, word_chars: 100_000 } },
  ],
  "rule-server": [
    {},
    { max_boxes: 1_000_000, max_foreign_share: 1 },
    { repeat_chars: 1, repeat_times: 2, max_boxes: 1_000_000, max_foreign_share: 1 },
    { repeat_chars: 1, repeat_times: 1_000_000, max_foreign_share: 1 },
    { repeat_chars: 1000, repeat_times: 3 },
  ],
  length: [
    { limit: 10, max: 20 },
    { limit: 1, max: 1_000_000_000 },
  ],
  trigger: [{ counts: "miss" }, { counts: "over" }, { counts: "format" }],
  repetition: [{}, { n: 1 }, { n: 1000 }, { n: 1_000_000 }],
  "tag-format": [{}, { between: "any", once: false, tags: ["think", "answer"] }],
};

const patternBits: readonly string[] = [
  "a",
  "\\s",
  "\\d",
  ".",
  "[^x]",
  "(a+)+",
  "(a|aa)+",
  "(?:.*)*",
  "(\\s*)*",
  "\\b",
  "^",
  "$",
  "+",
  "*",
  "?",
  "+?",
  "{1,9}",
  "{1000}",
  "{9,}",
  "(",
  ")",
  "(?:",
  "(.+)",
  "|",
  "[a-z]+",
  "\\p{L}+",
  "(?=a)",
  "(?<n>x)",
  "\\1",
  "#### ",
  "答",
  "\\u{1F642}",
  "[[:alpha:]]",
  "(?i)",
  "[",
  "\\",
];

export const hostilePattern = (draw: Draw): string =>
  Array.from({ length: 1 + draw.below(draw.one([3, 8, 60])) }, () => draw.one(patternBits)).join("");
