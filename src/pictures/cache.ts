import type { Picture, PictureProcessor, ProcessedPicture } from "../types.ts";
import { decodePicture, type PictureLimits, pictureSize } from "./decode.ts";
import { namedPicture } from "./fault.ts";

export const CACHE_BYTES = 256 * 1024 * 1024;

/** Image tokens and text of a picture, of its header alone. @throws DataError naming the picture */
export function measurePicture(processor: PictureProcessor, picture: Picture, limits: PictureLimits = {}) {
  const size = pictureSize(picture.load(), picture.name, limits);
  return namedPicture(picture.name, () => processor.measure(size));
}

/**
 * Pictures as processors made them, by `Picture.id`, the longest unused of them let go first.
 * What a picture becomes does not depend on what is kept.
 */
export class PictureCache {
  /** Bytes of the patches that are kept. */
  bytes = 0;
  private readonly limit: number;
  private readonly limits: PictureLimits;
  /** In the order of their last use. */
  private readonly kept = new Map<string, { processed: ProcessedPicture; bytes: number }>();
  private readonly processors: PictureProcessor[] = [];

  /** @param bytes at most kept @param limits of what is decoded */
  constructor(bytes: number = CACHE_BYTES, limits: PictureLimits = {}) {
    this.limit = bytes;
    this.limits = limits;
  }

  get size(): number {
    return this.kept.size;
  }

  /** @throws DataError naming the picture */
  processed(processor: PictureProcessor, picture: Picture): ProcessedPicture {
    const key = `${this.numberOf(processor)} ${picture.id}`;
    const known = this.kept.get(key);
    if (known !== undefined) {
      this.kept.delete(key);
      this.kept.set(key, known);
      return known.processed;
    }
    const pixels = decodePicture(picture.load(), picture.name, this.limits);
    const processed = namedPicture(picture.name, () => processor.process(pixels));
    this.keep(key, processed);
    return processed;
  }

  private numberOf(processor: PictureProcessor): number {
    const known = this.processors.indexOf(processor);
    return known >= 0 ? known : this.processors.push(processor) - 1;
  }

  private keep(key: string, processed: ProcessedPicture): void {
    const bytes = processed.tiles.reduce((sum, { patches }) => sum + patches.byteLength, 0);
    if (bytes > this.limit) return;
    this.kept.set(key, { processed, bytes });
    this.bytes += bytes;
    for (const [oldest, entry] of this.kept) {
      if (this.bytes <= this.limit) return;
      this.kept.delete(oldest);
      this.bytes -= entry.bytes;
    }
  }
}
