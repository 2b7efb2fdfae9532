/** Handwritten digits and their labels, unpacked at the first look. */
import { inflateSync } from "node:zlib";
import { digitsData } from "./digits-data.ts";

export const DIGITS = 1797;
const SIZE = 64;

let unpacked: Uint8Array | undefined;

function bytes(): Uint8Array {
  unpacked ??= inflateSync(Buffer.from(digitsData, "base64"));
  return unpacked;
}

/** Values 0..16 of picture `index`, row by row. [8, 8] */
export function digitPixels(index: number): Uint8Array {
  return bytes().subarray(index * SIZE, (index + 1) * SIZE);
}

/** [1797] */
export function digitLabels(): Uint8Array {
  return bytes().subarray(DIGITS * SIZE);
}
