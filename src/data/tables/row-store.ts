/**
 * Rows of files that cannot be read from the middle (compressed ones, Parquet), written once as lines: $RLPT_CACHE/rows, named by the hash
 * of the file that they come from. The folder can be deleted at any time.
 */
import { closeSync, existsSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { cacheDir } from "../../lib/cache.ts";
import { DataError, describeSystemError } from "../../lib/errors.ts";

/** Changes when the same file would be written otherwise. */
const VERSION = 1;
const BLOCK = 1 << 20;

/**
 * The file of lines for a source, made where it is not there yet.
 * @param sha256 of the source
 * @param lines its content, in pieces of any length
 * @throws DataError when it cannot be written
 */
export async function storedRows(
  sha256: string,
  lines: () => AsyncIterable<Uint8Array | string>,
): Promise<string> {
  const folder = join(cacheDir(), "rows");
  const path = join(folder, `${sha256}-${VERSION}.jsonl`);
  if (existsSync(path)) return path;
  // another process may write the same rows: the last one wins, with the same bytes
  const unfinished = `${path}.${process.pid}.incomplete`;
  let handle: number | null = null;
  try {
    mkdirSync(folder, { recursive: true });
    handle = openSync(unfinished, "w");
    let pending: Buffer[] = [];
    let size = 0;
    const flush = (): void => {
      const block = Buffer.concat(pending);
      for (let done = 0; done < block.length; ) done += writeSync(handle!, block, done);
      pending = [];
      size = 0;
    };
    for await (const piece of lines()) {
      const bytes = typeof piece === "string" ? Buffer.from(piece) : Buffer.from(piece);
      pending.push(bytes);
      size += bytes.length;
      if (size >= BLOCK) flush();
    }
    flush();
    closeSync(handle);
    handle = null;
    renameSync(unfinished, path);
    return path;
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(
      `${folder}: the rows of a dataset cannot be written there: ${describeSystemError(error)}. Name another folder with RLPT_CACHE.`,
      { cause: error },
    );
  } finally {
    if (handle !== null) closeSync(handle);
    rmSync(unfinished, { force: true });
  }
}
