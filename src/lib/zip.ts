/** Reads zip archives (PKWARE APPNOTE 6.3, without zip64 and encryption): what a Python wheel is. */
import { Readable } from "node:stream";
import { createInflateRaw, inflateRawSync } from "node:zlib";

export interface ZipEntry {
  /** Path inside the archive, with forward slashes. */
  name: string;
  /** Bytes when unpacked. */
  size: number;
  read(): Buffer;
  /** The same in pieces; a fault is a RangeError on the way. */
  stream(): AsyncGenerator<Buffer>;
}

const END_OF_DIRECTORY = 0x06054b50;
const DIRECTORY_ENTRY = 0x02014b50;
const LOCAL_ENTRY = 0x04034b50;
const STORED = 0;
const DEFLATED = 8;

/** Entries by the central directory, in its order. @throws RangeError when the archive is torn or unsupported */
export function readZip(archive: Buffer): ZipEntry[] {
  const end = findEnd(archive);
  const count = archive.readUInt16LE(end + 10);
  let at = archive.readUInt32LE(end + 16);
  if (count === 0xffff || at === 0xffffffff) throw new RangeError("zip64 archives are not supported");
  const entries: ZipEntry[] = [];
  for (let index = 0; index < count; index++) {
    if (at + 46 > archive.length || archive.readUInt32LE(at) !== DIRECTORY_ENTRY) {
      throw new RangeError(`its directory is damaged at entry ${index + 1} of ${count}`);
    }
    const flags = archive.readUInt16LE(at + 8);
    const method = archive.readUInt16LE(at + 10);
    const packed = archive.readUInt32LE(at + 20);
    const size = archive.readUInt32LE(at + 24);
    const nameLength = archive.readUInt16LE(at + 28);
    const local = archive.readUInt32LE(at + 42);
    const name = archive.toString("utf8", at + 46, at + 46 + nameLength);
    const entry = { name, flags, method, packed, size, local };
    entries.push({
      name,
      size,
      read: () => unpack(archive, entry),
      stream: () => unpackInPieces(archive, entry),
    });
    at += 46 + nameLength + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
  }
  return entries;
}

/** The end record is 22 bytes and a comment of up to 64 KiB. */
function findEnd(archive: Buffer): number {
  for (let at = archive.length - 22; at >= Math.max(0, archive.length - 22 - 0xffff); at--) {
    if (archive.readUInt32LE(at) === END_OF_DIRECTORY) return at;
  }
  throw new RangeError("it is not a zip archive, or its end is missing");
}

interface Packed {
  name: string;
  flags: number;
  method: number;
  packed: number;
  size: number;
  local: number;
}

/** An entry's bytes as they lie in the archive. */
function packedBytes(archive: Buffer, { name, flags, packed, local }: Packed): Buffer {
  if ((flags & 1) !== 0) throw new RangeError(`${name} is encrypted`);
  if (local + 30 > archive.length || archive.readUInt32LE(local) !== LOCAL_ENTRY) {
    throw new RangeError(`${name}: its header is damaged`);
  }
  // the local header has its own extra field, of another length than the directory's
  const start = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
  return archive.subarray(start, start + packed);
}

function unpack(archive: Buffer, entry: Packed): Buffer {
  const { method, size } = entry;
  const bytes = packedBytes(archive, entry);
  let data: Buffer;
  if (method === STORED) data = Buffer.from(bytes);
  else if (method === DEFLATED) data = inflateRawSync(bytes, { maxOutputLength: Math.max(1, size) });
  else throw unknownMethod(entry);
  if (data.length !== size) throw wrongSize(entry, data.length);
  return data;
}

const PIECE = 1 << 20;

async function* unpackInPieces(archive: Buffer, entry: Packed): AsyncGenerator<Buffer> {
  const bytes = packedBytes(archive, entry);
  if (entry.method !== STORED && entry.method !== DEFLATED) throw unknownMethod(entry);
  const pieces = function* () {
    for (let at = 0; at < bytes.length; at += PIECE) yield bytes.subarray(at, at + PIECE);
  };
  const packed = Readable.from(pieces());
  const unpacked = entry.method === STORED ? packed : packed.pipe(createInflateRaw({ chunkSize: PIECE }));
  let done = 0;
  try {
    for await (const piece of unpacked) {
      done += (piece as Buffer).length;
      if (done > entry.size) throw wrongSize(entry, done);
      yield piece as Buffer;
    }
  } catch (cause) {
    if (cause instanceof RangeError) throw cause;
    throw new RangeError(`${entry.name}: ${(cause as Error).message}`, { cause });
  }
  if (done !== entry.size) throw wrongSize(entry, done);
}

function unknownMethod({ name, method }: Packed): RangeError {
  return new RangeError(`${name} is packed by method ${method}; 0 and 8 are supported`);
}

function wrongSize({ name, size }: Packed, found: number): RangeError {
  return new RangeError(`${name} has ${found} bytes, not ${size}`);
}
