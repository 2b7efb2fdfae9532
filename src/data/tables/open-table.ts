/** From a file to its rows, whatever its form; memory stays bounded however large it is. */
import { createHash } from "node:crypto";
import { closeSync, createReadStream, openSync, readSync, statSync } from "node:fs";
import { DataError } from "../../lib/errors.ts";
import { FileReadError, irregularity, readRegularFile } from "../../lib/regular-file.ts";
import { formatOf } from "../file-options.ts";
import { readCsv, readJsonArray, readJsonLines, type TableFormat, type TableRow } from "../table-file.ts";
import { type Compression, compressionOf, decompress } from "./compressed.ts";
import { openLines } from "./line-index.ts";
import { openParquet } from "./parquet.ts";
import { storedRows } from "./row-store.ts";
import type { Budget, Table } from "./table.ts";

/** JSON arrays and CSV are read as a whole; V8's longest text has 512 MB. */
const LARGEST_WHOLE = 256 << 20;

/** By extension, that of a compression left out. @throws DataError when that does not tell */
export function tableFormat(path: string): TableFormat {
  const format = formatOf(path);
  if (format !== null) return format;
  throw new DataError(
    `${path}: the extension does not tell the format. Set format: jsonl, json, csv or parquet.`,
  );
}

/**
 * @param format absent: by the extension
 * @param budget is lessened by what is held in memory
 * @throws DataError when the file cannot be read, or is not of its format
 */
export async function openTable(path: string, format: TableFormat, budget: Budget): Promise<Table> {
  const reason = irregularity(path);
  if (reason !== null) throw new DataError(`${path}: cannot read the dataset: ${reason}.`);
  const bytes = statSync(path).size;
  const head = firstBytes(path);
  if (format === "parquet") return openParquetTable(path, bytes, budget);
  const compression = compressionOf(head);
  if (compression !== null) return openCompressed(path, bytes, compression, format, budget);
  if ((head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff))
    throw new DataError(`${path}: the dataset is UTF-16 text. Convert the file to UTF-8.`);
  if (format === "jsonl" && bytes > budget.bytes) return openLines(path);
  checkWhole(path, bytes, format);
  return heldText(path, bytes, format, read(path), budget);
}

function firstBytes(path: string): Uint8Array {
  const head = Buffer.alloc(4);
  let handle: number | null = null;
  try {
    handle = openSync(path, "r");
    return head.subarray(0, readSync(handle, head, 0, 4, 0));
  } catch (error) {
    throw new DataError(`${path}: cannot read the dataset: ${(error as Error).message}.`, { cause: error });
  } finally {
    if (handle !== null) closeSync(handle);
  }
}

function read(path: string): Uint8Array {
  try {
    return readRegularFile(path);
  } catch (error) {
    if (!(error instanceof FileReadError)) throw error;
    throw new DataError(`${path}: cannot read the dataset: ${error.message}.`, { cause: error });
  }
}

function checkWhole(path: string, bytes: number, format: TableFormat): void {
  if (format === "jsonl" || bytes <= LARGEST_WHOLE) return;
  throw new DataError(
    `${path}: has ${bytes.toLocaleString("en")} bytes, and ${format === "csv" ? "CSV" : "a JSON array"} is read as a whole, up to ${LARGEST_WHOLE.toLocaleString("en")}. ` +
      "Convert it to JSONL or Parquet, which are read row by row.",
  );
}

async function openParquetTable(path: string, bytes: number, budget: Budget): Promise<Table> {
  const { rows, bytes: decoded } = await openParquet(path, bytes);
  const sha256 = await hashOf(path);
  if (decoded <= budget.bytes) {
    const held: TableRow[] = [];
    for await (const fields of rows()) held.push({ line: held.length + 1, fields });
    budget.bytes -= decoded;
    return holding({ path, bytes, sha256 }, held);
  }
  const lines = await storedRows(sha256, async function* () {
    for await (const fields of rows()) yield `${JSON.stringify(fields)}\n`;
  });
  return openLines(lines, { path, bytes, sha256 });
}

async function openCompressed(
  path: string,
  bytes: number,
  compression: Compression,
  format: TableFormat,
  budget: Budget,
): Promise<Table> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of decompress(path, compression)) {
    size += piece.length;
    if (format === "jsonl" && size > budget.bytes) {
      const sha256 = await hashOf(path);
      const lines = await storedRows(sha256, () => decompress(path, compression));
      return openLines(lines, { path, bytes, sha256 });
    }
    checkWhole(path, size, format);
    pieces.push(piece);
  }
  const table = heldText(path, size, format, Buffer.concat(pieces), budget);
  return { ...table, bytes, sha256: await hashOf(path) };
}

function heldText(path: string, bytes: number, format: TableFormat, text: Uint8Array, budget: Budget): Table {
  const rows = [
    ...(format === "jsonl"
      ? readJsonLines(text)
      : format === "json"
        ? readJsonArray(path, text)
        : readCsv(path, text)),
  ];
  budget.bytes = Math.max(0, budget.bytes - text.length);
  return holding({ path, bytes, sha256: createHash("sha256").update(text).digest("hex") }, rows);
}

function holding(file: Pick<Table, "path" | "bytes" | "sha256">, rows: readonly TableRow[]): Table {
  return { ...file, size: rows.length, row: (index) => rows[index]!, held: true };
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
