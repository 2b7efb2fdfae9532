/** Pictures of a prompt: what stands for them in its text, and where their image tokens are among its ids. */
import { DataError } from "../lib/errors.ts";
import { measurePicture, PictureCache } from "../pictures/cache.ts";
import type { Picture, PictureProcessor, PromptPictures, Tokenizer } from "../types.ts";

export { picturesOf } from "../pictures/shown.ts";

/** Pictures come again from step to step and from stage to stage. */
const cache = new PictureCache();

/** "size": of each picture only the header is read, which tells what it takes of a prompt. */
export type Look = "pixels" | "size";

/** Texts and tiles of pictures, as the model reads them. @throws DataError naming a picture that cannot be read */
export function lookAt(
  pictures: readonly Picture[],
  tokenizer: Tokenizer,
  promptId: string,
  look: Look,
): Seen | null {
  if (pictures.length === 0) return null;
  const reader = processorOf(tokenizer, promptId);
  if (look === "size") {
    return { reader, texts: pictures.map((picture) => measurePicture(reader, picture).text), tiles: null };
  }
  const processed = pictures.map((picture) => cache.processed(reader, picture));
  return { reader, texts: processed.map(({ text }) => text), tiles: processed.flatMap(({ tiles }) => tiles) };
}

export interface Seen {
  reader: PictureProcessor;
  /** What stands for each. */
  texts: string[];
  /** null: only sizes were looked at. */
  tiles: PromptPictures["tiles"] | null;
}

/** @throws DataError where the model sees no pictures */
function processorOf(tokenizer: Tokenizer, promptId: string): PictureProcessor {
  if (tokenizer.pictures !== undefined) return tokenizer.pictures;
  throw new DataError(
    `prompt ${promptId} shows a picture, and the model sees none: name a vision-language model with its preprocessor_config.json, or leave the pictures out`,
  );
}

/**
 * A rendered text with what stands for each picture in the place of its placeholder.
 * @param texts of the pictures in order; a beginning of a conversation may show fewer of them
 * @param whole every picture must have its place
 * @throws DataError that gives both counts
 */
export function expanded(text: string, seen: Seen | null, promptId: string, whole = true): string {
  if (seen === null) return text;
  const { texts, reader } = seen;
  const { placeholder } = reader;
  const parts = text.split(placeholder);
  const places = parts.length - 1;
  if (whole ? places !== texts.length : places > texts.length) {
    throw new DataError(
      `prompt ${promptId} has ${texts.length} pictures and ${places} places for them (${placeholder}): ` +
        "each picture needs one in the prompt's text, and the text may hold no other",
    );
  }
  return parts.map((part, i) => (i < places ? part + texts[i]! : part)).join("");
}

/** Where the image tokens of a prompt's tiles stand; null where it has none. @param ids of the whole prompt */
export function placed(ids: ArrayLike<number>, seen: Seen | null, promptId: string): PromptPictures | null {
  if (seen === null || seen.tiles === null) return null;
  const { reader, tiles } = seen;
  const { imageTokenId, placeholder } = reader;
  const at = Array.from(ids).flatMap((id, i) => (id === imageTokenId ? [i] : []));
  const wanted = tiles.reduce((sum, { tokens }) => sum + tokens, 0);
  if (at.length !== wanted) {
    throw new DataError(
      `prompt ${promptId} has ${at.length} image tokens (${placeholder}, id ${imageTokenId}) and its pictures make ${wanted}: the tokenizer and preprocessor_config.json do not belong together`,
    );
  }
  return { tiles, at: Int32Array.from(at) };
}
