import type { PictureTile, PromptPictures } from "../types.ts";
import type { BatchPictures } from "./interfaces.ts";

/** A prompt's pictures, and the flat index in the batch of its first token. */
export interface PlacedPictures {
  start: number;
  pictures: PromptPictures | null | undefined;
}

/**
 * Pictures of a batch, each tile once however many rows show it.
 * @param size tokens of the batch, R * length
 * @param filled tiles that the tower is given for so many; as they are when absent
 * @returns null where there are none
 */
export function batchPictures(
  placed: readonly PlacedPictures[],
  size: number,
  filled: (tiles: number) => number = (tiles) => tiles,
): BatchPictures | null {
  /** First row of each tile among the tower's. */
  const first = new Map<PictureTile, number>();
  let next = 0;
  const rows = new Int32Array(size).fill(-1);
  for (const { start, pictures } of placed) {
    if (pictures == null) continue;
    let k = 0;
    for (const tile of pictures.tiles) {
      if (!first.has(tile)) {
        first.set(tile, next);
        next += tile.tokens;
      }
      for (let i = 0; i < tile.tokens; i++) rows[start + pictures.at[k++]!] = first.get(tile)! + i;
    }
  }
  if (first.size === 0) return null;
  const empty = new Array<null>(filled(first.size) - first.size).fill(null);
  return { tiles: [...first.keys(), ...empty], rows };
}
