import { DataError } from "../lib/errors.ts";
import type { RgbPixels } from "../types.ts";
import { latin1 } from "./byte-reader.ts";
import { namedPicture, PictureFault } from "./fault.ts";
import type { PictureFormat, PictureHeader } from "./format.ts";
import { gif } from "./gif.ts";
import { jpeg } from "./jpeg/jpeg.ts";
import { swapsSides, upright } from "./orientation.ts";
import { png } from "./png.ts";
import { webp } from "./webp.ts";

const FORMATS: readonly PictureFormat[] = [png, jpeg, webp, gif];

export interface PictureLimits {
  /** Of the picture; looked up before anything is unpacked. */
  pixels?: number;
  /** Of the file. */
  bytes?: number;
}

/** As many pixels as Pillow opens without a warning: a quarter of a gigabyte at three bytes each. */
export const MAX_PIXELS = 89_478_485;
export const MAX_BYTES = 128 * 1024 * 1024;

export interface PictureSize {
  width: number;
  height: number;
}

/**
 * Pixels of an image file: the first frame where there are several, upright by its EXIF orientation, over white where it is
 * transparent, greys and inks as red, green and blue. Equal to what the Hugging Face processors make of the file by Pillow
 * (`ImageOps.exif_transpose`, then their `convert_to_rgb`); docs/decisions/0028-pictures.md says where they do what nobody expects.
 * @param loaded bytes of a PNG, JPEG, WebP or GIF file, or pixels, which are given back
 * @param name whose they are, for errors
 * @throws DataError with the name, what is wrong with the file and what to do
 */
export function decodePicture(
  loaded: Uint8Array | RgbPixels,
  name: string,
  limits: PictureLimits = {},
): RgbPixels {
  if (!(loaded instanceof Uint8Array)) return checkedPixels(loaded, name);
  return namedPicture(name, () => {
    const { format, header } = opened(loaded, limits);
    return upright(format.decode(loaded), header.orientation);
  });
}

/** The size that `decodePicture` gives, without unpacking the pixels. @throws DataError as it does for a header */
export function pictureSize(
  loaded: Uint8Array | RgbPixels,
  name: string,
  limits: PictureLimits = {},
): PictureSize {
  if (!(loaded instanceof Uint8Array)) {
    const { width, height } = checkedPixels(loaded, name);
    return { width, height };
  }
  return namedPicture(name, () => {
    const { width, height, orientation } = opened(loaded, limits).header;
    return swapsSides(orientation) ? { width: height, height: width } : { width, height };
  });
}

function opened(bytes: Uint8Array, limits: PictureLimits): { format: PictureFormat; header: PictureHeader } {
  const { pixels = MAX_PIXELS, bytes: most = MAX_BYTES } = limits;
  if (bytes.length === 0)
    throw new PictureFault("the file is empty", "put the picture there, or take the row out");
  if (bytes.length > most)
    throw new PictureFault(
      `the file has ${bytes.length} bytes, more than ${most}`,
      "save the picture smaller",
    );
  const format = FORMATS.find((one) => one.matches(bytes));
  if (format === undefined)
    throw new PictureFault(
      `it is no ${FORMATS.map(({ name }) => name).join(", ")} file${guess(bytes)}`,
      "give a file of these formats; its name does not matter",
    );
  const header = format.header(bytes);
  const { width, height } = header;
  if (width === 0 || height === 0)
    throw new PictureFault(
      `its header says ${width} x ${height} pixels`,
      "save the picture anew in an image editor",
    );
  if (width * height > pixels)
    throw new PictureFault(
      `its header says ${width} x ${height} pixels, more than ${pixels} in all`,
      "make the picture smaller, or take the row out if it should not be that large",
    );
  return { format, header };
}

/** What a file that is none of ours begins with, in words. */
function guess(bytes: Uint8Array): string {
  const begin = latin1(bytes.subarray(0, 64));
  const box = begin.slice(4, 12);
  const kinds: [boolean, string][] = [
    [begin.startsWith("BM"), "a BMP"],
    [begin.startsWith("II*\0") || begin.startsWith("MM\0*"), "a TIFF"],
    [/^ftypavi[fs]/.test(box), "an AVIF"],
    [/^ftyp(hei|hev|mif)/.test(box), "a HEIC"],
    [begin.startsWith("\xff\x0a") || box === "JXL \r\n\x87\n", "a JPEG XL"],
    [begin.startsWith("%PDF"), "a PDF"],
    [/^\s*(<\?xml|<svg)/i.test(begin), "an SVG or XML"],
    [/^\s*<(!doctype|html)/i.test(begin), "a web page, as a failed download leaves behind"],
    [begin.startsWith("version https://git-lfs"), "a pointer of Git LFS: `git lfs pull` fetches the file"],
    [begin.startsWith("PK\x03\x04"), "a zip archive"],
  ];
  const kind = kinds.find(([is]) => is);
  return kind === undefined ? "" : `, but looks like ${kind[1]}`;
}

function checkedPixels(pixels: RgbPixels, name: string): RgbPixels {
  const { width, height, data } = pixels;
  const whole = Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0;
  if (whole && data instanceof Uint8Array && data.length === width * height * 3) return pixels;
  throw new DataError(
    `${name}: ${width} x ${height} pixels need ${width * height * 3} bytes of red, green and blue, and there are ${data?.length}. ` +
      "Give three bytes for each pixel, row by row.",
  );
}
