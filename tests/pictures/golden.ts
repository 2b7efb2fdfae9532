import { readFileSync } from "node:fs";
import { inflateSync } from "node:zlib";
import type { RgbPixels } from "../../src/types.ts";

interface Digest {
  numbers: number;
  sum: number;
  weighted: number;
  samples: number[];
}

interface Processed {
  options: Record<string, unknown>;
  saved: Record<string, unknown>;
  cases: { rows: number; cols: number; text: string; grid: number[]; tiles: Digest[] }[];
}

export interface Golden {
  versions: Record<string, string>;
  decoded: Record<string, { width: number; height: number; mode: string; rgb: string }>;
  resized: { k: number; from: [number, number]; to: [number, number]; resample: number; every7th: string }[];
  sizes: [number, number][];
  processed: {
    idefics3: Record<string, Processed & { patch: number; tokens: number }>;
    qwen2_vl: Record<string, Processed>;
  };
  smart_resize: number[][];
}

/** What tools/goldens/pictures.py wrote. */
export const golden: Golden = JSON.parse(readFileSync("tests/golden/pictures.json", "utf8"));

export const goldenFile = (name: string) => new Uint8Array(readFileSync(`tests/golden/pictures/${name}`));

export const unpacked = (text: string) => new Uint8Array(inflateSync(Buffer.from(text, "base64")));

/** The script's `formula`. */
export function formula(width: number, height: number, k: number): RgbPixels {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0, at = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++, at++)
        data[at] =
          x * (3 + (k % 5)) +
          y * (5 + (k % 7)) +
          ((x * (c + 1)) ^ (y * (3 + c))) * (1 + (k % 3)) +
          37 * c +
          13 * k;
  return { width, height, data };
}

/** The script's `digest`, with the same samples. */
export function digest(flat: Float32Array): Digest {
  const stride = Math.max(1, Math.floor(flat.length / 12)) | 1;
  let [sum, weighted] = [0, 0];
  for (let i = 0; i < flat.length; i++) {
    sum += flat[i]!;
    weighted += flat[i]! * (i % 251);
  }
  return { numbers: flat.length, sum, weighted, samples: [...flat].filter((_, i) => i % stride === 0) };
}

/** The largest difference of two arrays of the same length. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!));
  return largest;
}
