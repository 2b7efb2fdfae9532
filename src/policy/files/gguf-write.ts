/** GGUF container, version 3, out: the counterpart of gguf.ts. Specification: docs/gguf.md of github.com/ggml-org/ggml. */
import { ModelFileError } from "../../lib/errors.ts";
import { writeFileSynced } from "../../lib/files.ts";
import { type WrittenType, writtenType } from "./quantise.ts";

/** A metadata value with the type that it is written as; readers of GGUF ask for the exact one. */
export type WrittenValue =
  | { u32: number }
  | { f32: number }
  | { bool: boolean }
  | { string: string }
  | { strings: readonly string[] }
  | { i32s: readonly number[] };

export interface WrittenTensor {
  name: string;
  /** Row-major, outermost first. */
  shape: readonly number[];
  type: WrittenType;
  /** Called once, when its turn comes. */
  read(): Float32Array;
}

const ALIGNMENT = 32;

function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

function u64(value: number): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
}

function text(value: string): Uint8Array[] {
  const bytes = new TextEncoder().encode(value);
  return [u64(bytes.length), bytes];
}

function encodeValue(value: WrittenValue): Uint8Array[] {
  if ("u32" in value) return [u32(4), u32(value.u32)];
  if ("f32" in value) return [u32(6), new Uint8Array(Float32Array.of(value.f32).buffer)];
  if ("bool" in value) return [u32(7), Uint8Array.of(value.bool ? 1 : 0)];
  if ("string" in value) return [u32(8), ...text(value.string)];
  if ("strings" in value) {
    return [u32(9), u32(8), u64(value.strings.length), ...value.strings.flatMap(text)];
  }
  return [u32(9), u32(5), u64(value.i32s.length), new Uint8Array(Int32Array.from(value.i32s).buffer)];
}

const padded = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

function bytesOf({ shape, type }: WrittenTensor): number {
  const { block, bytes } = writtenType(type);
  return (shape.reduce((product, n) => product * n, 1) / block) * bytes;
}

function header(
  metadata: ReadonlyMap<string, WrittenValue>,
  tensors: readonly WrittenTensor[],
): Uint8Array<ArrayBuffer> {
  const parts = [new TextEncoder().encode("GGUF"), u32(3), u64(tensors.length), u64(metadata.size)];
  for (const [key, value] of metadata) parts.push(...text(key), ...encodeValue(value));
  let offset = 0;
  for (const tensor of tensors) {
    const dims = [...tensor.shape].reverse();
    parts.push(...text(tensor.name), u32(dims.length), ...dims.map(u64));
    parts.push(u32(writtenType(tensor.type).id), u64(offset));
    offset += padded(bytesOf(tensor));
  }
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const whole = new Uint8Array(padded(length));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function* chunks(
  path: string,
  metadata: ReadonlyMap<string, WrittenValue>,
  tensors: readonly WrittenTensor[],
): Generator<Uint8Array> {
  yield header(metadata, tensors);
  for (const tensor of tensors) {
    const bytes = writtenType(tensor.type).encode(tensor.read());
    if (bytes.length !== bytesOf(tensor)) {
      throw new ModelFileError(
        `${path}: tensor ${tensor.name} is ${bytes.length} bytes, not ${bytesOf(tensor)}`,
      );
    }
    yield bytes;
    yield new Uint8Array(padded(bytes.length) - bytes.length);
  }
}

/** Writes a file, synced, one tensor in memory at a time. Not atomic: write aside and rename. */
export function writeGguf(
  path: string,
  metadata: ReadonlyMap<string, WrittenValue>,
  tensors: readonly WrittenTensor[],
): void {
  writeFileSynced(path, chunks(path, metadata, tensors));
}
