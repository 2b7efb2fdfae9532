/** Methods of Python's str, where JavaScript's strings differ. */

/** str.isspace: Unicode's white space and the four separators of ASCII; JavaScript counts U+FEFF and not U+0085. */
const SPACES = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const SPACE = new RegExp(`[${SPACES}]`, "u");
const WORDS = new RegExp(`[^${SPACES}]+`, "gu");

/** str.strip(characters) and its one-sided forms, by code point. @param characters null: white space */
export function pythonStrip(
  text: string,
  characters: string | null,
  side: "both" | "left" | "right",
): string {
  const set = characters === null ? null : new Set(characters);
  const goes = (point: string): boolean => (set === null ? SPACE.test(point) : set.has(point));
  const points = [...text];
  let start = 0;
  let end = points.length;
  if (side !== "right") while (start < end && goes(points[start]!)) start++;
  if (side !== "left") while (end > start && goes(points[end - 1]!)) end--;
  return points.slice(start, end).join("");
}

/** str.split() at runs of white space. @param most cuts, -1 for all */
export function pythonSplit(text: string, most: number): string[] {
  const parts: string[] = [];
  for (const { 0: part, index } of text.matchAll(WORDS)) {
    if (parts.length === most) return [...parts, text.slice(index)];
    parts.push(part);
  }
  return parts;
}

/** str.capitalize: the first character in upper case, the others in lower case. */
export function capitalized(text: string): string {
  const [first = "", ...rest] = text;
  return first.toUpperCase() + rest.join("").toLowerCase();
}

/** Every word with its first character in upper case and the others in lower case. */
export function titled(text: string, words: RegExp): string {
  return text.replace(words, capitalized);
}
