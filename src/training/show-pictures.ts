/** Pictures of a dataset, for people: their names and sizes, and which of them are the same. */
import { createHash } from "node:crypto";
import { DataError } from "../lib/errors.ts";
import { pictureSize } from "../pictures/decode.ts";
import { picturesOf } from "../rollouts/pictures.ts";
import type { Picture, Prompt, RgbPixels } from "../types.ts";

/** Bytes of pictures that are read to find the same one under two names. */
const MOST_READ = 2 ** 31;

export interface PictureCounts {
  /** Of all rows that were counted. */
  pictures: number;
  /** Pictures that an earlier row has, under any name. */
  duplicates: number;
  /** Pictures that the other part has, too; null without another part. */
  shared: number | null;
  /** Pictures that were told by their names alone, as the bytes of others were enough to read. */
  unread: number;
}

/** What a picture is by its content, however it is called. */
export function pictureContents(): { of(picture: Picture): string; unread(): number } {
  let read = 0;
  let unread = 0;
  const known = new Map<string, string>();
  return {
    of(picture) {
      const before = known.get(picture.id);
      if (before !== undefined) return before;
      let content = picture.id;
      if (read > MOST_READ) unread++;
      else {
        const loaded = picture.load();
        const bytes = loaded instanceof Uint8Array ? loaded : loaded.data;
        read += bytes.length;
        content = createHash("sha256").update(shapeOf(loaded)).update(bytes).digest("hex").slice(0, 32);
      }
      known.set(picture.id, content);
      return content;
    },
    unread: () => unread,
  };
}

const shapeOf = (loaded: Uint8Array | RgbPixels): string =>
  loaded instanceof Uint8Array ? "" : `${loaded.width}x${loaded.height}`;

/** Of a prompt's pictures in order: "[image cat.png 640x480]" */
export function pictureTexts(prompt: Prompt): string[] {
  return picturesOf(prompt).map((picture) => {
    try {
      const { width, height } = pictureSize(picture.load(), picture.name);
      return `[image ${picture.name} ${width}x${height}]`;
    } catch (error) {
      // what is wrong with it is said by what decodes it
      if (!(error instanceof DataError)) throw error;
      return `[image ${picture.name}]`;
    }
  });
}
