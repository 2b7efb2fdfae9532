/** What stands around and between pieces of mathematics: $, \( \), \[ \], **, a full stop. Linear in the text. */

/** Places of dollar signs that are no currency: not after a backslash. */
function fenceSigns(text: string): number[] {
  const found: number[] = [];
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === "$") found.push(at);
  }
  return found;
}

const STOPS = ".,;。";

/** Without full stops, commas and white space after it. */
function withoutStops(text: string): string {
  let end = text.length;
  while (end > 0 && (STOPS.includes(text[end - 1]!) || text[end - 1]!.trim() === "")) {
    // `\,` and `\;` are spaces, not stops
    if (end > 1 && text[end - 2] === "\\" && text[end - 1]!.trim() !== "") break;
    end--;
  }
  return text.slice(0, end).trimStart();
}

function inside(text: string, open: string, close: string): string | null {
  if (text.length < open.length + close.length || !text.startsWith(open) || !text.endsWith(close))
    return null;
  return text.slice(open.length, text.length - close.length);
}

/** The text between outer $ $, $$ $$, \( \), \[ \] or ** **, and without a full stop after it. */
export function unwrap(text: string): string {
  let inner = text.trim();
  for (let round = 0; round < 6; round++) {
    const before = inner;
    inner = withoutStops(inner);
    const fenced =
      inside(inner, "$$", "$$") ??
      inside(inner, "$", "$") ??
      inside(inner, "\\(", "\\)") ??
      inside(inner, "\\[", "\\]") ??
      inside(inner, "**", "**");
    const lone =
      fenced !== null && (fenced.endsWith("\\") || /\$|\\[()[\]]|\*\*/.test(fenced.replaceAll("\\$", "")));
    if (fenced !== null && !lone) inner = fenced.trim();
    if (inner === before) break;
  }
  return inner;
}

/**
 * Several fenced pieces in one answer, `$1$ and $2$` or `20 $cm^2$`, as one text: fences become blanks. A single
 * dollar sign is a currency: it stays before a number and goes after one.
 */
export function withoutFences(text: string): string {
  const signs = fenceSigns(text);
  let bare = text;
  if (signs.length >= 2) {
    const places = new Set(signs);
    bare = Array.from({ length: text.length }, (_, at) => (places.has(at) ? " " : text[at])).join("");
  } else if (signs.length === 1 && text.trimEnd().endsWith("$")) bare = text.trimEnd().slice(0, -1);
  return bare
    .replace(/\\\\|\\[()]/g, (mark) => (mark === "\\\\" ? mark : " "))
    .replace(/\\\\|\\[[\]]/g, (mark) => (mark === "\\\\" ? mark : " "))
    .replaceAll("**", bare.startsWith("**") || bare.includes(" **") ? " " : "**");
}
