/** What a tower's layers need besides patches: rotation by row and column, and which patches see each other. */
import * as tf from "@tensorflow/tfjs";
import { overDevices } from "../backend/devices.ts";
import type { PictureTile } from "../types.ts";
import type { LayerTables } from "./batch-context.ts";
import type { VisionConfig } from "./interfaces.ts";
import { hiddenKey } from "./masks.ts";

type Tiles = readonly (PictureTile | null)[];

/** @param patches of a tile, padding included @returns the tables of layer n; layers of one kind share theirs */
export function towerTables(vision: VisionConfig, tiles: Tiles, patches: number): (n: number) => LayerTables {
  const { windows, positions, connector } = vision;
  const turned =
    positions.kind === "axial" ? axialTables(positions.inverse, connector.scale, tiles, patches) : {};
  const full = maskOf(tiles, patches, null);
  const within =
    windows === null ? full : maskOf(tiles, patches, windows.side * connector.scale, connector.scale);
  const withMask = (mask: tf.Tensor3D | null): LayerTables => (mask === null ? turned : { ...turned, mask });
  const [whole, windowed] = [withMask(full), withMask(within)];
  return (n) => (windows === null || windows.full.includes(n) ? whole : windowed);
}

/** Row and column of each patch of a tile, cells of scale x scale patches one after the other. */
function places({ rows, columns }: PictureTile, scale: number): [row: number, column: number][] {
  const out: [number, number][] = [];
  for (let r = 0; r < rows; r += scale) {
    for (let c = 0; c < columns; c += scale) {
      for (let i = 0; i < scale; i++) for (let j = 0; j < scale; j++) out.push([r + i, c + j]);
    }
  }
  return out;
}

/** @param inverse [Dv/4] @returns cos and sin [n, patches, Dv/2] */
function axialTables(
  inverse: Float64Array,
  scale: number,
  tiles: Tiles,
  patches: number,
): { cos: tf.Tensor3D; sin: tf.Tensor3D } {
  const frequencies = Float32Array.from(inverse);
  const half = 2 * frequencies.length;
  const cos = new Float32Array(tiles.length * patches * half).fill(1);
  const sin = new Float32Array(tiles.length * patches * half);
  for (const [t, tile] of tiles.entries()) {
    if (tile === null) continue;
    for (const [p, place] of places(tile, scale).entries()) {
      for (const [axis, position] of place.entries()) {
        for (const [k, frequency] of frequencies.entries()) {
          const at = (t * patches + p) * half + axis * frequencies.length + k;
          const angle = Math.fround(position * frequency);
          cos[at] = Math.cos(angle);
          sin[at] = Math.sin(angle);
        }
      }
    }
  }
  const shape: [number, number, number] = [tiles.length, patches, half];
  return { cos: overDevices(() => tf.tensor3d(cos, shape)), sin: overDevices(() => tf.tensor3d(sin, shape)) };
}

/**
 * Hides padding, and what is outside of a patch's window. Of an empty tile nobody reads anything.
 * @param side of a window, in patches; null: all patches of a tile see each other
 * @returns [n, patches, patches], null where nothing is hidden
 */
function maskOf(tiles: Tiles, patches: number, side: number | null, scale = 1): tf.Tensor3D | null {
  const real = tiles.map((tile) => (tile === null ? patches : tile.rows * tile.columns));
  if (side === null && real.every((count) => count === patches)) return null;
  const values = new Float32Array(tiles.length * patches * patches).fill(hiddenKey);
  for (const [t, tile] of tiles.entries()) {
    const across = tile === null || side === null ? 1 : Math.ceil(tile.columns / side);
    const windows =
      tile === null || side === null
        ? null
        : places(tile, scale).map(([r, c]) => Math.floor(r / side) * across + Math.floor(c / side));
    for (let query = 0; query < patches; query++) {
      const row = (t * patches + query) * patches;
      for (let key = 0; key < real[t]!; key++) {
        if (windows === null || query >= real[t]! || windows[query] === windows[key]) values[row + key] = 0;
      }
    }
  }
  return overDevices(() => tf.tensor3d(values, [tiles.length, patches, patches]));
}
