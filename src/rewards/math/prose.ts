/** Words around mathematics. What they say is not understood; where a value stands among them may be. */

/** With one of these, the words change what the value says. */
const CHANGES =
  /\b(?:not?|never|neither|any|all|some|other|greater|less|more|fewer|than|at|on|min|max|minimum|maximum|local|concave|increas\w*|decreas\w*|if|when|where|whenever|let|only|unless|except|between|up|down|for|and|or|about|from|to|over)\b|n't/i;
const WORD = /[A-Za-z]{3,}/;

/** One fenced piece that words introduce: "The mode is $x=0$." gives x=0. Null where the words may matter. */
export function introducedPiece(text: string): string | null {
  const fence = /\$\$|\$|\\\(|\\\[/.exec(text);
  if (fence === null || fence.index === 0 || text[fence.index - 1] === "\\") return null;
  const close = fence[0] === "\\(" ? "\\)" : fence[0] === "\\[" ? "\\]" : fence[0];
  const start = fence.index + fence[0].length;
  const end = text.indexOf(close, start);
  if (end < 0) return null;
  const before = text.slice(0, fence.index);
  const rest = text.slice(end + close.length);
  if (!/^[A-Za-z ,:'\n-]+$/.test(before) || !WORD.test(before) || CHANGES.test(before)) return null;
  if (!/^[ .]*(?:is (?:the|our) (?:solution|answer))?[ .]*$/.test(rest)) return null;
  return text.slice(start, end);
}

/** "The sum is 120": the number after the last "is", where no other number comes before it. */
export function introducedNumber(text: string): string | null {
  const match = /^([A-Za-z ,$'()]{3,200}) (?:is|are|equals):? ([-+]?\d[\d.,/]{0,40}%?)\.?$/.exec(text);
  return match === null || CHANGES.test(match[1]!.replace(/\bto\b/, "")) ? null : match[2]!;
}

/** Known names that are spelled without a backslash. */
const NAMES = /^(?:sqrt|infinity|arcsin|arccos|arctan|sinh|cosh|tanh|frac|alpha|beta|gamma|theta|omega)$/i;

/** Words of a language, and no product of letters: outside of commands and \text, a long word with a vowel. */
export function hasProse(text: string): boolean {
  const bare = text.replace(/\\(?:text|operatorname|begin|end) ?\{[^{}]*\}|\\[a-zA-Z]+/g, " ");
  const words = (bare.match(/[A-Za-z]{3,}/g) ?? []).filter(
    (word) => /^[A-Za-z]?[a-z]+$/.test(word) && /[aeiou]/i.test(word) && !NAMES.test(word),
  );
  return words.some((word) => word.length >= 5) || words.filter((word) => word.length >= 3).length >= 2;
}
