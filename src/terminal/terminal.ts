/** The only place that writes to the terminal. Results go to stdout, errors and progress to stderr. */
import { stripVTControlCharacters } from "node:util";
import pc from "picocolors";

type Stream = NodeJS.WriteStream;

/** Colours are for people: off when piped, under NO_COLOR (no-color.org) or --no-color; FORCE_COLOR turns them on. */
export function wantsColour(
  stream: Pick<Stream, "isTTY">,
  env: NodeJS.ProcessEnv = process.env,
  argv: readonly string[] = process.argv,
): boolean {
  if (argv.includes("--no-color") || env["NO_COLOR"]) return false;
  if (env["FORCE_COLOR"] && env["FORCE_COLOR"] !== "0") return true;
  return stream.isTTY === true && env["TERM"] !== "dumb";
}

/** For text that goes to stdout. */
export const colours = pc.createColors(wantsColour(process.stdout));
/** For text that goes to stderr. */
export const errorColours = pc.createColors(wantsColour(process.stderr));

export function print(text = ""): void {
  process.stdout.write(`${text}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

export function printWarning(message: string): void {
  process.stderr.write(`${errorColours.yellow("warning")} ${message}\n`);
}

/** Something that goes on, for people: not part of the result. */
export function printNote(message: string): void {
  process.stderr.write(`${errorColours.dim(message)}\n`);
}

/** Columns on the screen; 100 when piped. */
export function terminalWidth(): number {
  return process.stdout.columns ?? 100;
}

export function visibleLength(text: string): number {
  return stripVTControlCharacters(text).length;
}

/** Breaks at spaces so that no line is wider than `width`; a longer word stays whole. */
export function wrapText(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split("\n")) {
    let line = "";
    for (const word of paragraph.split(" ")) {
      if (line !== "" && visibleLength(line) + 1 + visibleLength(word) > width) {
        lines.push(line);
        line = word;
      } else {
        line = line === "" ? word : `${line} ${word}`;
      }
    }
    lines.push(line);
  }
  return lines;
}

export interface TableOptions {
  header?: readonly string[];
  /** Per column; left when absent. */
  align?: readonly ("left" | "right")[];
  /** Spaces before every line. */
  indent?: number;
  /** The last column is wrapped to fit; default the terminal's width. */
  width?: number;
}

/** Columns padded to their widest cell, two spaces between, the last one wrapped. @returns lines joined by \n */
export function table(rows: readonly (readonly string[])[], options: TableOptions = {}): string {
  const { header, align = [], indent = 0, width = terminalWidth() } = options;
  const all = header === undefined ? rows : [header, ...rows];
  const columns = Math.max(0, ...all.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(0, ...all.map((row) => visibleLength(row[column] ?? ""))),
  );
  const last = columns - 1;
  const before = indent + widths.slice(0, last).reduce((sum, each) => sum + each + 2, 0);
  const lastWidth = Math.max(24, width - before);
  const pad = (text: string, column: number): string => {
    const room = " ".repeat(Math.max(0, widths[column]! - visibleLength(text)));
    return align[column] === "right" ? room + text : text + room;
  };
  const lines: string[] = [];
  all.forEach((row, index) => {
    const wrapped =
      align[last] === "right" ? [pad(row[last] ?? "", last)] : wrapText(row[last] ?? "", lastWidth);
    const lead = Array.from({ length: Math.max(0, last) }, (_, column) => pad(row[column] ?? "", column));
    const isHeader = header !== undefined && index === 0;
    wrapped.forEach((part, line) => {
      const start = line === 0 ? [...lead, part].join("  ") : " ".repeat(before - indent) + part;
      const text = (" ".repeat(indent) + start).trimEnd();
      lines.push(isHeader ? colours.dim(text) : text);
    });
  });
  return lines.join("\n");
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
