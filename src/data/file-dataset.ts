/** Prompts from files: a row of JSONL, JSON or CSV becomes a Prompt by templates. */
import { createHash } from "node:crypto";
import { extname, resolve } from "node:path";
import { DataError } from "../lib/errors.ts";
import { FileReadError, readRegularFile } from "../lib/regular-file.ts";
import { createRng } from "../lib/rng.ts";
import type { ChatMessage, Prompt } from "../types.ts";
import { type AnswerPattern, compileAnswerPattern } from "./answer-pattern.ts";
import { choiceListSize, drawChoices } from "./choices.ts";
import type { FileOptions } from "./file-options.ts";
import { readCsv, readJsonArray, readJsonLines, type TableFormat, type TableRow } from "./table-file.ts";
import { fillTemplate } from "./template.ts";

export interface FileDataset {
  /** In the file's order. */
  prompts: Prompt[];
  /** Line at which each prompt's row begins, from 1. */
  lines: number[];
  /** Rows that did not fit, under `on_bad_row: skip`. */
  skipped: { line: number; reason: string }[];
  /** The file's hash, hexadecimal. */
  sha256: string;
}

/** Rows that do not fit, each with its line and reason. */
export class RowFaultsError extends DataError {
  readonly faults: FileDataset["skipped"];
  /** Rows of the file. */
  readonly rows: number;
  constructor(path: string, faults: FileDataset["skipped"], rows: number) {
    super(faultList(path, faults, rows));
    this.faults = faults;
    this.rows = rows;
  }
}

/** At most this many faults are listed. */
const maxFaults = 20;

class RowFault extends Error {}

/** By extension. @throws DataError when that does not tell */
export function tableFormat(path: string): TableFormat {
  switch (extname(path).toLowerCase()) {
    case ".jsonl":
    case ".ndjson":
      return "jsonl";
    case ".json":
      return "json";
    case ".csv":
      return "csv";
    default:
      throw new DataError(`${path}: the extension does not tell the format. Set format: jsonl, json or csv.`);
  }
}

