/**
 * safetensors in. Format: u64 header length, JSON header, then the tensors' bytes, row-major and little-endian
 * (github.com/huggingface/safetensors, "Format"). The writer is in safetensors-write.ts.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ModelFileError } from "../../lib/errors.ts";
import type { WeightSource } from "../interfaces.ts";
import { halfTable } from "./half.ts";
import { isObject, parseJsonObject, readJsonObject } from "./json.ts";
import { openPositioned, type PositionedFile } from "./positioned-file.ts";

const LARGEST_HEADER = 100_000_000;
const CHUNK_BYTES = 4 << 20;

const BYTES_PER_VALUE: Readonly<Record<string, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  U64: 8,
  I32: 4,
  U32: 4,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};

export interface SafetensorsEntry {
  dtype: string;
  shape: readonly number[];
  /** Byte range in the file. */
  begin: number;
  end: number;
}

export interface SafetensorsHeader {
  tensors: ReadonlyMap<string, SafetensorsEntry>;
  metadata: Readonly<Record<string, string>>;
}

function readHeader(file: PositionedFile): SafetensorsHeader {
  const { path, size } = file;
  if (size < 8) throw new ModelFileError(`${path} is ${size} bytes long, too short for a safetensors header`);
  const start = file.read(0, Math.min(size, 24));
  if (new TextDecoder("latin1").decode(start).startsWith("version https://git-lfs")) {
    throw new ModelFileError(
      `${path} is a Git LFS pointer, not the weights: run "git lfs pull" where it was cloned`,
    );
  }
  const headerBytes = new DataView(start.buffer).getBigUint64(0, true);
  if (headerBytes > BigInt(LARGEST_HEADER) || 8n + headerBytes > BigInt(size)) {
    throw new ModelFileError(
      `${path} says its header has ${headerBytes} bytes, but the file has ${size}: it is truncated or not safetensors`,
    );
  }
  const dataStart = 8 + Number(headerBytes);
  const header = parseJsonObject(file.read(8, Number(headerBytes)), `${path}: header`);
  const tensors = new Map<string, SafetensorsEntry>();
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(header)) {
    if (name === "__metadata__") {
      if (!isObject(value) || Object.values(value).some((text) => typeof text !== "string")) {
        throw new ModelFileError(`${path}: __metadata__ is not a map of strings`);
      }
      metadata = value as Record<string, string>;
    } else {
      tensors.set(name, checkEntry(path, name, value, dataStart));
    }
  }
  checkLayout(path, tensors, dataStart, size);
  return { tensors, metadata };
}

function checkEntry(path: string, name: string, value: unknown, dataStart: number): SafetensorsEntry {
  const fault = (text: string): ModelFileError => new ModelFileError(`${path}: tensor ${name}${text}`);
  if (!isObject(value)) throw fault(" is not described by an object");
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string") throw fault(" has no dtype");
  const valueBytes = BYTES_PER_VALUE[dtype];
  if (valueBytes === undefined) {
    throw fault(
      ` has dtype ${dtype}, which is not supported; convert it to one of ${Object.keys(BYTES_PER_VALUE).join(", ")}`,
    );
  }
  if (!Array.isArray(shape) || !shape.every((n) => Number.isSafeInteger(n) && n >= 0)) {
    throw fault(`: shape ${JSON.stringify(shape)} is not a list of sizes`);
  }
  if (
    !Array.isArray(offsets) ||
    offsets.length !== 2 ||
    !offsets.every((n) => Number.isSafeInteger(n) && n >= 0) ||
    offsets[1] < offsets[0]
  ) {
    throw fault(`: data_offsets ${JSON.stringify(offsets)} are not a byte range`);
  }
  const needed = shape.reduce<number>((product, n) => product * n, valueBytes);
  const [begin, end] = offsets as [number, number];
  if (needed !== end - begin) {
    throw fault(
      `: shape [${shape.join(", ")}] of ${dtype} needs ${needed} bytes, the header gives ${end - begin}`,
    );
  }
  return { dtype, shape: shape as number[], begin: dataStart + begin, end: dataStart + end };
}

