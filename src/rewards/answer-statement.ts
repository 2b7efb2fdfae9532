/** Answers that a completion states in words or under a heading. Every scan is linear in the text. */
const MAX_ANSWER_CHARS = 10_000;
/** Mentions of the word looked at, from the last one backwards. */
const MAX_MENTIONS = 200;
/** Room for the words between "answer" and what introduces the value. */
const MAX_LEAD = 120;

const EMPHASIS = "*_ \t";

/** Index of the first character at or after `at` that is none of these. */
function skip(text: string, at: number, chars: string): number {
  let i = at;
  while (i < text.length && chars.includes(text[i]!)) i++;
  return i;
}

function trimmed(text: string, chars: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && chars.includes(text[start]!)) start++;
  while (end > start && chars.includes(text[end - 1]!)) end--;
  return text.slice(start, end);
}

const FENCES: readonly [string, string][] = [
  ["$$", "$$"],
  ["\\[", "\\]"],
  ["\\(", "\\)"],
  ["$", "$"],
];

/** The piece of mathematics that begins at `at`, and where it ends; null where none does. */
function fencedAt(text: string, at: number): { content: string; end: number } | null {
  for (const [open, close] of FENCES) {
    if (!text.startsWith(open, at)) continue;
    const from = at + open.length;
    const end = text.indexOf(close, from);
    if (end < 0) continue;
    const content = text.slice(from, end);
    // inline mathematics stands on one line; $5 and $6 are sums of money
    if (open === "$" && (content.includes("\n") || /^\d[\d,.]*\s+[a-z]/i.test(content))) return null;
    return { content: content.trim(), end: end + close.length };
  }
  return null;
}

/** End of the sentence that begins at `at`: a stop before white space, outside of fences, or the end of the line. */
function sentenceEnd(text: string, at: number): number {
  for (let i = at; i < text.length; i++) {
    const char = text[i]!;
    if (char === "\n") return i;
    if (char === "$" || (char === "\\" && (text[i + 1] === "(" || text[i + 1] === "["))) {
      const fenced = fencedAt(text, i);
      if (fenced !== null) i = fenced.end - 1;
      else if (char === "\\") i++;
      continue;
    }
    if (".!?;".includes(char) && (i + 1 === text.length || text[i + 1]!.trim() === "")) return i;
  }
  return text.length;
}

/** What is stated at the beginning of the text: a display, a list of displays, or the rest of the sentence. */
function statement(source: string): string {
  const text = source.slice(0, MAX_ANSWER_CHARS);
  const start = skip(text, 0, `${EMPHASIS}\n\r`);
  const first = fencedAt(text, start);
  if (first !== null) {
    const following = text.slice(first.end, first.end + 20);
    const goesOn = /^ ?(?:[,;] ?(?:and |or )?|and |or )(?:\$|\\\(|[-\d])/.test(following);
    if (!goesOn) return first.content;
  }
  return trimmed(text.slice(start, sentenceEnd(text, start)).trim(), "*").trim();
}

/** Words that may stand between "is" and the value. */
const FILLERS =
  /^(?:(?:therefore|thus|hence|then|so|simply|just|indeed|clearly|exactly|now|given by)\b[,:]?[ \t]*){1,3}/i;

/** Where the value begins after this mention of "answer", or -1 where the mention introduces none. */
function introduced(text: string, at: number, wordEnd: number): number {
  const rest = text.slice(wordEnd, wordEnd + MAX_LEAD);
  const marks = skip(rest, 0, EMPHASIS);
  // answer is 5, answer: 5, **answer**: 5, answer to the question is 5
  const lead =
    /^(?:is|are|was|=|:)(?![a-z])/i.exec(rest.slice(marks)) ??
    /^s?(?: [a-z]{1,15}){1,8}? (?:is|are)(?![a-z])/i.exec(rest.slice(marks > 0 ? marks - 1 : 0));
  if (lead !== null) {
    const offset = /^(?:is|are|was|=|:)/i.test(lead[0]) ? marks : marks > 0 ? marks - 1 : 0;
    let value = skip(text, wordEnd + offset + lead[0].length, `${EMPHASIS}:`);
    const filler = FILLERS.exec(text.slice(value, value + MAX_LEAD));
    if (filler !== null) value += filler[0].length;
    return value;
  }
  // a heading: the word ends its line, which begins with a mark or is short
  const lineEnd = skip(text, wordEnd, `${EMPHASIS}:#`);
  if (text[lineEnd] !== "\n" && text[lineEnd] !== "\r") return -1;
  const before = text.slice(Math.max(0, at - MAX_LEAD), at);
  const line = before.slice(before.lastIndexOf("\n") + 1);
  return /^[#*_\s]*(?:the |my )?(?:final |correct )?$/i.test(line) ? lineEnd : -1;
}

/** The value after the last "answer is", "answer:" or heading "Answer"; null where nothing is stated. */
export function statedAnswer(text: string): string | null {
  const lower = text.toLowerCase();
  // letters whose lower case is longer would shift places; such texts are searched as they are
  const source = lower.length === text.length ? lower : text;
  let at = text.length;
  for (let mention = 0; mention < MAX_MENTIONS; mention++) {
    at = at <= 0 ? -1 : source.lastIndexOf("answer", at - 1);
    if (at < 0) return null;
    if (/\w/.test(text[at - 1] ?? " ") || text[at - 1] === "<" || text[at - 1] === "/") continue;
    const value = introduced(text, at, at + "answer".length);
    if (value < 0) continue;
    const found = statement(text.slice(value, value + MAX_ANSWER_CHARS));
    return found === "" ? null : found;
  }
  return null;
}
