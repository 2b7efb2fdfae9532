/** New rows of a CSV file that another process writes: appended, cut back by a resume, or replaced by a wider one. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { parse } from "csv-parse/sync";
import { fromCsvCell } from "../../lib/printable.ts";

export type TailRow = Readonly<Record<string, string>>;

export interface Tail {
  /**
   * Rows that were not there at the last call. `restarted`: what was read before is no longer the file's
   * beginning, and the rows are all that it holds.
   */
  read(): { rows: TailRow[]; restarted: boolean };
}

export function tailCsv(path: string): Tail {
  let inode = -1;
  let offset = 0;
  let columns: string[] = [];
  return {
    read() {
      let handle: number;
      try {
        handle = openSync(path, "r");
      } catch {
        // not written yet
        return { rows: [], restarted: false };
      }
      try {
        const { ino, size } = fstatSync(handle);
        const restarted = inode !== -1 && (ino !== inode || size < offset);
        if (ino !== inode || size < offset) offset = 0;
        inode = ino;
        if (size === offset) return { rows: [], restarted };
        const bytes = Buffer.alloc(size - offset);
        const length = readSync(handle, bytes, 0, bytes.length, offset);
        // a torn last row waits for its end
        const end = bytes.subarray(0, length).lastIndexOf(0x0a) + 1;
        if (offset === 0 && end === 0) return { rows: [], restarted };
        const records = parse(bytes.subarray(0, end), {
          relax_column_count: true,
          skip_empty_lines: true,
          cast: fromCsvCell,
        }) as string[][];
        if (offset === 0) columns = records.shift() ?? [];
        offset += end;
        return { rows: records.map((cells) => toRow(columns, cells)), restarted };
      } finally {
        closeSync(handle);
      }
    },
  };
}

function toRow(columns: readonly string[], cells: readonly string[]): TailRow {
  return Object.fromEntries(columns.map((column, i) => [column, cells[i] ?? ""]));
}
