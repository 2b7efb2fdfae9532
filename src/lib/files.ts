import { randomBytes } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";

/** Flushes a directory entry, so that a rename survives a power cut. A no-op where the OS has none. */
export function syncDirectory(path: string): void {
  try {
    const handle = openSync(path, "r");
    try {
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
  } catch {
    // directories cannot be opened on Windows; the rename is still atomic
  }
}

/** Writes chunks to `path` and syncs them to disk; not atomic by itself. */
export function writeFileSynced(path: string, chunks: Iterable<Uint8Array>): void {
  const handle = openSync(path, "w");
  try {
    for (const chunk of chunks) {
      let offset = 0;
      while (offset < chunk.length) offset += writeSync(handle, chunk, offset);
    }
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** Writes aside, syncs, renames: readers see the old file or the new one, never a part. */
export function writeFileAtomic(path: string, data: string | Uint8Array): void {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  mkdirSync(dirname(path), { recursive: true });
  const aside = join(
    dirname(path),
    `.${basename(path)}.${process.pid}.${randomBytes(4).toString("hex")}.tmp`,
  );
  try {
    writeFileSynced(aside, [bytes]);
    renameSync(aside, path);
  } catch (error) {
    rmSync(aside, { force: true });
    throw error;
  }
  syncDirectory(dirname(path));
}

/** Removes what a process that is gone had begun to write aside in a folder. */
export function removeUnfinished(folder: string, pid: number): void {
  const begun = new RegExp(`^\\..+\\.${pid}\\.[0-9a-f]{8}\\.tmp$`);
  for (const name of readdirSync(folder)) if (begun.test(name)) rmSync(join(folder, name), { force: true });
}
