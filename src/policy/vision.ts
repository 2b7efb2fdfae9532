/** A tower that sees pictures: rows that stand in the place of embedded image tokens. */
import * as tf from "@tensorflow/tfjs";
import { gelu } from "../backend/activations.ts";
import { overDevices } from "../backend/devices.ts";
import { embedding } from "../backend/ops.ts";
import type { PictureTile } from "../types.ts";
import type { BatchPictures, DecoderConfig, VisionConfig } from "./interfaces.ts";
import { type Rematerialisation, throughLayer } from "./layer.ts";
import { linear, norm, type WeightView, weight } from "./linear.ts";
import { towerTables } from "./vision-tables.ts";

/**
 * Embedded tokens with the tower's rows in the places of image tokens, whose own embeddings get no gradient.
 * @param words [N, H]
 * @returns [N, H]
 */
export function withPictures(
  { vision }: DecoderConfig,
  words: tf.Tensor2D,
  pictures: BatchPictures,
  view: WeightView,
  plan: Rematerialisation | null,
): tf.Tensor2D {
  if (vision === null) throw new RangeError("a batch has pictures, and the model sees none");
  const seen =
    view.seen === undefined
      ? tileRows(vision, pictures, view, plan)
      : keptRows(pictures, words.shape[1], view.seen);
  const count = words.shape[0];
  const index = Int32Array.from(pictures.rows, (row, token) => (row < 0 ? token : count + row));
  const both = tf.concat([words, seen], 0) as tf.Tensor2D;
  return overDevices(embedding(both, overDevices(tf.tensor1d(index, "int32"))));
}

/** Steps of a tile's rows where each new number costs a compilation; undefined: all tiles have one size anyway. */
export function fewTileTokens({ vision }: DecoderConfig): ((most: number) => number) | undefined {
  if (vision?.positions.kind !== "axial") return undefined;
  // an eighth of padding at most, in the area of a tile
  return (most) => {
    const step = Math.max(4, 2 ** (Math.floor(Math.log2(most)) - 2));
    return Math.ceil(most / step) * step;
  };
}

/** The same of rows that were made before. */
function keptRows(
  { tiles, tileTokens }: BatchPictures,
  width: number,
  seen: (tile: PictureTile) => tf.Tensor2D,
): tf.Tensor2D {
  const padded = tiles.map((tile) => {
    if (tile === null) return tf.zeros([tileTokens, width]) as tf.Tensor2D;
    const rows = seen(tile);
    const missing = tileTokens - rows.shape[0];
    return missing === 0
      ? rows
      : (tf.pad(rows, [
          [0, missing],
          [0, 0],
        ]) as tf.Tensor2D);
  });
  return overDevices(padded.length === 1 ? padded[0]! : (tf.concat(padded, 0) as tf.Tensor2D));
}

/** What the tower makes of one tile, in a shape that others have too. @returns [tokens, H] */
export function featuresOf(config: DecoderConfig, tile: PictureTile, view: WeightView): tf.Tensor2D {
  const tileTokens = fewTileTokens(config)?.(tile.tokens) ?? tile.tokens;
  const rows = tileRows(config.vision!, { tiles: [tile], tileTokens }, view, null);
  return tf.slice(rows, [0, 0], [tile.tokens, -1]);
}

/** @returns rows of all tiles, one after the other [n * tileTokens, H] */
function tileRows(
  vision: VisionConfig,
  { tiles, tileTokens }: Omit<BatchPictures, "rows">,
  view: WeightView,
  plan: Rematerialisation | null,
): tf.Tensor2D {
  const { patch, positions, hiddenSize, connector } = vision;
  const count = tiles.length;
  const patches = tileTokens * connector.scale ** 2;
  const inputs = patch.shape.slice(1).reduce((product, size) => product * size, 1); // K
  if (positions.kind === "learned" && positions.count !== patches) {
    throw new RangeError(`tiles have ${patches} patches, the tower's have ${positions.count}`);
  }
  const values = overDevices(() =>
    tf.tensor2d(patchValues(tiles, patches, inputs), [count * patches, inputs]),
  );
  const matrix = tf.reshape(weight(view, `${patch.module}.weight`), [hiddenSize, inputs]) as tf.Tensor2D;
  let x = tf.matMul(values, matrix, false, true) as tf.Tensor2D;
  if (patch.bias) x = tf.add(x, weight(view, `${patch.module}.bias`));
  if (positions.kind === "learned") {
    const table = weight<tf.Tensor2D>(view, `${positions.module}.weight`);
    x = tf.reshape(tf.add(tf.reshape(x, [count, patches, hiddenSize]), table), [count * patches, hiddenSize]);
  }
  const tables = towerTables(vision, tiles, patches);
  for (const n of vision.layers.keys()) {
    const context = { rows: count, length: patches, tables: tables(n), completions: null };
    x = throughLayer(vision, n, x, view, context, plan);
  }
  return connected(vision, norm(vision.norm, vision.finalNorm, x, view), count, view);
}

/** @param x [n * patches, E] @returns [n * patches / scale^2, H] */
function connected(
  { connector, norm: kind }: VisionConfig,
  x: tf.Tensor2D,
  count: number,
  view: WeightView,
): tf.Tensor2D {
  const { scale } = connector;
  const [rows, width] = x.shape;
  if (connector.kind === "merger") {
    const cells = tf.reshape(norm(kind, connector.norm, x, view), [rows / scale ** 2, scale ** 2 * width]);
    return linear(gelu(linear(cells as tf.Tensor2D, connector.up, view)), connector.down, view);
  }
  const side = Math.sqrt(rows / count);
  const across = side / scale;
  const blocks = tf.reshape(x, [count * across, scale, across, scale * width]) as tf.Tensor4D;
  const cells = tf.reshape(tf.transpose(blocks, [0, 2, 1, 3]), [rows / scale ** 2, scale ** 2 * width]);
  return linear(cells as tf.Tensor2D, connector.projection, view);
}

function patchValues(tiles: readonly (PictureTile | null)[], patches: number, inputs: number): Float32Array {
  const values = new Float32Array(tiles.length * patches * inputs);
  for (const [i, tile] of tiles.entries()) {
    if (tile === null) continue;
    const { rows, columns, patches: own } = tile;
    if (own.length !== rows * columns * inputs || rows * columns > patches) {
      throw new RangeError(
        `a tile of ${rows} x ${columns} patches has ${own.length} values, the tower takes ${patches} x ${inputs}`,
      );
    }
    values.set(own, i * patches * inputs);
  }
  return values;
}
