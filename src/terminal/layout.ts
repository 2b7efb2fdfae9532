/** Text in columns: widths as a terminal shows them, with wide characters, emoji, combining marks and colours. */
import stringWidth from "string-width";
import wrapAnsi from "wrap-ansi";
import { colours } from "./output.ts";
import { visibleButColours } from "./visible.ts";

/** Columns of a stream; `otherwise` where it has none, as in a pipe or a terminal that says 0. */
export function columnsOf(stream: { columns?: number }, otherwise: number): number {
  const { columns } = stream;
  return columns !== undefined && columns > 0 ? columns : otherwise;
}

/** Columns on the screen; 100 when piped. */
export function terminalWidth(): number {
  return columnsOf(process.stdout, 100);
}

/** Columns that a text takes on one line. */
export function visibleWidth(text: string): number {
  return stringWidth(text);
}

const graphemes = new Intl.Segmenter();

/** The beginning of a text without colours that takes `width` columns at most, with a mark where something is missing. */
export function cutToWidth(text: string, width: number, mark: string): string {
  if (visibleWidth(text) <= width) return text;
  let cut = "";
  let room = width - visibleWidth(mark);
  for (const { segment } of graphemes.segment(text)) {
    room -= visibleWidth(segment);
    if (room < 0) break;
    cut += segment;
  }
  return cut + mark;
}

/** Spaces after (or before) a text up to a width. */
export function padToWidth(text: string, width: number, side: "left" | "right" = "left"): string {
  const room = " ".repeat(Math.max(0, width - visibleWidth(text)));
  return side === "right" ? room + text : text + room;
}

/** Text of scripts that put no spaces between words may break anywhere. */
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/u;

/**
 * Breaks at spaces so that no line is wider than `width`; colours go on after a break.
 * @param long what becomes of a longer word: "whole" on a line of its own, or "cut"; those of scripts without spaces are cut
 */
export function wrapText(text: string, width: number, long: "whole" | "cut" = "whole"): string[] {
  return text.split("\n").flatMap((paragraph) => {
    if (visibleWidth(paragraph) <= width) return [paragraph];
    const indent = /^ */.exec(paragraph)![0];
    const hard = long === "cut" || UNSPACED.test(paragraph);
    const room = Math.max(1, width - indent.length);
    const lines = wrapAnsi(paragraph.slice(indent.length), room, { hard }).split("\n");
    return lines.map((line) => indent + line);
  });
}

export interface TableOptions {
  header?: readonly string[];
  /** Per column; left when absent. */
  align?: readonly ("left" | "right")[];
  /** Spaces before every line. */
  indent?: number;
  /** The table fits into it; default the terminal's width. In a pipe only the last column is wrapped. */
  width?: number;
}

/** Width down to which a column gives way, and of the last one. */
const NARROWEST = 12;
const NARROWEST_LAST = 24;

/** Columns padded to their widest cell, two spaces between, what does not fit wrapped. @returns lines joined by \n */
export function table(rows: readonly (readonly string[])[], options: TableOptions = {}): string {
  const { header, align = [], indent = 0, width = terminalWidth() } = options;
  const all = (header === undefined ? rows : [header, ...rows]).map((row) => row.map(visibleButColours));
  const columns = Math.max(0, ...all.map((row) => row.length));
  const last = columns - 1;
  const natural = Array.from({ length: columns }, (_, column) =>
    Math.max(0, ...all.map((row) => Math.max(...(row[column] ?? "").split("\n").map(visibleWidth)))),
  );
  const wraps = options.width !== undefined || columnsOf(process.stdout, 0) > 0;
  const widths = wraps ? narrowed(natural, align, width - indent) : natural;
  const before = indent + widths.slice(0, last).reduce((sum, each) => sum + each + 2, 0);
  const lastWidth = Math.max(NARROWEST_LAST, width - before);
  const lines: string[] = [];
  all.forEach((row, index) => {
    const cells = widths.map((each, column): string[] => {
      const cell = row[column] ?? "";
      if (column === last) return align[last] === "right" ? [cell] : wrapText(cell, lastWidth);
      return wrapText(cell, each, "cut");
    });
    const height = Math.max(1, ...cells.map((cell) => cell.length));
    const isHeader = header !== undefined && index === 0;
    for (let line = 0; line < height; line++) {
      const parts = cells.map((cell, column) => {
        const right = align[column] === "right" ? "right" : "left";
        const text = cell[line] ?? "";
        return column === last && right === "left" ? text : padToWidth(text, widths[column]!, right);
      });
      const text = (" ".repeat(indent) + parts.join("  ")).trimEnd();
      lines.push(isHeader ? colours.dim(text) : text);
    }
  });
  return lines.join("\n");
}

/** Takes columns of text, the widest first, from columns that are too wide together. Numbers keep their room. */
function narrowed(
  natural: readonly number[],
  align: readonly ("left" | "right")[],
  room: number,
): readonly number[] {
  const widths = [...natural];
  const last = widths.length - 1;
  const lastNeeds =
    align[last] === "right" ? (natural[last] ?? 0) : Math.min(natural[last] ?? 0, NARROWEST_LAST);
  const excess = () =>
    widths.slice(0, last).reduce((sum, each) => sum + each + 2, 0) + lastNeeds - Math.max(0, room);
  while (excess() > 0) {
    const candidates = widths
      .map((each, column) => ({ each, column }))
      .filter(({ each, column }) => column < last && align[column] !== "right" && each > NARROWEST);
    if (candidates.length === 0) break;
    const widest = candidates.reduce((a, b) => (b.each > a.each ? b : a));
    widths[widest.column] = widest.each - 1;
  }
  return widths;
}

/** 0.0123 s -> "12 ms"; 3.456 s -> "3.46 s"; 75 s -> "1 min 15 s". @param seconds >= 0 */
export function formatSeconds(seconds: number): string {
  if (seconds < 0.9995) return `${(seconds * 1000).toPrecision(2 + Number(seconds >= 0.0995))} ms`;
  if (seconds < 60) return `${seconds.toPrecision(3)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** 1_572_864 -> "1.5 MiB". */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  // from 1000 on three digits would not do
  while (value >= (unit === 0 ? 1024 : 999.5) && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toPrecision(value < 99.95 ? 2 + Number(value >= 9.95) : 3)} ${units[unit]}`;
}
