/** Files in gzip and Zstandard form, decompressed piece by piece. */
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import { DataError, describeSystemError } from "../../lib/errors.ts";

export type Compression = "gzip" | "Zstandard";

/** By a file's first bytes; null: it is not compressed. */
export function compressionOf(head: Uint8Array): Compression | null {
  if (head[0] === 0x1f && head[1] === 0x8b) return "gzip";
  const zstd = head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd;
  return zstd ? "Zstandard" : null;
}

/** @throws DataError where the file is damaged or cut off */
export async function* decompress(path: string, compression: Compression): AsyncGenerator<Uint8Array> {
  try {
    yield* compression === "gzip" ? gunzip(path) : unzstd(path);
  } catch (error) {
    const reason = describeSystemError(error).replace(/\.$/, "");
    throw new DataError(
      `${path}: its ${compression} data is damaged or cut off: ${reason}. Fetch it again.`,
      {
        cause: error,
      },
    );
  }
}

async function* gunzip(path: string): AsyncGenerator<Uint8Array> {
  // errors of either stream come out of the iteration
  yield* pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), createGunzip(), () => {});
}

async function* unzstd(path: string): AsyncGenerator<Uint8Array> {
  const { Decompress } = await import("fzstd");
  let pieces: Uint8Array[] = [];
  const stream = new Decompress((piece) => pieces.push(piece.slice()));
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 18 })) {
    stream.push(chunk as Buffer);
    yield* pieces;
    pieces = [];
  }
  stream.push(new Uint8Array(), true);
  yield* pieces;
}