/** The format asks that tensors cover the data section without gaps or overlaps. */
function checkLayout(
  path: string,
  tensors: ReadonlyMap<string, SafetensorsEntry>,
  dataStart: number,
  size: number,
): void {
  const ordered = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let expected = dataStart;
  for (const [name, entry] of ordered) {
    if (entry.begin !== expected) {
      throw new ModelFileError(
        `${path}: tensor ${name} starts at ${entry.begin - dataStart}, expected ${expected - dataStart}: the file is damaged`,
      );
    }
    expected = entry.end;
  }
  if (expected !== size) {
    throw new ModelFileError(
      `${path}: data ends at ${expected - dataStart}, the file has ${size - dataStart}${expected > size ? " (truncated download?)" : " (trailing bytes)"}`,
    );
  }
}

/** Decodes little-endian values to float32. @throws ModelFileError for a 64-bit integer beyond 2^53 */
function decodeChunk(dtype: string, bytes: Uint8Array<ArrayBuffer>, out: Float32Array, what: string): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (dtype) {
    case "BF16": {
      const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
      const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, out.length);
      for (let i = 0; i < out.length; i++) bits[i] = halves[i]! << 16;
      return;
    }
    case "F16": {
      const table = halfTable();
      const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, out.length);
      for (let i = 0; i < out.length; i++) out[i] = table[halves[i]!]!;
      return;
    }
    case "F64":
      for (let i = 0; i < out.length; i++) out[i] = view.getFloat64(8 * i, true);
      return;
    case "I64":
    case "U64":
      for (let i = 0; i < out.length; i++) {
        const value = dtype === "I64" ? view.getBigInt64(8 * i, true) : view.getBigUint64(8 * i, true);
        if (value > 9007199254740992n || value < -9007199254740992n) {
          throw new ModelFileError(`${what} holds ${value}, beyond 2^53, which a float cannot hold`);
        }
        out[i] = Number(value);
      }
      return;
    case "I32":
      for (let i = 0; i < out.length; i++) out[i] = view.getInt32(4 * i, true);
      return;
    case "U32":
      for (let i = 0; i < out.length; i++) out[i] = view.getUint32(4 * i, true);
      return;
    case "I16":
      for (let i = 0; i < out.length; i++) out[i] = view.getInt16(2 * i, true);
      return;
    case "U16":
      for (let i = 0; i < out.length; i++) out[i] = view.getUint16(2 * i, true);
      return;
    case "I8":
      for (let i = 0; i < out.length; i++) out[i] = view.getInt8(i);
      return;
    case "U8":
    case "BOOL":
      out.set(bytes);
      return;
    default:
      throw new ModelFileError(`${what} has dtype ${dtype}, which is not supported`);
  }
}

function readTensor(file: PositionedFile, name: string, entry: SafetensorsEntry): Float32Array {
  const valueBytes = BYTES_PER_VALUE[entry.dtype]!;
  const out = new Float32Array((entry.end - entry.begin) / valueBytes);
  if (entry.dtype === "F32") {
    file.readInto(new Uint8Array(out.buffer), entry.begin);
    return out;
  }
  const chunk = new Uint8Array(Math.min(CHUNK_BYTES, entry.end - entry.begin));
  for (let done = 0; done * valueBytes < entry.end - entry.begin; ) {
    const length = Math.min(chunk.length, entry.end - entry.begin - done * valueBytes);
    const bytes = chunk.subarray(0, length);
    file.readInto(bytes, entry.begin + done * valueBytes);
    decodeChunk(
      entry.dtype,
      bytes,
      out.subarray(done, done + length / valueBytes),
      `${file.path}: tensor ${name}`,
    );
    done += length / valueBytes;
  }
  return out;
}

/** Names a tensor that is not there, for every kind of source. */
export function missingTensor(path: string, name: string): ModelFileError {
  return new ModelFileError(`${path} has no tensor ${name}`);
}

/** Reads one file's header only. @throws ModelFileError when the file breaks the format */
export function readSafetensorsHeader(path: string): SafetensorsHeader {
  const file = openPositioned(path);
  try {
    return readHeader(file);
  } finally {
    file.close();
  }
}

