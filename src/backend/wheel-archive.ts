/** A wheel's files: listed, checked against its RECORD and unpacked in pieces, however large they are. */
import { createHash } from "node:crypto";
import { closeSync, createReadStream, fsyncSync, mkdirSync, openSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { type Entry, getFileNameLowLevel, openPromise, validateFileName, type ZipFile } from "yauzl";
import { BackendError, describeSystemError } from "../lib/errors.ts";

export interface WheelEntry {
  /** Path inside the archive, with forward slashes. */
  readonly name: string;
  /** Bytes when unpacked. */
  readonly size: number;
  /** Its bytes in pieces; a fault of the archive stops them. */
  open(): Promise<Readable>;
}

export interface Wheel {
  readonly path: string;
  /** "jax_cuda13_pjrt" and "0.12.0.1", from the file's name. */
  readonly distribution: string;
  readonly version: string;
  /** Of the file, hexadecimal. */
  readonly sha256: string;
  readonly entries: readonly WheelEntry[];
  /** SHA-256 by path in base64url, from the wheel's RECORD file (PyPA binary distribution format). */
  readonly record: ReadonlyMap<string, string>;
}

/** Bytes of a RECORD; those of the largest wheels in use have a tenth. */
const LARGEST_RECORD = 16e6;

/**
 * `use` with an open wheel, which is closed afterwards.
 * @param manual what to do by hand when it is of no use; a sentence without a full stop
 * @throws BackendError when it cannot be read, or is damaged
 */
export async function withWheel<T>(
  path: string,
  manual: string,
  use: (wheel: Wheel) => Promise<T>,
): Promise<T> {
  const sha256 = await hashOf(path, manual);
  const archive = await openPromise(path, { autoClose: false, decodeStrings: false }).catch((cause) => {
    throw damaged(path, cause, manual);
  });
  try {
    const entries = await listEntries(archive, path, manual);
    const [, distribution = "unknown", version = "unknown"] = /^([^-]+)-([^-]+)-/.exec(basename(path)) ?? [];
    const record = await readRecord(entries, path, manual);
    return await use({ path, distribution, version, sha256, entries, record });
  } finally {
    archive.close();
  }
}

function damaged(path: string, cause: unknown, manual?: string): BackendError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const fix = manual === undefined ? "" : `; ${manual}`;
  return new BackendError(
    `${path}: the archive is damaged, or is none (${reason}). Fix: download it again${fix}.`,
    { cause },
  );
}

async function hashOf(path: string, manual: string): Promise<string> {
  const hash = createHash("sha256");
  try {
    for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(piece);
  } catch (cause) {
    throw new BackendError(`${path}: cannot be read: ${describeSystemError(cause)}. Fix: ${manual}.`, {
      cause,
    });
  }
  return hash.digest("hex");
}

async function listEntries(archive: ZipFile, path: string, manual: string): Promise<WheelEntry[]> {
  const entries: WheelEntry[] = [];
  try {
    for await (const entry of archive.eachEntry()) {
      const name = nameOf(entry);
      if (validateFileName(name) !== null) {
        throw new BackendError(`${path}: ${name} points outside the archive. Fix: ${manual}.`);
      }
      // a folder
      if (name.endsWith("/")) continue;
      const open = () => archive.openReadStreamPromise(entry);
      entries.push({ name, size: entry.uncompressedSize, open });
    }
  } catch (cause) {
    throw cause instanceof BackendError ? cause : damaged(path, cause, manual);
  }
  return entries;
}

function nameOf({ generalPurposeBitFlag, fileNameRaw, extraFields }: Entry): string {
  return getFileNameLowLevel(generalPurposeBitFlag, fileNameRaw, extraFields, false);
}

async function readRecord(
  entries: readonly WheelEntry[],
  path: string,
  manual: string,
): Promise<Map<string, string>> {
  const entry = entries.find(({ name }) => /^[^/]+\.dist-info\/RECORD$/.test(name));
  const hashes = new Map<string, string>();
  if (entry === undefined) return hashes;
  let text = "";
  try {
    if (entry.size > LARGEST_RECORD) throw new RangeError(`${entry.name} has ${entry.size} bytes`);
    const pieces: Buffer[] = [];
    for await (const piece of await entry.open()) pieces.push(piece as Buffer);
    text = Buffer.concat(pieces).toString("utf8");
  } catch (cause) {
    throw damaged(path, cause, manual);
  }
  for (const line of text.split("\n")) {
    const [file, hash] = line.split(",");
    if (file && hash?.startsWith("sha256=")) hashes.set(file, hash.slice(7).trim());
  }
  return hashes;
}

/**
 * Unpacks one file below a folder.
 * @param progress bytes of the file that are done
 * @returns where it lies
 * @throws BackendError when the file is damaged or is not the one in RECORD
 */
export async function unpackEntry(
  wheel: Wheel,
  entry: WheelEntry,
  folder: string,
  progress: (done: number) => void = () => {},
): Promise<string> {
  const path = join(folder, entry.name);
  mkdirSync(dirname(path), { recursive: true });
  const hash = createHash("sha256");
  const handle = openSync(path, "w", 0o755);
  try {
    let done = 0;
    for await (const piece of piecesOf(wheel, entry)) {
      hash.update(piece);
      for (let at = 0; at < piece.length; ) at += writeSync(handle, piece, at);
      done += piece.length;
      progress(done);
    }
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  if (wheel.record.get(entry.name) !== hash.digest("base64url")) {
    const reason = `${entry.name} does not have the SHA-256 that the wheel's RECORD gives`;
    throw damaged(wheel.path, new RangeError(reason));
  }
  return path;
}

/** Faults of the archive as errors that say so; those of the disk that is written to are not among them. */
async function* piecesOf(wheel: Wheel, entry: WheelEntry): AsyncGenerator<Buffer> {
  try {
    for await (const piece of await entry.open()) yield piece as Buffer;
  } catch (cause) {
    throw damaged(wheel.path, new RangeError(`${entry.name}: ${(cause as Error).message}`, { cause }));
  }
}
