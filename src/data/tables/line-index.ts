/** A JSONL file that is too large to be held: it is read once from end to end, and then a row when it is asked for. */
import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { DataError, describeSystemError } from "../../lib/errors.ts";
import { jsonLine, LONGEST_LINE, type TableRow } from "../table-file.ts";
import type { Table } from "./table.ts";

const BLOCK = 1 << 20;
/** What a blank line is made of. */
const SPACES = new Set([0x20, 0x09, 0x0d]);
const BOM = Buffer.from([0xef, 0xbb, 0xbf]);

/** Numbers that are appended one by one; 8 bytes each. */
class Offsets {
  #values = new Float64Array(1024);
  length = 0;

  push(value: number): void {
    if (this.length === this.#values.length) {
      const larger = new Float64Array(2 * this.length);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.length++] = value;
  }

  at(index: number): number {
    return this.#values[index]!;
  }
}

interface Lines {
  /** First byte of each row, and the end of the file. */
  starts: Offsets;
  /** Numbers of blank lines, growing. */
  blank: Offsets;
  sha256: string;
}

/** @throws DataError when the file cannot be read */
function scan(path: string): Lines {
  const starts = new Offsets();
  const blank = new Offsets();
  const hash = createHash("sha256");
  const buffer = Buffer.alloc(4 * BLOCK);
  let line = 0;
  let start = 0;
  let isBlank = true;
  const endLine = (next: number): void => {
    line++;
    if (isBlank) blank.push(line);
    else starts.push(start);
    start = next;
    isBlank = true;
  };
  let offset = 0;
  withFile(path, (handle) => {
    for (;;) {
      const count = readSync(handle, buffer, 0, buffer.length, offset);
      if (count === 0) break;
      const bytes = buffer.subarray(0, count);
      hash.update(bytes);
      // a byte order mark does not make the first line a row
      let from = offset === 0 && bytes.subarray(0, 3).equals(BOM) ? 3 : 0;
      while (from < count) {
        const found = bytes.indexOf(0x0a, from);
        const to = found < 0 ? count : found;
        for (let at = from; isBlank && at < to; at++) isBlank = SPACES.has(bytes[at]!);
        if (found >= 0) endLine(offset + found + 1);
        from = to + 1;
      }
      offset += count;
    }
  });
  if (start < offset) endLine(offset);
  starts.push(offset);
  return { starts, blank, sha256: hash.digest("hex") };
}

function withFile<T>(path: string, work: (handle: number) => T): T {
  let handle: number | null = null;
  try {
    handle = openSync(path, "r");
    return work(handle);
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`${path}: cannot be read: ${describeSystemError(error)}.`, { cause: error });
  } finally {
    if (handle !== null) closeSync(handle);
  }
}

/** Lines of a file by their bytes. What follows a row that was read is likely asked for next, so it is read with it. */
class LineReader {
  readonly #path: string;
  readonly #stamp: string;
  #block = Buffer.alloc(0);
  #from = 0;
  #expected = -1;

  constructor(path: string) {
    this.#path = path;
    this.#stamp = withFile(path, stampOf);
  }

  /** @throws DataError when the file is another one by now */
  read(start: number, end: number): Uint8Array {
    if (start < this.#from || end > this.#from + this.#block.length) {
      const ahead = start === this.#expected ? Math.max(BLOCK, end - start) : end - start;
      withFile(this.#path, (handle) => {
        if (stampOf(handle) !== this.#stamp)
          throw new DataError(`${this.#path}: the file was changed while it was in use. Start again.`);
        const block = Buffer.allocUnsafe(ahead);
        this.#block = block.subarray(0, readSync(handle, block, 0, ahead, start));
      });
      this.#from = start;
      if (this.#block.length < end - start)
        throw new DataError(`${this.#path}: the file became shorter while it was in use. Start again.`);
    }
    this.#expected = end;
    return this.#block.subarray(start - this.#from, end - this.#from);
  }
}

function stampOf(handle: number): string {
  const { size, mtimeMs, ino } = fstatSync(handle);
  return `${size} ${mtimeMs} ${ino}`;
}

/**
 * Rows of a JSONL file, 8 bytes of memory for each.
 * @param source the file that messages name and whose hash counts, where this one was made from it
 * @throws DataError when it cannot be read
 */
export function openLines(path: string, source?: Pick<Table, "path" | "bytes" | "sha256">): Table {
  const { starts, blank, sha256 } = scan(path);
  const size = starts.length - 1;
  const bytes = starts.at(size);
  const reader = new LineReader(path);
  /** Line of a row: as many more as blank lines come before it. */
  const lineOf = (index: number): number => {
    let [low, high] = [0, blank.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      // the blank line number `middle` has `middle` blank lines before it
      if (blank.at(middle) - middle - 1 <= index) low = middle + 1;
      else high = middle;
    }
    return index + 1 + low;
  };
  const row = (index: number): TableRow => {
    const line = lineOf(index);
    const [start, end] = [starts.at(index), starts.at(index + 1)];
    if (end - start > LONGEST_LINE) {
      return {
        line,
        fault: `has ${(end - start).toLocaleString("en")} bytes; at most ${LONGEST_LINE.toLocaleString("en")} are read`,
      };
    }
    // blank lines may follow
    const bytes = reader.read(start, end);
    const found = bytes.indexOf(0x0a);
    return jsonLine(found < 0 ? bytes : bytes.subarray(0, found), line)!;
  };
  return { path, bytes, sha256, ...source, size, row, held: false };
}