interface Part {
  file: PositionedFile;
  tensors: ReadonlyMap<string, SafetensorsEntry>;
}

function openPart(path: string): Part {
  const file = openPositioned(path);
  try {
    return { file, tensors: readHeader(file).tensors };
  } catch (error) {
    file.close();
    throw error;
  }
}

function weightSource(path: string, parts: readonly Part[]): WeightSource {
  const where = new Map<string, { file: PositionedFile; entry: SafetensorsEntry }>();
  for (const { file, tensors } of parts) {
    for (const [name, entry] of tensors) where.set(name, { file, entry });
  }
  const find = (name: string) => {
    const found = where.get(name);
    if (!found) throw missingTensor(path, name);
    return found;
  };
  return {
    names: [...where.keys()],
    shape: (name) => find(name).entry.shape,
    dtype: (name) => find(name).entry.dtype,
    read: (name) => {
      const { file, entry } = find(name);
      return readTensor(file, name, entry);
    },
    close: () => {
      for (const { file } of parts) file.close();
    },
  };
}

/** One .safetensors file. The header is checked whole before anything is decoded. */
export function openSafetensors(path: string): WeightSource {
  return weightSource(path, [openPart(path)]);
}

/** File names an index gives, checked to lie beside it. */
export function shardNames(index: Readonly<Record<string, unknown>>, indexPath: string): Map<string, string> {
  const map = index["weight_map"];
  if (!isObject(map)) throw new ModelFileError(`${indexPath} has no weight_map`);
  const files = new Map<string, string>();
  for (const [tensor, file] of Object.entries(map)) {
    if (typeof file !== "string" || /[/\\]/.test(file) || file === "" || file.startsWith("..")) {
      throw new ModelFileError(
        `${indexPath} maps ${tensor} to ${JSON.stringify(file)}, which is not a file of its own folder`,
      );
    }
    files.set(tensor, file);
  }
  return files;
}

/**
 * A directory's weights: model.safetensors, or model.safetensors.index.json with its shards. The first wins where both
 * are there, as in transformers (`modeling_utils.py`): the index is what an earlier save left behind.
 * @throws ModelFileError naming the file when there are none, or when index and shards disagree
 */
export function openSafetensorsDirectory(directory: string): WeightSource {
  const indexPath = join(directory, "model.safetensors.index.json");
  const single = join(directory, "model.safetensors");
  if (existsSync(single)) return openSafetensors(single);
  if (!existsSync(indexPath)) {
    const torch = ["pytorch_model.bin", "pytorch_model.bin.index.json"].find((name) =>
      existsSync(join(directory, name)),
    );
    throw new ModelFileError(
      torch
        ? `${directory}: ${torch} found but no safetensors: convert it with transformers, AutoModelForCausalLM.from_pretrained(dir).save_pretrained(out)`
        : `${directory} has no model.safetensors and no model.safetensors.index.json`,
    );
  }
  const map = shardNames(readJsonObject(indexPath), indexPath);
  const parts = new Map<string, Part>();
  try {
    for (const file of new Set(map.values())) {
      if (!existsSync(join(directory, file))) {
        throw new ModelFileError(`${indexPath} names ${file}, which is missing`);
      }
      parts.set(file, openPart(join(directory, file)));
    }
    for (const [tensor, file] of map) {
      if (!parts.get(file)!.tensors.has(tensor)) {
        throw new ModelFileError(`${indexPath} maps ${tensor} to ${file}, which does not contain it`);
      }
    }
    for (const [file, { tensors }] of parts) {
      for (const tensor of tensors.keys()) {
        if (map.get(tensor) !== file) {
          throw new ModelFileError(
            `${join(directory, file)} contains ${tensor}, which ${indexPath} ${map.has(tensor) ? `maps to ${map.get(tensor)}` : "does not list"}`,
          );
        }
      }
    }
    return weightSource(directory, [...parts.values()]);
  } catch (error) {
    for (const { file } of parts.values()) file.close();
    throw error;
  }
}
