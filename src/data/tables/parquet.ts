/** Rows of Parquet files as JSON holds them: one row group after the other. */
import { closeSync, openSync, readSync } from "node:fs";
import type { FileMetaData } from "hyparquet";
import { DataError, describeSystemError } from "../../lib/errors.ts";

/** Uncompressed bytes of rows that are decoded at once; a larger row group is read in parts. */
const AT_ONCE = 64 << 20;

export interface ParquetRows {
  size: number;
  /** Uncompressed, all row groups together. */
  bytes: number;
  /** In the file's order. @throws DataError where a part is damaged */
  rows(): AsyncGenerator<Record<string, unknown>>;
}

/**
 * Reads the file's footer.
 * @throws DataError when it is damaged, or needs what is not supported (encryption)
 */
export async function openParquet(path: string, bytes: number): Promise<ParquetRows> {
  const { parquetMetadataAsync, parquetReadObjects } = await import("hyparquet");
  const { compressors } = await import("hyparquet-compressors");
  const file = { byteLength: bytes, slice: (start: number, end = bytes) => slice(path, start, end) };
  let metadata: FileMetaData;
  try {
    metadata = await parquetMetadataAsync(file);
  } catch (error) {
    throw damaged(path, "its footer", error);
  }
  const groups = metadata.row_groups.map(({ num_rows, total_byte_size }) => ({
    rows: Number(num_rows),
    bytes: Number(total_byte_size),
  }));
  return {
    size: groups.reduce((sum, { rows }) => sum + rows, 0),
    bytes: groups.reduce((sum, group) => sum + group.bytes, 0),
    async *rows() {
      let first = 0;
      for (const group of groups) {
        const parts = Math.max(1, Math.min(group.rows, Math.ceil(group.bytes / AT_ONCE)));
        for (let part = 0; part < parts; part++) {
          const rowStart = first + Math.floor((part * group.rows) / parts);
          const rowEnd = first + Math.floor(((part + 1) * group.rows) / parts);
          if (rowEnd === rowStart) continue;
          let rows: Record<string, unknown>[];
          try {
            rows = await parquetReadObjects({
              file,
              metadata,
              compressors,
              rowStart,
              rowEnd,
              utf8: false,
              parsers: PARSERS,
            });
          } catch (error) {
            throw damaged(path, `rows ${rowStart + 1} to ${rowEnd}`, error);
          }
          for (const row of rows) yield jsonValue(row) as Record<string, unknown>;
        }
        first += group.rows;
      }
    },
  };
}

function slice(path: string, start: number, end: number): ArrayBuffer {
  const bytes = new ArrayBuffer(end - start);
  const handle = openSync(path, "r");
  try {
    for (let done = 0; done < bytes.byteLength; ) {
      const count = readSync(handle, new Uint8Array(bytes), done, bytes.byteLength - done, start + done);
      if (count === 0) throw new Error(`the file ends at byte ${start + done}`);
      done += count;
    }
  } finally {
    closeSync(handle);
  }
  return bytes;
}

function damaged(path: string, what: string, error: unknown): DataError {
  const reason = describeSystemError(error).replace(/\.$/, "");
  return new DataError(
    `${path}: this is no Parquet file that can be read: ${what}: ${reason}. Fetch it again.`,
    {
      cause: error,
    },
  );
}

/** Times as ISO 8601 texts, with as many digits as are not 0. */
const PARSERS = {
  timestampFromMilliseconds: (millis: bigint) => timeText(millis * 1_000_000n),
  timestampFromMicroseconds: (micros: bigint) => timeText(micros * 1000n),
  timestampFromNanoseconds: timeText,
  dateFromDays: (days: number) => new Date(days * 86_400_000).toISOString().slice(0, 10),
};

function timeText(nanos: bigint): string {
  const second = 1_000_000_000n;
  const part = ((nanos % second) + second) % second;
  const text = new Date(Number((nanos - part) / 1_000_000n)).toISOString().slice(0, 19);
  const digits = part.toString().padStart(9, "0").replace(/0+$/, "");
  return digits === "" ? text : `${text}.${digits}`;
}

const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * A value as JSON can hold it: whole numbers beyond 2^53 as text, what is no finite number as null, bytes as text where they are
 * UTF-8 (older writers mark no text) and as {base64} elsewhere.
 */
function jsonValue(value: unknown): unknown {
  switch (typeof value) {
    case "bigint":
      return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
    case "number":
      return Number.isFinite(value) ? value : null;
    case "undefined":
      return null;
    case "object":
      break;
    default:
      return value;
  }
  if (value === null) return null;
  if (value instanceof Uint8Array) {
    try {
      return decoder.decode(value);
    } catch {
      return { base64: Buffer.from(value).toString("base64") };
    }
  }
  if (value instanceof Date) return value.toISOString();
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>, jsonValue);
  if (Array.isArray(value)) return value.map(jsonValue);
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, jsonValue(child)]));
}
