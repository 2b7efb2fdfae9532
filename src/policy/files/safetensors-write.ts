/** safetensors out, tensor by tensor. */
import { closeSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { describeSystemError, ModelFileError } from "../../lib/errors.ts";
import { writeFileSynced } from "../../lib/files.ts";
import type { NamedTensor } from "../interfaces.ts";
import { float32BitsToBfloat16, float32BitsToHalf } from "./half.ts";

export type SavedDtype = "F32" | "BF16" | "F16";

export interface SafetensorsWriteOptions {
  /** F32 by default: training keeps float32, and BF16 rounds away updates below 2^-8 of a weight. */
  dtype?: SavedDtype;
  /** A directory's weights are split above this; the Hub's tools use 5 GB. */
  maxShardBytes?: number;
}

const COPY_BYTES = 16 << 20;

/** Little-endian bytes of float32 values in the given dtype (Node runs on little-endian machines only). */
export function encodeFloats(data: Float32Array, dtype: SavedDtype): Uint8Array {
  if (dtype === "F32") return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
  const out = new Uint16Array(data.length);
  const encode = dtype === "BF16" ? float32BitsToBfloat16 : float32BitsToHalf;
  for (let i = 0; i < out.length; i++) out[i] = encode(bits[i]!);
  return new Uint8Array(out.buffer);
}

interface Spooled {
  name: string;
  shape: readonly number[];
  offset: number;
  bytes: number;
}

function* headerThenData(
  tensors: readonly Spooled[],
  dtype: SavedDtype,
  spool: number,
): Generator<Uint8Array> {
  // from entries: assignment would lose a tensor called __proto__
  const header: [string, unknown][] = [["__metadata__", { format: "pt" }]];
  let offset = 0;
  for (const { name, shape, bytes } of tensors) {
    header.push([name, { dtype, shape, data_offsets: [offset, offset + bytes] }]);
    offset += bytes;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const padded = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(padded.buffer).setBigUint64(0, BigInt(padded.length - 8), true);
  padded.set(json, 8);
  yield padded;
  const chunk = new Uint8Array(COPY_BYTES);
  for (const tensor of tensors) {
    for (let done = 0; done < tensor.bytes; ) {
      const count = readSync(
        spool,
        chunk,
        0,
        Math.min(chunk.length, tensor.bytes - done),
        tensor.offset + done,
      );
      if (count === 0) throw new ModelFileError(`the temporary weight file ended at ${tensor.offset + done}`);
      yield chunk.subarray(0, count);
      done += count;
    }
  }
}

/** The header comes first but its length is known last, so tensors wait in a spool file beside the target. */
function withSpool<T>(
  directory: string,
  tensors: Iterable<NamedTensor>,
  dtype: SavedDtype,
  use: (spooled: Spooled[], spool: number) => T,
): T {
  const path = join(directory, ".weights.spool.tmp");
  try {
    const spool = openSync(path, "w+");
    try {
      const spooled: Spooled[] = [];
      const names = new Set<string>();
      let offset = 0;
      for (const { name, shape, data } of tensors) {
        if (names.has(name) || name === "__metadata__") {
          throw new ModelFileError(`${directory}: tensor ${name} would be written twice`);
        }
        names.add(name);
        const values = shape.reduce((product, n) => product * n, 1);
        if (values !== data.length) {
          throw new ModelFileError(
            `${directory}: tensor ${name} has shape [${shape.join(", ")}] but ${data.length} values`,
          );
        }
        const bytes = encodeFloats(data, dtype);
        let done = 0;
        while (done < bytes.length) {
          done += writeSync(spool, bytes, done, Math.min(COPY_BYTES, bytes.length - done), offset + done);
        }
        spooled.push({ name, shape: [...shape], offset, bytes: bytes.length });
        offset += bytes.length;
      }
      spooled.sort((a, b) => (a.name < b.name ? -1 : 1)); // one dtype, so alignment decides nothing
      return use(spooled, spool);
    } finally {
      closeSync(spool);
      rmSync(path, { force: true });
    }
  } catch (error) {
    if (error instanceof ModelFileError || (error as NodeJS.ErrnoException).syscall === undefined)
      throw error;
    throw new ModelFileError(`${directory}: weights cannot be written: ${describeSystemError(error)}`, {
      cause: error,
    });
  }
}

/** One file, synced. @param directory where it goes; `name` is its file name there */
export function writeSafetensors(
  directory: string,
  name: string,
  tensors: Iterable<NamedTensor>,
  options: SafetensorsWriteOptions = {},
): void {
  const dtype = options.dtype ?? "F32";
  withSpool(directory, tensors, dtype, (spooled, spool) => {
    writeFileSynced(join(directory, name), headerThenData(spooled, dtype, spool));
  });
}

/**
 * model.safetensors, or shards of at most `maxShardBytes` with their index. Consumes the tensors one at a time.
 * @returns names of the files written
 */
export function writeSafetensorsDirectory(
  directory: string,
  tensors: Iterable<NamedTensor>,
  options: SafetensorsWriteOptions = {},
): string[] {
  const dtype = options.dtype ?? "F32";
  const limit = options.maxShardBytes ?? 5e9;
  return withSpool(directory, tensors, dtype, (spooled, spool) => {
    const shards: Spooled[][] = [[]];
    let filled = 0;
    for (const tensor of spooled) {
      if (filled > 0 && filled + tensor.bytes > limit) {
        shards.push([]);
        filled = 0;
      }
      shards.at(-1)!.push(tensor);
      filled += tensor.bytes;
    }
    if (shards.length === 1) {
      writeFileSynced(join(directory, "model.safetensors"), headerThenData(spooled, dtype, spool));
      return ["model.safetensors"];
    }
    const pad = (n: number): string => String(n).padStart(5, "0");
    const weightMap: [string, string][] = [];
    const files = shards.map((shard, i) => {
      const file = `model-${pad(i + 1)}-of-${pad(shards.length)}.safetensors`;
      writeFileSynced(join(directory, file), headerThenData(shard, dtype, spool));
      for (const { name } of shard) weightMap.push([name, file]);
      return file;
    });
    const index = {
      metadata: { total_size: spooled.reduce((sum, { bytes }) => sum + bytes, 0) },
      weight_map: Object.fromEntries(weightMap),
    };
    const name = "model.safetensors.index.json";
    writeFileSynced(join(directory, name), [new TextEncoder().encode(`${JSON.stringify(index, null, 2)}\n`)]);
    return [...files, name];
  });
}
