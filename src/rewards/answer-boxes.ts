/** \boxed{...} in a completion: one of them, or several that name the parts of one answer. */
const MAX_ANSWER_CHARS = 10_000;
/** Boxes that may form one answer. */
const MAX_JOINED = 40;
/** Room for what stands between two boxes of one answer. */
const MAX_BETWEEN = 80;

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

interface Box {
  content: string;
  start: number;
  end: number;
}

/** `\boxed{...}`, `\fbox{...}` or `\boxed 5`, whose name ends at `at`. */
function boxAt(text: string, start: number, at: number): Box | null {
  let i = at;
  while (text[i] === " " && i < at + MAX_BETWEEN) i++;
  if (text[i] === "{") {
    const group = balancedGroup(text, i);
    return group === null ? null : { ...group, start };
  }
  const bare = /^[^\s$\\{}]+/.exec(text.slice(i, i + 100));
  return bare === null ? null : { content: bare[0], start, end: i + bare[0].length };
}

const BOX = /\\(?:boxed|fbox)(?![A-Za-z])/;

/** Place and end of the name of the last box that opens before `before`; null where there is none. */
function boxBefore(text: string, before: number): { start: number; nameEnd: number } | null {
  if (before <= 0) return null;
  const boxed = text.lastIndexOf("\\boxed", before - 1);
  const framed = text.lastIndexOf("\\fbox", before - 1);
  const start = Math.max(boxed, framed);
  return start < 0 ? null : { start, nameEnd: start + (start === boxed ? "\\boxed" : "\\fbox").length };
}

/** Content of the last box; null where there is none, or it is not closed. */
export function lastBox(text: string): string | null {
  const place = boxBefore(text, text.length);
  return place === null ? null : (boxAt(text, place.start, place.nameEnd)?.content ?? null);
}

export function firstBox(text: string): string | null {
  const match = BOX.exec(text);
  return match === null ? null : (boxAt(text, match.index, match.index + match[0].length)?.content ?? null);
}

/** Words that begin a new thought, so that the box after them replaces the one before. */
const RESTARTS =
  /\b(?:no|not|but|so|wait|then|thus|hence|therefore|actually|rather|instead|check|step|answer|correct|wrong|sorry|becomes?|is|equals?|gives?)\b/i;

/** Does this text between two boxes join them: nothing, a comma, "and", a few words with one of these, a name =? */
function joins(between: string): boolean {
  if (between.length > MAX_BETWEEN) return false;
  const bare = between
    .replace(/\\(?:text|mathrm|mbox) ?\{([^{}]*)\}/g, " $1 ")
    .replace(/\\(?:quad|qquad|[,;: !()[\]])|[$~]/g, " ")
    .replace(/[a-zA-Z](?:_\{?\w{1,4}\}?)? ?= ?$/, " ")
    .trim();
  if (bare === "") return !between.includes("\n\n");
  if (RESTARTS.test(bare) || /[.!?:\n=+*/<>-]/.test(bare)) return false;
  const words = bare.split(/[\s,;]+/).filter(Boolean);
  return words.length <= 6 && (/[,;]/.test(bare) || words.some((word) => /^(?:and|or|&)$/i.test(word)));
}

/**
 * The last box with those that stand right before it as parts of the same answer: `\boxed{1} and \boxed{2}` is 1, 2.
 * A box that is repeated counts once.
 */
export function lastBoxes(text: string): string | null {
  const place = boxBefore(text, text.length);
  const last = place === null ? null : boxAt(text, place.start, place.nameEnd);
  if (last === null) return null;
  const contents = [last.content];
  let next = last;
  for (let count = 1; count < MAX_JOINED; count++) {
    // a window, so that a box is never looked for through all of the text
    const from = Math.max(0, next.start - MAX_ANSWER_CHARS);
    const before = boxBefore(text.slice(from, next.start), next.start - from);
    if (before === null) break;
    const box = boxAt(text, from + before.start, from + before.nameEnd);
    if (box === null || box.end > next.start || !joins(text.slice(box.end, next.start))) break;
    if (!contents.includes(box.content)) contents.unshift(box.content);
    next = box;
  }
  return contents.join(", ");
}
