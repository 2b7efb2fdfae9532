/** Pictures of a prompt: what stands for them in its text, and where their image tokens are among its ids. */
import { DataError } from "../lib/errors.ts";
import { PictureCache } from "../pictures/cache.ts";
import type {
  ChatMessage,
  Picture,
  PictureProcessor,
  ProcessedPicture,
  Prompt,
  PromptPictures,
  Tokenizer,
} from "../types.ts";

/** Pictures come again from step to step and from stage to stage. */
const cache = new PictureCache();

/** A picture as the model reads it. @throws DataError naming a picture that cannot be read */
export function processedPicture(reader: PictureProcessor, picture: Picture): ProcessedPicture {
  return cache.processed(reader, picture);
}

/** In the order in which the prompt shows them. */
export function picturesOf({ input }: Pick<Prompt, "input">): readonly Picture[] {
  return input.kind === "text" ? (input.pictures ?? []) : messagePictures(input.messages);
}

export function messagePictures(messages: readonly ChatMessage[]): Picture[] {
  return messages.flatMap(({ content }) =>
    typeof content === "string"
      ? []
      : content.flatMap((part) => (part.type === "image" ? [part.picture] : [])),
  );
}

/** @throws DataError where the model sees no pictures */
export function processorOf(tokenizer: Tokenizer, promptId: string): PictureProcessor {
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
export function expanded(
  text: string,
  texts: readonly string[],
  { placeholder }: PictureProcessor,
  promptId: string,
  whole = true,
): string {
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

/** Where the image tokens of a prompt's tiles stand. @param ids of the whole prompt */
export function placed(
  ids: ArrayLike<number>,
  tiles: PromptPictures["tiles"],
  { imageTokenId, placeholder }: PictureProcessor,
  promptId: string,
): PromptPictures {
  const at = Array.from(ids).flatMap((id, i) => (id === imageTokenId ? [i] : []));
  const wanted = tiles.reduce((sum, { tokens }) => sum + tokens, 0);
  if (at.length !== wanted) {
    throw new DataError(
      `prompt ${promptId} has ${at.length} image tokens (${placeholder}, id ${imageTokenId}) and its pictures make ${wanted}: the tokenizer and preprocessor_config.json do not belong together`,
    );
  }
  return { tiles, at: Int32Array.from(at) };
}
