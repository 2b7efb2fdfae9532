/** A tower that sees pictures: rows that stand in the place of embedded image tokens. */
import * as tf from "@tensorflow/tfjs";
import { overDevices } from "../backend/devices.ts";
import { embedding } from "../backend/ops.ts";
import type { PictureTile } from "../types.ts";
import type { BatchPictures, DecoderConfig, VisionConfig } from "./interfaces.ts";
import { type Rematerialisation, throughLayer } from "./layer.ts";
import { linear, norm, type WeightView, weight } from "./linear.ts";

/**
 * Embedded tokens with the tower's rows in the places of image tokens, whose own embeddings get no gradient.
 * @param words [N, H]
 * @returns [N, H]
 */
export function withPictures(
  { vision }: DecoderConfig,
  words: tf.Tensor2D,
  { tiles, rows }: BatchPictures,
  view: WeightView,
  plan: Rematerialisation | null,
): tf.Tensor2D {
  if (vision === null) throw new RangeError("a batch has pictures, and the model sees none");
  const seen = tileRows(vision, tiles, view, plan);
  const count = words.shape[0];
  const index = Int32Array.from(rows, (row, token) => (row < 0 ? token : count + row));
  const both = tf.concat([words, seen], 0) as tf.Tensor2D;
  return overDevices(embedding(both, overDevices(tf.tensor1d(index, "int32"))));
}

/** Rows that the tower makes of a tile. */
export function tokensPerTile({ positions, connector }: VisionConfig): number {
  return positions.count / connector.scale ** 2;
}

/** @param tiles null: one that nobody looks at @returns rows of all tiles, one after the other [n * tokens, H] */
function tileRows(
  vision: VisionConfig,
  tiles: readonly (PictureTile | null)[],
  view: WeightView,
  plan: Rematerialisation | null,
): tf.Tensor2D {
  const { patch, positions, hiddenSize, connector } = vision;
  const [count, patches] = [tiles.length, positions.count];
  const inputs = patch.shape.slice(1).reduce((product, size) => product * size, 1); // K
  const values = overDevices(() =>
    tf.tensor2d(patchValues(tiles, patches, inputs), [count * patches, inputs]),
  );
  const matrix = tf.reshape(weight(view, `${patch.module}.weight`), [hiddenSize, inputs]) as tf.Tensor2D;
  let x = tf.matMul(values, matrix, false, true) as tf.Tensor2D;
  if (patch.bias) x = tf.add(x, weight(view, `${patch.module}.bias`));
  const table = weight<tf.Tensor2D>(view, `${positions.module}.weight`);
  x = tf.reshape(tf.add(tf.reshape(x, [count, patches, hiddenSize]), table), [count * patches, hiddenSize]);
  const context = { rows: count, length: patches, tables: {}, completions: null };
  for (const n of vision.layers.keys()) x = throughLayer(vision, n, x, view, context, plan);
  x = norm(vision.norm, vision.finalNorm, x, view);
  return linear(shuffled(x, count, Math.sqrt(patches), connector.scale), connector.projection, view);
}

/**
 * Idefics3's pixel shuffle: patches of a block, row by row, become one row.
 * @param x [n * side * side, E]
 * @returns [n * (side / scale)^2, scale^2 E]
 */
function shuffled(x: tf.Tensor2D, count: number, side: number, scale: number): tf.Tensor2D {
  const width = x.shape[1];
  const across = side / scale;
  const blocks = tf.reshape(x, [count * across, scale, across, scale * width]) as tf.Tensor4D;
  return tf.reshape(tf.transpose(blocks, [0, 2, 1, 3]), [count * across * across, scale * scale * width]);
}

function patchValues(tiles: readonly (PictureTile | null)[], patches: number, inputs: number): Float32Array {
  const size = patches * inputs;
  const values = new Float32Array(tiles.length * size);
  for (const [i, tile] of tiles.entries()) {
    if (tile === null) continue;
    if (tile.patches.length !== size) {
      throw new RangeError(
        `a tile has ${tile.patches.length} values, the tower takes ${patches} x ${inputs}`,
      );
    }
    values.set(tile.patches, i * size);
  }
  return values;
}
