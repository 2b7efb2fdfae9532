/**
 * GGUF container, versions 2 and 3: header, metadata, tensor table. Specification: docs/gguf.md of
 * github.com/ggml-org/ggml. What the entries mean for a language model is in gguf-model.ts.
 */
import { ModelFileError } from "../../lib/errors.ts";
import { type GgmlType, ggmlType } from "./dequantise.ts";
import { openPositioned, type PositionedFile } from "./positioned-file.ts";

export type GgufValue = number | boolean | string | readonly (number | boolean | string)[];

export interface GgufTensor {
  name: string;
  /** Row-major, outermost first: the file's dims reversed. */
  shape: readonly number[];
  type: GgmlType;
  /** Position and length in the file. */
  offset: number;
  bytes: number;
}

export interface GgufFile {
  readonly path: string;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** Decoded to float32, in the file's own row order. */
  read(name: string): Float32Array;
  /** As the tensor lies in the file. */
  bytes(name: string): Uint8Array;
  close(): void;
}

const WINDOW = 1 << 20;
const CHUNK_VALUES = 1 << 20;
const STRING = 8;
const ARRAY = 9;

/** A forward reader over the file's first part, a window at a time. */
class Cursor {
  readonly #file: PositionedFile;
  #buffer = new Uint8Array(0);
  #start = 0;
  position = 0;

  constructor(file: PositionedFile) {
    this.#file = file;
  }

  fault(text: string): ModelFileError {
    return new ModelFileError(`${this.#file.path}: ${text}`);
  }

  get remaining(): number {
    return this.#file.size - this.position;
  }

  bytes(count: number): Uint8Array<ArrayBuffer> {
    if (count > this.remaining) {
      throw this.fault(
        `the header wants ${count} bytes at ${this.position}, but the file ends: it is truncated`,
      );
    }
    if (this.position < this.#start || this.position + count > this.#start + this.#buffer.length) {
      this.#start = this.position;
      this.#buffer = this.#file.read(this.position, Math.min(this.remaining, Math.max(count, WINDOW)));
    }
    const at = this.position - this.#start;
    this.position += count;
    return this.#buffer.subarray(at, at + count);
  }

  view(count: number): DataView {
    const bytes = this.bytes(count);
    return new DataView(bytes.buffer, bytes.byteOffset, count);
  }

  u32(): number {
    return this.view(4).getUint32(0, true);
  }

  u64(what: string): number {
    const value = this.view(8).getBigUint64(0, true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.fault(`${what} is ${value}, beyond 2^53`);
    return Number(value);
  }

  string(what: string): string {
    const length = this.u64(`the length of ${what}`);
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(this.bytes(length));
  }

  value(type: number, key: string): GgufValue {
    switch (type) {
      case 0:
        return this.view(1).getUint8(0);
      case 1:
        return this.view(1).getInt8(0);
      case 2:
        return this.view(2).getUint16(0, true);
      case 3:
        return this.view(2).getInt16(0, true);
      case 4:
        return this.u32();
      case 5:
        return this.view(4).getInt32(0, true);
      case 6:
        return shortestFloat(this.view(4).getFloat32(0, true));
      case 7:
        return this.view(1).getUint8(0) !== 0;
      case STRING:
        return this.string(key);
      case 10:
        return this.u64(key);
      case 11: {
        const value = this.view(8).getBigInt64(0, true);
        if (value < -9007199254740991n || value > 9007199254740991n)
          throw this.fault(`${key} is beyond 2^53`);
        return Number(value);
      }
      case 12:
        return this.view(8).getFloat64(0, true);
      case ARRAY: {
        const element = this.u32();
        if (element === ARRAY) throw this.fault(`${key} is an array of arrays, which is not supported`);
        const count = this.u64(`the length of ${key}`);
        if (count > this.remaining)
          throw this.fault(`${key} claims ${count} elements, more than the file can hold`);
        const values: (number | boolean | string)[] = [];
        for (let i = 0; i < count; i++) values.push(this.value(element, key) as number | boolean | string);
        return values;
      }
      default:
        throw this.fault(`${key} has value type ${type}, which GGUF does not define`);
    }
  }
}

/** The shortest decimal with this float32 value: 1e-5 rather than 9.999999747378752e-6. */
function shortestFloat(value: number): number {
  for (let digits = 6; digits <= 9; digits++) {
    const shorter = Number(value.toPrecision(digits));
    if (Math.fround(shorter) === value) return shorter;
  }
  return value;
}

function readMagic(cursor: Cursor): void {
  const magic = cursor.remaining >= 4 ? new TextDecoder("latin1").decode(cursor.bytes(4)) : "";
  if (magic !== "GGUF") {
    const hint = magic === "vers" ? ": it is a Git LFS pointer" : "";
    throw cursor.fault(`does not start with "GGUF"${hint}`);
  }
  const version = cursor.u32();
  if ((version & 0xffff) === 0) throw cursor.fault("is a big-endian GGUF, which is not supported");
  if (version !== 2 && version !== 3) {
    throw cursor.fault(`is GGUF version ${version}; versions 2 and 3 are supported, convert it again`);
  }
}

function readTable(cursor: Cursor, size: number): Pick<GgufFile, "metadata" | "tensors"> {
  readMagic(cursor);
  const tensorCount = cursor.u64("the number of tensors");
  const keyCount = cursor.u64("the number of metadata keys");
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < keyCount; i++) {
    const key = cursor.string(`metadata key ${i}`);
    if (metadata.has(key)) throw cursor.fault(`has the metadata key ${key} twice`);
    metadata.set(key, cursor.value(cursor.u32(), key));
  }
  const alignment = metadata.get("general.alignment") ?? 32;
  if (typeof alignment !== "number" || alignment < 1 || !Number.isInteger(Math.log2(alignment))) {
    throw cursor.fault(`general.alignment = ${JSON.stringify(alignment)} is not a power of two`);
  }
  const tensors = new Map<string, GgufTensor>();
  for (let i = 0; i < tensorCount; i++) {
    const tensor = readTensorInfo(cursor, i, alignment);
    if (tensors.has(tensor.name)) throw cursor.fault(`has the tensor ${tensor.name} twice`);
    tensors.set(tensor.name, tensor);
  }
  const dataStart = Math.ceil(cursor.position / alignment) * alignment;
  for (const tensor of tensors.values()) {
    tensor.offset += dataStart;
    if (tensor.offset + tensor.bytes > size) {
      throw cursor.fault(
        `tensor ${tensor.name} ends at byte ${tensor.offset + tensor.bytes}, the file has ${size} (truncated download?)`,
      );
    }
  }
  checkNoOverlap(cursor, [...tensors.values()]);
  return { metadata, tensors };
}

