import type { Picture } from "../types.ts";
import { decodePicture, type PictureLimits } from "./decode.ts";
import { resize } from "./resize.ts";
import { writePng } from "./write-png.ts";

/** Pixels of the longer side at most. A PNG of it has less than 28 KiB, whatever it shows. */
export const THUMBNAIL_SIDE = 96;

const BILINEAR = 2;

export interface Thumbnail {
  /** Of the picture itself, upright: what boxes count in. */
  width: number;
  height: number;
  /** Of the picture at THUMBNAIL_SIDE, or as it is where it is smaller. */
  png: Uint8Array;
}

/** @throws DataError naming a picture that cannot be read */
export function thumbnail(picture: Picture, limits: PictureLimits = {}): Thumbnail {
  const pixels = decodePicture(picture.load(), picture.name, limits);
  const { width, height } = pixels;
  const scale = Math.min(1, THUMBNAIL_SIDE / Math.max(width, height));
  const side = (length: number) => Math.max(1, Math.round(length * scale));
  return { width, height, png: writePng(resize(pixels, side(width), side(height), BILINEAR)) };
}
