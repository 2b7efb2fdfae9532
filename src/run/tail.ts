/** New rows of a file that another thread or process writes: appended, cut back by a resume, or replaced by a wider one. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { parse } from "csv-parse/sync";
import { fromCsvCell } from "../lib/printable.ts";

const NEWLINE = 0x0a;
const QUOTE = 0x22;

export type TailRow = Readonly<Record<string, string>>;

export interface Tail<Row> {
  /**
   * Rows that were not there at the last call. `restarted`: what was read before is no longer the file's
   * beginning, and the rows are those from its beginning on.
   * @param most bytes that are read, but for a row that is longer; all when absent
   */
  read(most?: number): { rows: Row[]; restarted: boolean };
}

/**
 * Whole rows of a file, as one text; a torn last one waits for its end.
 * @param quoted CSV: line breaks inside quotes belong to a cell
 */
function tailText(
  path: string,
  quoted: boolean,
): {
  read(most: number): { text: Buffer; atStart: boolean; restarted: boolean };
} {
  const nothing = Buffer.alloc(0);
  let inode = -1;
  let offset = 0;
  return {
    read(most) {
      let handle: number;
      try {
        handle = openSync(path, "r");
      } catch {
        // not written yet
        return { text: nothing, atStart: false, restarted: false };
      }
      try {
        const { ino, size } = fstatSync(handle);
        const restarted = inode !== -1 && (ino !== inode || size < offset);
        if (ino !== inode || size < offset) offset = 0;
        inode = ino;
        const atStart = offset === 0;
        for (let wanted = most; ; wanted *= 2) {
          const bytes = Buffer.alloc(Math.min(size - offset, wanted));
          const length = readSync(handle, bytes, 0, bytes.length, offset);
          const end = endOfRows(bytes.subarray(0, length), quoted);
          if (end === 0 && length === wanted) continue;
          offset += end;
          return { text: bytes.subarray(0, end), atStart, restarted };
        }
      } finally {
        closeSync(handle);
      }
    },
  };
}

function endOfRows(bytes: Buffer, quoted: boolean): number {
  if (!quoted || !bytes.includes(QUOTE)) return bytes.lastIndexOf(NEWLINE) + 1;
  let end = 0;
  let inQuotes = false;
  for (const [at, byte] of bytes.entries()) {
    if (byte === QUOTE) inQuotes = !inQuotes;
    else if (byte === NEWLINE && !inQuotes) end = at + 1;
  }
  return end;
}

export function tailCsv(path: string): Tail<TailRow> {
  const tail = tailText(path, true);
  let columns: string[] = [];
  return {
    read(most = Number.POSITIVE_INFINITY) {
      const { text, atStart, restarted } = tail.read(most);
      if (text.length === 0) return { rows: [], restarted };
      const records = parse(text, {
        relax_column_count: true,
        skip_empty_lines: true,
        cast: fromCsvCell,
      }) as string[][];
      if (atStart) columns = records.shift() ?? [];
      return { rows: records.map((cells) => toRow(columns, cells)), restarted };
    },
  };
}

/** Lines of JSON; one that is none is left out. */
export function tailJsonLines<Row>(path: string): Tail<Row> {
  const tail = tailText(path, false);
  return {
    read(most = Number.POSITIVE_INFINITY) {
      const { text, restarted } = tail.read(most);
      const rows = text
        .toString("utf8")
        .split("\n")
        .flatMap((line) => {
          try {
            return line === "" ? [] : [JSON.parse(line) as Row];
          } catch {
            return [];
          }
        });
      return { rows, restarted };
    },
  };
}

function toRow(columns: readonly string[], cells: readonly string[]): TailRow {
  return Object.fromEntries(columns.map((column, i) => [column, cells[i] ?? ""]));
}
