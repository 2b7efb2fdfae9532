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
 * @param filled tiles that the tower is given for so many, and rows that it makes of a tile for so many at most; as they are
 *   when absent
 * @returns null where there are none
 */
export function batchPictures(
  placed: readonly PlacedPictures[],
  size: number,
  filled: { tiles?: (count: number) => number; tileTokens?: ((most: number) => number) | undefined } = {},
): BatchPictures | null {
  const all = placed.flatMap(({ pictures }) => pictures?.tiles ?? []);
  if (all.length === 0) return null;
  const most = Math.max(...all.map(({ tokens }) => tokens));
  const tileTokens = filled.tileTokens?.(most) ?? most;
  /** First row of each tile among the tower's. */
  const first = new Map<PictureTile, number>();
  const rows = new Int32Array(size).fill(-1);
  for (const { start, pictures } of placed) {
    if (pictures == null) continue;
    let k = 0;
    for (const tile of pictures.tiles) {
      if (!first.has(tile)) first.set(tile, first.size * tileTokens);
      for (let i = 0; i < tile.tokens; i++) rows[start + pictures.at[k++]!] = first.get(tile)! + i;
    }
  }
  const count = filled.tiles?.(first.size) ?? first.size;
  const empty = new Array<null>(count - first.size).fill(null);
  return { tiles: [...first.keys(), ...empty], tileTokens, rows };
}
