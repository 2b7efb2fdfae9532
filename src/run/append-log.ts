/** Append-only files of rows, CSV or JSON lines, that can be cut back to a known number of rows. */
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from "node:fs";
import { parse } from "csv-parse/sync";
import { stringify } from "csv-stringify/sync";
import { describeSystemError, RlptError } from "../lib/errors.ts";
import { csvCell, fromCsvCell } from "../lib/printable.ts";
import { writeWhole } from "./write-whole.ts";

/** A value of a CSV cell; null, undefined and "" are blank. */
export type Cell = string | number | boolean | null | undefined;

export interface AppendLog {
  readonly path: string;
  /** Complete rows in the file, the header not counted. */
  readonly rows: number;
  /** Hexadecimal SHA-256 of the file as it was written, header included. */
  digest(): string;
  /** Writes whole rows in one call to the system; after an error the file ends where it did before. */
  append(text: string, rows: number): void;
  /** Waits until the rows are on disk. */
  sync(): void;
  close(): void;
}

const newline = 0x0a;
const quote = 0x22;

/**
 * Byte offset after `limit` rows, or after the last complete row when there are fewer.
 * @param limit rows, the header included
 */
export function offsetAfter(
  handle: number,
  limit: number,
  quoted: boolean,
): { offset: number; rows: number } {
  const chunk = Buffer.allocUnsafe(1 << 16);
  let position = 0;
  let offset = 0;
  let rows = 0;
  let inQuotes = false;
  while (rows < limit) {
    const length = readSync(handle, chunk, 0, chunk.length, position);
    if (length === 0) break;
    for (let i = 0; i < length && rows < limit; i++) {
      // a doubled quote inside a cell flips twice
      if (quoted && chunk[i] === quote) inQuotes = !inQuotes;
      else if (chunk[i] === newline && !inQuotes) {
        rows++;
        offset = position + i + 1;
      }
    }
    position += length;
  }
  return { offset, rows };
}

/** Hash of the first `size` bytes of a file. */
export function hashOfStart(handle: number, size: number): ReturnType<typeof createHash> {
  const hash = createHash("sha256");
  const chunk = Buffer.allocUnsafe(1 << 16);
  for (let position = 0; position < size; ) {
    const length = readSync(handle, chunk, 0, Math.min(chunk.length, size - position), position);
    if (length === 0) break;
    hash.update(chunk.subarray(0, length));
    position += length;
  }
  return hash;
}

interface OpenOptions {
  /** CSV: line breaks inside quotes belong to a cell. */
  quoted: boolean;
  /** Rows to keep, the header not counted; the rest is cut. All complete rows when absent. */
  keepRows?: number | undefined;
  /** First line of the file with its line break; "" for JSON lines. */
  header: string;
}

function fail(path: string, what: string, error: unknown, advice = ""): never {
  throw new RlptError(`${path}: ${what}: ${describeSystemError(error)}.${advice}`, { cause: error });
}

/**
 * Opens a log and cuts what does not belong: rows beyond `keepRows` and a torn last row. Cutting is one
 * truncation, so a kill leaves the old file or the new one.
 */
export function openAppendLog(path: string, options: OpenOptions): AppendLog {
  const headerRows = options.header === "" ? 0 : 1;
  let handle: number;
  let size: number;
  let rows: number;
  let hash: ReturnType<typeof createHash>;
  try {
    // a header that is not there yet is written first and whole
    if (headerRows === 1 && !existsSync(path)) writeWhole(path, options.header);
    handle = openSync(path, "a+");
    const limit = options.keepRows === undefined ? Number.POSITIVE_INFINITY : options.keepRows + headerRows;
    const found = offsetAfter(handle, limit, options.quoted);
    size = found.offset;
    rows = Math.max(0, found.rows - headerRows);
    if (size < fstatSync(handle).size) {
      ftruncateSync(handle, size);
      fsyncSync(handle);
    }
    hash = hashOfStart(handle, size);
  } catch (error) {
    fail(path, "cannot open for writing", error);
  }
  return {
    path,
    get rows() {
      return rows;
    },
    digest: () => hash.copy().digest("hex"),
    append(text, count) {
      const bytes = Buffer.from(text, "utf8");
      try {
        let written = 0;
        while (written < bytes.length) written += writeSync(handle, bytes, written);
      } catch (error) {
        try {
          ftruncateSync(handle, size);
        } catch {
          // a torn row is cut when the run is resumed
        }
        fail(
          path,
          `cannot write row ${rows + 1}`,
          error,
          " The run can be resumed from its last checkpoint.",
        );
      }
      size += bytes.length;
      rows += count;
      hash.update(bytes);
    },
    sync() {
      try {
        fsyncSync(handle);
      } catch (error) {
        fail(path, "cannot bring it to disk", error);
      }
    },
    close: () => closeSync(handle),
  };
}

