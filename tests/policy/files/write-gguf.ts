/** Writes small GGUF files for tests. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ggmlTypeByName } from "../../../src/policy/files/dequantise.ts";

/** Folders of this file go away with the process. */
let root: string | null = null;
function folder(): string {
  if (root === null) {
    const made = mkdtempSync(join(tmpdir(), "rlpt-gguf-"));
    process.once("exit", () => {
      rmSync(made, { recursive: true, force: true });
    });
    root = made;
  }
  return mkdtempSync(join(root, "file-"));
}

export type MetadataValue =
  | number
  | bigint
  | string
  | boolean
  | readonly string[]
  | readonly number[]
  | { f32: number }
  | { f32s: readonly number[] };

export interface TestTensor {
  name: string;
  /** Outermost first. */
  shape: readonly number[];
  type: string | number;
  bytes: Uint8Array;
}

export interface GgufOptions {
  magic?: string;
  version?: number;
  alignment?: number;
  /** Bytes cut from the end. */
  cut?: number;
  /** Added to the offset of the last tensor. */
  shift?: number;
}

class Writer {
  readonly chunks: Uint8Array[] = [];
  length = 0;
  push(bytes: Uint8Array): void {
    this.chunks.push(bytes);
    this.length += bytes.length;
  }
  number(size: number, set: (view: DataView) => void): void {
    const view = new DataView(new ArrayBuffer(size));
    set(view);
    this.push(new Uint8Array(view.buffer));
  }
  u32(value: number): void {
    this.number(4, (view) => view.setUint32(0, value, true));
  }
  u64(value: number | bigint): void {
    this.number(8, (view) => view.setBigUint64(0, BigInt(value), true));
  }
  string(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.length);
    this.push(bytes);
  }
  value(value: MetadataValue): void {
    if (typeof value === "string") {
      this.u32(8);
      this.string(value);
    } else if (typeof value === "boolean") {
      this.u32(7);
      this.push(Uint8Array.of(value ? 1 : 0));
    } else if (typeof value === "bigint") {
      this.u32(10);
      this.u64(value);
    } else if (typeof value === "number") {
      this.u32(Number.isInteger(value) ? 4 : 12);
      if (Number.isInteger(value)) this.u32(value);
      else this.number(8, (view) => view.setFloat64(0, value, true));
    } else if ("f32s" in value) {
      this.u32(9);
      this.u32(6);
      this.u64(value.f32s.length);
      for (const item of value.f32s) this.number(4, (view) => view.setFloat32(0, item, true));
    } else if ("f32" in value) {
      this.u32(6);
      this.number(4, (view) => view.setFloat32(0, value.f32, true));
    } else {
      this.u32(9);
      const texts = value.every((item) => typeof item === "string");
      this.u32(texts ? 8 : 5);
      this.u64(value.length);
      for (const item of value) {
        if (typeof item === "string") this.string(item);
        else this.number(4, (view) => view.setInt32(0, item, true));
      }
    }
  }
  pad(alignment: number): void {
    this.push(new Uint8Array((alignment - (this.length % alignment)) % alignment));
  }
}

export function f32Tensor(name: string, shape: readonly number[], values: Iterable<number>): TestTensor {
  return { name, shape, type: "F32", bytes: new Uint8Array(Float32Array.from(values).buffer) };
}

/** @returns the path of a new file */
export function writeGguf(
  metadata: Readonly<Record<string, MetadataValue>> | readonly (readonly [string, MetadataValue])[],
  tensors: readonly TestTensor[],
  options: GgufOptions = {},
): string {
  const alignment = options.alignment ?? 32;
  const entries = Array.isArray(metadata) ? metadata : Object.entries(metadata);
  const writer = new Writer();
  writer.push(new TextEncoder().encode(options.magic ?? "GGUF"));
  writer.u32(options.version ?? 3);
  writer.u64(tensors.length);
  writer.u64(entries.length);
  for (const [key, value] of entries) {
    writer.string(key);
    writer.value(value);
  }
  let offset = 0;
  for (const [i, { name, shape, type, bytes }] of tensors.entries()) {
    writer.string(name);
    writer.u32(shape.length);
    for (const dim of [...shape].reverse()) writer.u64(dim);
    writer.u32(typeof type === "number" ? type : ggmlTypeByName(type).id);
    writer.u64(offset + (i === tensors.length - 1 ? (options.shift ?? 0) : 0));
    offset += Math.ceil(bytes.length / alignment) * alignment;
  }
  writer.pad(alignment);
  for (const { bytes } of tensors) {
    writer.push(bytes);
    writer.pad(alignment);
  }
  const whole = Buffer.concat(writer.chunks);
  const path = join(folder(), "model.gguf");
  writeFileSync(path, whole.subarray(0, whole.length - (options.cut ?? 0)));
  return path;
}
