/** Rows of JSONL, JSON and CSV texts with the line at which each begins. */
import { parse } from "csv-parse/sync";
import { DataError } from "../lib/errors.ts";

export type TableFormat = "jsonl" | "json" | "csv" | "parquet";

/** Bytes of a line of JSONL; V8's longest text has some 512 MB. */
export const LONGEST_LINE = 256 << 20;

/** A row, or why it is none. Lines count from 1; of Parquet, which has none, rows do. */
export type TableRow = { line: number } & ({ fields: Record<string, unknown> } | { fault: string });

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const bom = "\ufeff";

function asRow(line: number, value: unknown): TableRow {
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return { line, fields: value as Record<string, unknown> };
  const what = Array.isArray(value) ? "a list" : value === null ? "null" : `a ${typeof value}`;
  return { line, fault: `is ${what}, not an object with columns` };
}

function parseJson(text: string): { value: unknown } | { fault: string } {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch (error) {
    const reason = (error as Error).message.replace(/ in JSON at position.*| \(line .*/s, "");
    return { fault: `is not valid JSON: ${shorten(reason)}` };
  }
}

const shorten = (text: string): string =>
  text.length <= 120 ? text.replace(/\s+/g, " ") : `${text.slice(0, 117).replace(/\s+/g, " ")}...`;

/** One object a line; blank lines are passed over. Decoded line by line, so files may exceed a string. */
export function* readJsonLines(bytes: Uint8Array): Generator<TableRow> {
  let line = 0;
  for (let start = 0; start < bytes.length; ) {
    line++;
    const found = bytes.indexOf(0x0a, start);
    const end = found === -1 ? bytes.length : found;
    const row = jsonLine(bytes.subarray(start, end), line);
    start = end + 1;
    if (row !== null) yield row;
  }
}

/** A line of a JSONL file; null: it is blank. */
export function jsonLine(bytes: Uint8Array, line: number): TableRow | null {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    return { line, fault: "is not UTF-8 text" };
  }
  if (line === 1 && text.startsWith(bom)) text = text.slice(1);
  if (/^[ \t\r\n]*$/.test(text)) return null;
  const parsed = parseJson(text);
  return "fault" in parsed ? { line, fault: parsed.fault } : asRow(line, parsed.value);
}

function decodeAll(path: string, bytes: Uint8Array): string {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw new DataError(`${path}:${firstBadLine(bytes)}: is not UTF-8 text. Convert the file to UTF-8.`);
  }
  return text.startsWith(bom) ? text.slice(1) : text;
}

function firstBadLine(bytes: Uint8Array): number {
  let line = 1;
  for (let start = 0; start < bytes.length; line++) {
    const found = bytes.indexOf(0x0a, start);
    const end = found === -1 ? bytes.length : found;
    try {
      decoder.decode(bytes.subarray(start, end));
    } catch {
      return line;
    }
    start = end + 1;
  }
  return line;
}

const openers = "{[";
const closers = "}]";

/** One array of objects, split by us so that every element has its line and a broken one does not hide others. */
export function* readJsonArray(path: string, bytes: Uint8Array): Generator<TableRow> {
  const text = decodeAll(path, bytes);
  let position = text.length - text.trimStart().length;
  if (text[position] !== "[")
    throw new DataError(
      `${path}:1: a JSON dataset is one array of objects, and this begins with ${JSON.stringify(text.slice(position, position + 10))}. ` +
        "Set format: jsonl if every line is an object.",
    );
  let line = countLines(text, 0, position, 1);
  let start = ++position;
  let depth = 0;
  let inString = false;
  let count = 0;
  for (; position < text.length; position++) {
    const character = text[position]!;
    if (inString) {
      if (character === "\\") position++;
      else if (character === '"') inString = false;
      continue;
    }
    if (character === '"') inString = true;
    else if (openers.includes(character)) depth++;
    else if (depth > 0 && closers.includes(character)) depth--;
    else if (depth === 0 && (character === "," || character === "]")) {
      const element = text.slice(start, position);
      const lead = element.length - element.trimStart().length;
      const at = countLines(text, start, start + lead, line);
      line = countLines(text, start + lead, position, at);
      start = position + 1;
      if (element.trim() !== "" || character === "," || count > 0) {
        count++;
        const parsed = parseJson(element);
        yield "fault" in parsed ? { line: at, fault: parsed.fault } : asRow(at, parsed.value);
      }
      if (character === "]") {
        const rest = text.slice(position + 1).trim();
        if (rest !== "")
          yield { line, fault: `text after the end of the array: ${shorten(rest.slice(0, 40))}` };
        return;
      }
    }
  }
  const what = inString ? "a string" : depth > 0 ? "an object or list" : "the array";
  yield {
    line: countLines(text, start, start + leadOf(text, start), line),
    fault: `${what} that is open here has no end`,
  };
}

const leadOf = (text: string, start: number): number => {
  const rest = text.slice(start);
  return rest.length - rest.trimStart().length;
};

function countLines(text: string, from: number, to: number, line: number): number {
  let count = line;
  for (let i = text.indexOf("\n", from); i !== -1 && i < to; i = text.indexOf("\n", i + 1)) count++;
  return count;
}

/** RFC 4180 with a header row; every cell is text. */
export function* readCsv(path: string, bytes: Uint8Array): Generator<TableRow> {
  const text = Buffer.from(decodeAll(path, bytes));
  const read = (limit?: number) =>
    parse(text, {
      info: true,
      relax_column_count: true,
      skip_empty_lines: true,
      ...(limit === undefined ? {} : { to: limit }),
    }) as unknown as { record: string[]; info: { bytes: number } }[];
  let records: ReturnType<typeof read>;
  try {
    records = read();
  } catch (error) {
    const { records: good = 0, message } = error as Error & { records?: number };
    const end = good === 0 ? 0 : read(good).at(-1)!.info.bytes;
    throw new DataError(
      `${path}:${lineCounter(text)(end)}: the row that begins here is not CSV: ${message.replace(/ at line \d+/, "")}. ` +
        "A cell with quotes, commas or line breaks stands in double quotes, its own quotes doubled.",
      { cause: error },
    );
  }
  const [first, ...rest] = records;
  if (first === undefined) return;
  const header = first.record.map((name) => name.trim());
  const twice = header.find((name, i) => header.indexOf(name) !== i);
  if (twice !== undefined)
    throw new DataError(`${path}:1: the header has the column ${JSON.stringify(twice)} twice. Rename one.`);
  // csv-parse's own line numbers count \r\n inside quotes twice, its byte offsets are right
  const lineOf = lineCounter(text);
  let line = lineOf(first.info.bytes);
  for (const { record, info } of rest) {
    if (record.length === header.length)
      yield { line, fields: Object.fromEntries(header.map((name, i) => [name, record[i]])) };
    else yield { line, fault: `has ${record.length} cells, the header has ${header.length}` };
    line = lineOf(info.bytes);
  }
}

/** Lines of growing byte offsets: that of the first text at or after the offset, blank lines passed over. */
function lineCounter(text: Uint8Array): (offset: number) => number {
  let position = 0;
  let line = 1;
  return (offset) => {
    let target = offset;
    while (text[target] === 0x0a || text[target] === 0x0d) target++;
    for (; position < target; position++) if (text[position] === 0x0a) line++;
    return line;
  };
}
