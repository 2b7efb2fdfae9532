import { deflateSync } from "node:zlib";
import type { RgbPixels } from "../types.ts";
import { crc32 } from "./png.ts";

const SIGNATURE = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
const BYTES = 3;

/**
 * A PNG of 8 bits a colour without transparency. The same pixels give the same bytes with the same zlib.
 * Source: the PNG specification, third edition.
 */
export function writePng(pixels: RgbPixels): Uint8Array {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(pixels.width, 0);
  header.writeUInt32BE(pixels.height, 4);
  // 8 bits, red green blue, deflate, the five filters, no interlacing
  header.set([8, 2, 0, 0, 0], 8);
  const data = deflateSync(filtered(pixels), { level: 9 });
  return Buffer.concat([
    SIGNATURE,
    chunk("IHDR", header),
    chunk("IDAT", data),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Uint8Array): Buffer {
  const named = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  check.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, check]);
}

/** Each row with the filter whose differences are smallest in sum, as the specification advises. */
function filtered({ width, height, data }: RgbPixels): Uint8Array {
  const length = width * BYTES;
  const out = new Uint8Array(height * (length + 1));
  const nothing = new Uint8Array(length);
  for (let y = 0; y < height; y++) {
    const row = data.subarray(y * length, (y + 1) * length);
    const above = y === 0 ? nothing : data.subarray((y - 1) * length, y * length);
    let least = Number.POSITIVE_INFINITY;
    for (const [filter, predict] of PREDICTIONS.entries()) {
      const tried = new Uint8Array(length);
      let sum = 0;
      for (let i = 0; i < length; i++) {
        const [left, corner] = i < BYTES ? [0, 0] : [row[i - BYTES]!, above[i - BYTES]!];
        const difference = (row[i]! - predict(left, above[i]!, corner)) & 255;
        tried[i] = difference;
        sum += difference < 128 ? difference : 256 - difference;
      }
      if (sum >= least) continue;
      least = sum;
      out[y * (length + 1)] = filter;
      out.set(tried, y * (length + 1) + 1);
    }
  }
  return out;
}

/** What the filters 0 to 4 expect of a byte, from those left of it, above it and both. */
const PREDICTIONS: readonly ((left: number, above: number, corner: number) => number)[] = [
  () => 0,
  (left) => left,
  (_, above) => above,
  (left, above) => (left + above) >> 1,
  paeth,
];

function paeth(left: number, above: number, corner: number): number {
  const guess = left + above - corner;
  const [a, b, c] = [Math.abs(guess - left), Math.abs(guess - above), Math.abs(guess - corner)];
  if (a <= b && a <= c) return left;
  return b <= c ? above : corner;
}
