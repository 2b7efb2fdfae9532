import type { Picture, PictureProcessor, ProcessedPicture } from "../types.ts";

/** A picture as a model reads it. */
export function processedPicture(processor: PictureProcessor, picture: Picture): ProcessedPicture {
  const loaded = picture.load();
  if (loaded instanceof Uint8Array) throw new RangeError("files of pictures are not decoded yet");
  return processor.process(loaded);
}
