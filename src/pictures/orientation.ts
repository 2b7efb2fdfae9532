import type { RgbPixels } from "../types.ts";
import { latin1 } from "./byte-reader.ts";

const ORIENTATION_TAG = 0x0112;

/** Which way is up, of a TIFF header as EXIF has it; null where it says nothing or is damaged. */
export function exifOrientation(tiff: Uint8Array): number | null {
  const order = latin1(tiff.subarray(0, 2));
  if ((order !== "II" && order !== "MM") || tiff.length < 8) return null;
  const little = order === "II";
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.length);
  const directory = view.getUint32(4, little);
  if (directory + 2 > tiff.length) return null;
  const entries = view.getUint16(directory, little);
  for (let i = 0; i < entries; i++) {
    const entry = directory + 2 + 12 * i;
    if (entry + 12 > tiff.length) return null;
    if (view.getUint16(entry, little) !== ORIENTATION_TAG) continue;
    const [type, value] = [view.getUint16(entry + 2, little), view.getUint16(entry + 8, little)];
    return type === 3 && value >= 1 && value <= 8 ? value : null;
  }
  return null;
}

/** The same said in XMP, which Pillow asks where EXIF is silent. */
export function xmpOrientation(xmp: Uint8Array): number | null {
  const found = /tiff:Orientation(?:="|>)([1-8])/.exec(latin1(xmp));
  return found === null ? null : Number(found[1]);
}

export const swapsSides = (orientation: number): boolean => orientation >= 5;

/** Turns and mirrors a picture the way up that its orientation says. */
export function upright(stored: RgbPixels, orientation: number): RgbPixels {
  if (orientation === 1) return stored;
  const { width, height, data } = stored;
  const swap = swapsSides(orientation);
  const [outWidth, outHeight] = swap ? [height, width] : [width, height];
  // where the columns and rows of the result begin and go to in the stored picture
  const fromRight = orientation === 2 || orientation === 3 || orientation === 7 || orientation === 8;
  const fromBottom = orientation === 3 || orientation === 4 || orientation === 6 || orientation === 7;
  const out = new Uint8Array(data.length);
  for (let y = 0, to = 0; y < outHeight; y++) {
    for (let x = 0; x < outWidth; x++, to += 3) {
      const [column, row] = swap ? [y, x] : [x, y];
      const from =
        3 * ((fromBottom ? height - 1 - row : row) * width + (fromRight ? width - 1 - column : column));
      out[to] = data[from]!;
      out[to + 1] = data[from + 1]!;
      out[to + 2] = data[from + 2]!;
    }
  }
  return { width: outWidth, height: outHeight, data: out };
}