function readTensorInfo(cursor: Cursor, index: number, alignment: number): GgufTensor {
  const name = cursor.string(`the name of tensor ${index}`);
  const rank = cursor.u32();
  if (rank > 4) throw cursor.fault(`tensor ${name} has ${rank} dimensions, more than 4`);
  const dims = Array.from({ length: rank }, () => cursor.u64(`a dimension of ${name}`));
  const type = ggmlType(cursor.u32());
  if (typeof type === "string") throw cursor.fault(`tensor ${name} ${type}`);
  const offset = cursor.u64(`the offset of ${name}`);
  const inner = dims[0] ?? 1;
  if (inner % type.block !== 0) {
    throw cursor.fault(
      `tensor ${name} has rows of ${inner}, not a multiple of ${type.name}'s block of ${type.block}`,
    );
  }
  if (offset % alignment !== 0) {
    throw cursor.fault(`tensor ${name} starts at ${offset}, not a multiple of the alignment ${alignment}`);
  }
  const values = dims.reduce((product, n) => product * n, 1);
  return { name, shape: dims.reverse(), type, offset, bytes: (values / type.block) * type.bytes };
}

function checkNoOverlap(cursor: Cursor, tensors: GgufTensor[]): void {
  tensors.sort((a, b) => a.offset - b.offset);
  for (const [i, tensor] of tensors.entries()) {
    const before = tensors[i - 1];
    if (before && before.offset + before.bytes > tensor.offset) {
      throw cursor.fault(`tensors ${before.name} and ${tensor.name} overlap: the file is damaged`);
    }
  }
}

/** Opens a file and reads its table. @throws ModelFileError naming the file and what is wrong in it */
export function openGguf(path: string): GgufFile {
  const file = openPositioned(path);
  try {
    const { metadata, tensors } = readTable(new Cursor(file), file.size);
    const find = (name: string) => {
      const tensor = tensors.get(name);
      if (!tensor) throw new ModelFileError(`${path} has no tensor ${name}`);
      return tensor;
    };
    return {
      path,
      metadata,
      tensors,
      read: (name) => readTensor(file, find(name)),
      bytes: (name) => {
        const { offset, bytes } = find(name);
        const all = new Uint8Array(bytes);
        file.readInto(all, offset);
        return all;
      },
      close: () => file.close(),
    };
  } catch (error) {
    file.close();
    throw error;
  }
}

function readTensor(file: PositionedFile, tensor: GgufTensor): Float32Array {
  const { block, bytes, decode } = tensor.type;
  const out = new Float32Array((tensor.bytes / bytes) * block);
  const chunk = new Uint8Array(Math.min(tensor.bytes, (CHUNK_VALUES / block) * bytes));
  for (let done = 0; done < out.length; done += CHUNK_VALUES) {
    const values = Math.min(CHUNK_VALUES, out.length - done);
    const part = chunk.subarray(0, (values / block) * bytes);
    file.readInto(part, tensor.offset + (done / block) * bytes);
    decode(part, out.subarray(done, done + values));
  }
  return out;
}
