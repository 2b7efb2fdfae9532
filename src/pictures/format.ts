import type { RgbPixels } from "../types.ts";

/** What stands before the pixels of a file. */
export interface PictureHeader {
  /** As stored: `orientation` is not applied. */
  width: number;
  height: number;
  /** EXIF's 1 to 8; 1 where none is said, or one that does not exist. */
  orientation: number;
}

/** A file format. Its functions throw a PictureFault and nothing else for bytes that are wrong. */
export interface PictureFormat {
  name: string;
  /** Does a file begin so? */
  matches(bytes: Uint8Array): boolean;
  header(bytes: Uint8Array): PictureHeader;
  /** The first picture of the file as stored, over white where it is transparent. */
  decode(bytes: Uint8Array): RgbPixels;
}
