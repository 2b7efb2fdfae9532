import type { Extraction } from "./part-options.ts";

/** Longest answer looked at, in characters: beyond it an answer is a text, and grading it would only cost time. */
const MAX_ANSWER_CHARS = 10_000;

/** Content of the balanced group that opens at `open`, or null. `\{` and `\}` do not count. */
export function balancedGroup(text: string, open: number): { content: string; end: number } | null {
  if (text[open] !== "{") return null;
  let depth = 0;
  const limit = Math.min(text.length, open + MAX_ANSWER_CHARS);
  for (let i = open; i < limit; i++) {
    const char = text[i];
    if (char === "\\") i++;
    else if (char === "{") depth++;
    else if (char === "}" && --depth === 0) return { content: text.slice(open + 1, i), end: i + 1 };
  }
  return null;
}

/** `\boxed{...}`, `\fbox{...}` or `\boxed 5` at this place. */
function boxAt(text: string, at: number): string | null {
  let i = at;
  while (text[i] === " ") i++;
  if (text[i] === "{") return balancedGroup(text, i)?.content ?? null;
  const bare = /^[^\s$\\{}]+/.exec(text.slice(i, i + 100));
  return bare?.[0] ?? null;
}

const BOX = /\\(?:boxed|fbox)(?![A-Za-z])/g;

/** Contents of all boxes that are closed, nested ones too, in the order they open. */
export function boxes(text: string): string[] {
  const found: string[] = [];
  for (const match of text.matchAll(BOX)) {
    const content = boxAt(text, match.index + match[0].length);
    if (content !== null) found.push(content);
  }
  return found;
}

function lastBox(text: string): string | null {
  // from the back: a completion of boxes alone must not cost a pass each
  for (let at = text.length; at >= 0; ) {
    const boxed = text.lastIndexOf("\\boxed", at - 1);
    const framed = text.lastIndexOf("\\fbox", at - 1);
    at = Math.max(boxed, framed);
    if (at < 0) return null;
    return boxAt(text, at + (at === boxed ? "\\boxed" : "\\fbox").length);
  }
  return null;
}

function firstBox(text: string): string | null {
  const [match] = text.matchAll(BOX);
  return match === undefined ? null : boxAt(text, match.index + match[0].length);
}

function answerTag(text: string, which: "first" | "last"): string | null {
  const open = "<answer>";
  const close = "</answer>";
  if (which === "first") {
    const start = text.indexOf(open);
    const end = start < 0 ? -1 : text.indexOf(close, start + open.length);
    return end < 0 ? null : text.slice(start + open.length, end);
  }
  const end = text.lastIndexOf(close);
  const start = end < 0 ? -1 : text.lastIndexOf(open, end);
  return start < 0 ? null : text.slice(start + open.length, end);
}

/** Text up to the end of the line, of the sentence or of the display. */
function restOfStatement(text: string): string {
  const line = (text.slice(0, MAX_ANSWER_CHARS).split("\n", 1)[0] ?? "").trim();
  const display = /^(?:\$\$?|\\\(|\\\[)(.+?)(?:\$|\\\)|\\\])/.exec(line);
  if (display !== null && !/^\$\d/.test(line)) return display[1]!.trim();
  const sentence = /^(.*?)(?:[.!?;](?=\s|$)|$)/.exec(line);
  return (sentence?.[1] ?? line).trim();
}

function answerIs(text: string): string | null {
  const matches = [...text.matchAll(/\banswer(?:\s+is|\s*[:=])\s*:?\s*/gi)];
  const last = matches.at(-1);
  if (last === undefined) return null;
  const rest = restOfStatement(text.slice(last.index + last[0].length)).replace(/^\*+|\*+$/g, "");
  return rest === "" ? null : rest;
}

function hash(text: string): string | null {
  const at = text.lastIndexOf("####");
  if (at < 0) return null;
  const line = (text.slice(at + 4, at + 4 + MAX_ANSWER_CHARS).split("\n", 1)[0] ?? "").trim();
  return line === "" ? null : line;
}

/** Numbers as people write them: 1,234.5, -3, .5, 3/4, 50%, $2, 1e-3. */
const NUMBER =
  /[-+−]?\s?[$€£]?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:e[-+]?\d+)?(?:\s?\/\s?\d+(?:\.\d+)?)?(?:\s?\\?%)?/gi;

function lastNumber(text: string): string | null {
  // numbers stand near the end; the window keeps this cheap for very long completions
  const tail = text.slice(-MAX_ANSWER_CHARS);
  let last: RegExpExecArray | null = null;
  for (const match of tail.matchAll(NUMBER)) last = match;
  if (last === null) return null;
  // 5-3, 5 - 3 and x - 3 subtract; "it is -3" does not
  const before = tail.slice(0, last.index);
  const subtracts = /[\w)]$|[\d)]\s+$/.test(before) || (/^[-+−]\s/.test(last[0]) && /\w\s*$/.test(before));
  return (subtracts ? last[0].replace(/^[-+−]\s?/, "") : last[0]).trim();
}

function extractOne(text: string, how: Extraction): string | null {
  switch (how) {
    case "whole":
      return text;
    case "first-answer-tag":
      return answerTag(text, "first");
    case "last-answer-tag":
      return answerTag(text, "last");
    case "first-boxed":
      return firstBox(text);
    case "last-boxed":
      return lastBox(text);
    case "hash":
      return hash(text);
    case "answer-is":
      return answerIs(text);
    case "last-number":
      return lastNumber(text);
    default: {
      const unreachable: never = how;
      throw new Error(`extraction ${unreachable}`);
    }
  }
}

export interface ExtractOptions {
  extract: readonly Extraction[];
  after?: string | undefined;
  /** A tagged or boxed answer with a line break does not count. */
  singleLine?: boolean;
}

/** The answer in a completion: the first extraction that finds one, or null. */
export function extractAnswer(completion: string, options: ExtractOptions): string | null {
  let text = completion;
  if (options.after !== undefined) {
    const at = text.lastIndexOf(options.after);
    if (at < 0) return null;
    text = text.slice(at + options.after.length);
  }
  for (const how of options.extract) {
    const found =
      options.singleLine === true && how === "first-answer-tag"
        ? (/<answer>([^\n]*?)<\/answer>/.exec(text)?.[1] ?? null)
        : extractOne(text, how);
    if (found === null) continue;
    if (options.singleLine === true && how !== "whole" && found.includes("\n")) continue;
    return found;
  }
  return null;
}