/** The value under a column's name, or under a path into nested objects ("meta.level"). */
function lookUp(fields: Readonly<Record<string, unknown>>, column: string): unknown {
  if (Object.hasOwn(fields, column)) return fields[column];
  let value: unknown = fields;
  for (const part of column.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

/** A column as text. @throws RowFault when the row has none, or nothing that is plain text */
function columnText(fields: Readonly<Record<string, unknown>>, column: string): string {
  const value = lookUp(fields, column);
  if (value === undefined) {
    const present = Object.keys(fields);
    const shown = present.slice(0, 12).join(", ") + (present.length > 12 ? ", ..." : "");
    throw new RowFault(`has no column ${column}; it has ${shown === "" ? "none" : shown}`);
  }
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return String(value);
  if (typeof value === "number") {
    if (Number.isInteger(value) && !Number.isSafeInteger(value))
      throw new RowFault(`column ${column} is a whole number too big to be read exactly; put it in quotes`);
    return String(value);
  }
  const what = value === null ? "null" : Array.isArray(value) ? "a list" : "an object";
  throw new RowFault(`column ${column} is ${what}; only text, numbers and true/false can be used`);
}

/** Hash of several texts, unambiguous at their borders. @returns 16 hexadecimal digits */
export function contentId(...parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}

/**
 * Whether an id falls into the eval part: a function of salt and id alone, so it stays when rows come, go
 * or move. @param share of ids in the eval part, 0..1
 */
export function isEvalPart(id: string, salt: string, share: number): boolean {
  const digest = createHash("sha256")
    .update(JSON.stringify([salt, id]))
    .digest();
  return digest.readUIntBE(0, 6) / 2 ** 48 < share;
}

/** @throws RowFault */
function toPrompt(
  fields: Record<string, unknown>,
  options: FileOptions,
  pattern: AnswerPattern | null,
): Prompt {
  const fill = (template: string): string =>
    fillTemplate(template, (column) =>
      column === "choices" && options.choices !== undefined
        ? (fields["choices"] as string[]).join(", ")
        : columnText(fields, column),
    );
  const text = fill(options.prompt);
  if (text.trim() === "") throw new RowFault("its prompt is empty");
  let answer = "";
  if (options.answer !== null) {
    try {
      answer = fill(options.answer).trim();
    } catch (error) {
      if (!(error instanceof RowFault) || !error.message.startsWith("has no column")) throw error;
      throw new RowFault(`${error.message} (for the answer; set answer: null if the data has none)`);
    }
    if (pattern !== null) {
      const found = pattern.find(answer);
      if (found === null)
        throw new RowFault(
          `answer_pattern ${options.answer_pattern} does not match its answer ${JSON.stringify(tail(answer))}`,
        );
      answer = found.trim();
    }
    if (answer === "") throw new RowFault("its answer is empty");
  }
  const target = options.target === null ? undefined : fill(options.target);
  if (target !== undefined && target.trim() === "") throw new RowFault("its target is empty");
  const pair =
    options.pair === undefined
      ? undefined
      : { chosen: fill(options.pair.chosen), rejected: fill(options.pair.rejected) };
  if (pair !== undefined && pair.chosen === pair.rejected)
    throw new RowFault("its chosen and its rejected text are the same, so that neither is preferred");
  const id =
    options.id === undefined
      ? contentId(text, answer, target ?? "", ...(pair === undefined ? [] : [pair.chosen, pair.rejected]))
      : columnText(fields, options.id);
  if (id === "") throw new RowFault(`its id (column ${options.id}) is empty`);
  return {
    id,
    input: options.chat
      ? { kind: "chat", messages: messagesOf(options.system, text) }
      : { kind: "text", text },
    answer,
    ...(target === undefined ? {} : { target }),
    ...(pair === undefined ? {} : { pair }),
    slices: Object.fromEntries(options.slices.map((column) => [column, columnText(fields, column)])),
    fields,
  };
}

/** The row with a list of candidates of its own, a function of the row and the classes. @throws RowFault */
function withChoices(
  fields: Record<string, unknown>,
  classes: readonly string[],
  options: FileOptions,
): Record<string, unknown> {
  if (options.choices === undefined) return fields;
  if (Object.hasOwn(fields, "choices")) {
    throw new RowFault("has a column choices already; rename it, or leave the choices option out");
  }
  const { column, share, seed } = options.choices;
  const key = options.id === undefined ? contentId(JSON.stringify(fields)) : columnText(fields, options.id);
  const count = choiceListSize(classes.length, share);
  const rng = createRng(seed).fork("choices", key);
  return { ...fields, choices: drawChoices(columnText(fields, column), classes, count, rng) };
}

/** Distinct values of the class column, sorted, so that lists do not depend on the rows' order. */
function classesOf(rows: readonly TableRow[], options: FileOptions): string[] {
  if (options.choices === undefined) return [];
  const { column } = options.choices;
  const names = rows.flatMap((row) => {
    const value = "fault" in row ? undefined : lookUp(row.fields, column);
    return value === undefined || value === null || typeof value === "object" ? [] : [String(value)];
  });
  return [...new Set(names)].sort();
}

function messagesOf(system: string | undefined, text: string): ChatMessage[] {
  const user: ChatMessage = { role: "user", content: text };
  return system === undefined ? [user] : [{ role: "system", content: system }, user];
}

const tail = (text: string): string => (text.length <= 60 ? text : `...${text.slice(-57)}`);

function readRows(path: string, format: TableFormat, bytes: Uint8Array): Generator<TableRow> {
  switch (format) {
    case "jsonl":
      return readJsonLines(bytes);
    case "json":
      return readJsonArray(path, bytes);
    case "csv":
      return readCsv(path, bytes);
    default: {
      const unreachable: never = format;
      throw new Error(`unknown format ${String(unreachable)}`);
    }
  }
}

/**
 * The rows of a file as they stand, those that cannot be read with their fault.
 * @param format by the extension when absent
 * @throws DataError when the file as a whole cannot be read
 */
export function readTable(path: string, format?: TableFormat): { bytes: Uint8Array; rows: TableRow[] } {
  const known = format ?? tableFormat(path);
  let bytes: Uint8Array;
  try {
    bytes = readRegularFile(path);
  } catch (error) {
    if (!(error instanceof FileReadError)) throw error;
    throw new DataError(`${path}: cannot read the dataset: ${error.message}.`, { cause: error });
  }
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) {
    throw new DataError(`${path}: the dataset is UTF-16 text. Convert the file to UTF-8.`);
  }
  return { bytes, rows: [...readRows(path, known, bytes)] };
}

/**
 * Reads a file dataset. Every row is checked, also those beyond `limit` and in the other part of a split.
 * @param baseDir where a relative path begins; the working directory when absent
 * @throws DataError when the file cannot be read, rows do not fit (the first 20, each with path:line), or
 *   no prompt is left
 */
export async function readFileDataset(
  options: FileOptions,
  { baseDir }: { baseDir: string } = { baseDir: "." },
): Promise<FileDataset> {
  const path = resolve(baseDir, options.path);
  const { bytes, rows: read } = readTable(path, options.format);
  const pattern = options.answer_pattern === undefined ? null : compileAnswerPattern(options.answer_pattern);
  const all: Prompt[] = [];
  const skipped: FileDataset["skipped"] = [];
  const lineOf = new Map<string, number>();
  const rows = read.length;
  const classes = classesOf(read, options);
  for (const row of read) {
    try {
      if ("fault" in row) throw new RowFault(row.fault);
      const prompt = toPrompt(withChoices(row.fields, classes, options), options, pattern);
      const earlier = lineOf.get(prompt.id);
      if (earlier !== undefined)
        throw new RowFault(
          options.id === undefined
            ? `has the same prompt and answer as line ${earlier}; remove one, or name an id column`
            : `has the id ${prompt.id} of line ${earlier}`,
        );
      lineOf.set(prompt.id, row.line);
      all.push(prompt);
    } catch (error) {
      if (!(error instanceof RowFault)) throw error;
      skipped.push({ line: row.line, reason: error.message });
    }
  }
  if (skipped.length > 0 && (options.on_bad_row === "error" || all.length === 0))
    throw new RowFaultsError(path, skipped, rows);
  const { split } = options;
  const part =
    split === undefined
      ? all
      : all.filter(({ id }) => isEvalPart(id, split.salt, split.eval_share) === (split.part === "eval"));
  if (part.length === 0) {
    throw new DataError(
      split === undefined
        ? `${path}: the dataset has no rows.`
        : `${path}: none of its ${all.length} rows is in the ${split.part} part (eval_share ${split.eval_share}). ` +
            "Use another share or salt, or a bigger file.",
    );
  }
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const prompts = part.slice(0, options.limit);
  return { prompts, lines: prompts.map(({ id }) => lineOf.get(id)!), skipped, sha256 };
}

function faultList(path: string, faults: FileDataset["skipped"], rows: number): string {
  const lines = faults.slice(0, maxFaults).map(({ line, reason }) => `${path}:${line}: ${reason}.`);
  if (faults.length > maxFaults) lines.push(`... and ${faults.length - maxFaults} more of ${rows} rows.`);
  lines.push(
    faults.length === rows
      ? "No row fits; check prompt, answer and id against the columns."
      : "Mend the rows, or set on_bad_row: skip to leave them out.",
  );
  return lines.join("\n");
}