/** One CSV line with its line break; numbers in full precision, NaN and Infinity spelled out. */
export function csvLine(cells: readonly Cell[]): string {
  return stringify([cells.map((cell) => (typeof cell === "boolean" ? Number(cell) : cell))], {
    // ids and slices are text of the data, and a table program would run what looks like a formula
    cast: { string: csvCell, number: (value) => (Object.is(value, -0) ? "0" : String(value)) },
  });
}

/** Cells of the complete rows of a CSV file, the header first. @param limit rows at most, header included */
export function readCells(path: string, limit = Number.POSITIVE_INFINITY): string[][] {
  const handle = openSync(path, "r");
  try {
    const { offset } = offsetAfter(handle, limit, true);
    const bytes = Buffer.alloc(offset);
    readSync(handle, bytes, 0, offset, 0);
    return parse(bytes, {
      relax_column_count: true,
      skip_empty_lines: true,
      cast: fromCsvCell,
    }) as string[][];
  } finally {
    closeSync(handle);
  }
}

/** Reads a CSV file of ours as objects of strings; a torn last row is left out. */
export function readCsvTable(path: string): { columns: string[]; rows: Record<string, string>[] } {
  const [columns = [], ...rows] = readCells(path);
  return {
    columns,
    rows: rows.map((cells) => Object.fromEntries(columns.map((column, i) => [column, cells[i] ?? ""]))),
  };
}

/** A CSV log whose cells are given by column name. */
export interface CsvLog extends Omit<AppendLog, "append"> {
  readonly columns: readonly string[];
  append(...rows: readonly Readonly<Record<string, Cell>>[]): void;
  /** Adds columns after the present ones; earlier rows are blank there. */
  addColumns(columns: readonly string[]): void;
}

/**
 * @param columns of a new file, and what an existing one must hold at least (missing ones are added)
 * @throws RlptError when a row has a column that the file does not
 */
export function openCsvLog(path: string, columns: readonly string[], keepRows?: number): CsvLog {
  let present: string[] = existsSync(path) ? (readCells(path, 1)[0] ?? []) : [];
  if (present.length === 0) {
    present = [...columns];
    writeWhole(path, csvLine(present));
  }
  const open = (keep?: number) =>
    openAppendLog(path, { quoted: true, header: csvLine(present), keepRows: keep });
  let log = open(keepRows);
  const addColumns = (more: readonly string[]): void => {
    const added = more.filter((column) => !present.includes(column));
    if (added.length === 0) return;
    log.close();
    const { rows } = readCsvTable(path);
    present = [...present, ...added];
    const lines = [present, ...rows.map((row) => present.map((column) => row[column]))];
    writeWhole(path, lines.map(csvLine).join(""));
    log = open();
  };
  addColumns(columns);
  return {
    path,
    get columns() {
      return present;
    },
    get rows() {
      return log.rows;
    },
    digest: () => log.digest(),
    addColumns,
    append(...rows) {
      const lines = rows.map((row) => {
        const unknown = Object.keys(row).find((column) => !present.includes(column));
        if (unknown !== undefined) throw new RlptError(`${path}: there is no column ${unknown}.`);
        return csvLine(present.map((column) => row[column]));
      });
      if (lines.length > 0) log.append(lines.join(""), lines.length);
    },
    sync: () => log.sync(),
    close: () => log.close(),
  };
}
