import { firstBox, lastBox, lastBoxes } from "./answer-boxes.ts";
import { statedAnswer } from "./answer-statement.ts";
import type { Extraction } from "./part-options.ts";

/** Longest answer looked at, in characters: beyond it an answer is a text, and grading it would only cost time. */
const MAX_ANSWER_CHARS = 10_000;

const open = "<answer>";
const close = "</answer>";

function answerTag(text: string, which: "first" | "last"): string | null {
  if (which === "first") {
    const start = text.indexOf(open);
    const end = start < 0 ? -1 : text.indexOf(close, start + open.length);
    return end < 0 ? null : text.slice(start + open.length, end);
  }
  const end = text.lastIndexOf(close);
  const start = end < 0 ? -1 : text.lastIndexOf(open, end);
  return start < 0 ? null : text.slice(start + open.length, end);
}

function hash(text: string): string | null {
  const at = text.lastIndexOf("####");
  if (at < 0) return null;
  const line = (text.slice(at + 4, at + 4 + MAX_ANSWER_CHARS).split("\n", 1)[0] ?? "").trim();
  return line === "" ? null : line;
}

/** Numbers as people write them: 1,234.5, -3, .5, 3/4, 2 1/2, 50%, $2, 1e-3. */
const NUMBER =
  /[-+−]?\s?[$€£]?(?:\d{1,9} \d{1,9}\/\d{1,9}(?!\d)|(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:e[-+]?\d+)?(?:\s?\/\s?\d+(?:\.\d+)?)?(?:\s?\\?%)?/gi;

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

function extractOne(text: string, how: Extraction, joined: boolean): string | null {
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
      return joined ? lastBoxes(text) : lastBox(text);
    case "hash":
      return hash(text);
    case "answer-is":
      return statedAnswer(text);
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
  /** Boxes that stand side by side as parts of one answer count as a list, where the last one alone would. */
  joinBoxes?: boolean;
}

/** The first block that opens and closes on the same line. */
function singleLineTag(text: string): string | null {
  let end = -1;
  for (let from = text.indexOf(open); from >= 0; ) {
    const start = from + open.length;
    // places only move forward, so that no part of the text is searched twice
    if (end < start) end = text.indexOf(close, start);
    if (end < 0) return null;
    const line = text.indexOf("\n", start);
    if (line < 0 || end < line) return text.slice(start, end);
    from = text.indexOf(open, line);
  }
  return null;
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
        ? singleLineTag(text)
        : extractOne(text, how, options.joinBoxes === true);
    if (found === null) continue;
    if (options.singleLine === true && how !== "whole" && found.includes("\n")) continue;
    return found;
  }
  return null;
}
