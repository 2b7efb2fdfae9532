/** What attention needs of a batch besides its activations: rotary tables and masks, made on the host. */
import * as tf from "@tensorflow/tfjs";
import { RlptError } from "../lib/errors.ts";
import type { DecoderConfig, TokenBatch } from "./interfaces.ts";
import { ropeTables } from "./rope.ts";

/** Added to scores of hidden keys; finite, so that a row of them is no NaN. */
export const hiddenKey = -1e30;

export interface BatchContext {
  rows: number; // R
  length: number; // T
  /** [1 or R, T, D/2] */
  cos: tf.Tensor3D;
  sin: tf.Tensor3D;
  /** Additive mask [1 or R, T, T] of each layer; layers with one window share a tensor. */
  masks: tf.Tensor3D[];
}

/**
 * Tables and masks of a batch. Rows that hold one sample from slot 0 on share one causal mask and one table;
 * packed or left-padded batches get one of each per row.
 * @throws RlptError when a position is beyond the model's
 */
export function batchContext(config: DecoderConfig, batch: TokenBatch): BatchContext {
  const { rows, length } = batch;
  checkPositions(config, batch);
  const plain = isPlain(batch);
  const tableRows = plain ? 1 : rows;
  const positions = plain ? Int32Array.from({ length }, (_, i) => i) : batch.positions;
  const { cos, sin } = ropeTables(positions, config);
  const tableShape: [number, number, number] = [tableRows, length, config.headDim / 2];
  const byWindow = new Map<number | null, tf.Tensor3D>();
  const masks = config.windows.map((window) => {
    const known = byWindow.get(window);
    if (known) return known;
    const values = plain ? causalMask(length, window) : segmentMask(batch, window);
    const mask = tf.tensor3d(values, [tableRows, length, length]);
    byWindow.set(window, mask);
    return mask;
  });
  return { rows, length, cos: tf.tensor3d(cos, tableShape), sin: tf.tensor3d(sin, tableShape), masks };
}

function checkPositions(config: DecoderConfig, batch: TokenBatch): void {
  for (let i = 0; i < batch.positions.length; i++) {
    if (batch.segments[i] !== 0 && batch.positions[i]! >= config.maxPositions) {
      throw new RlptError(
        `row ${Math.floor(i / batch.length)} has a token at position ${batch.positions[i]}; ` +
          `the model has ${config.maxPositions} (max_position_embeddings): use shorter prompts or completions`,
      );
    }
  }
}

/** One sample per row, from slot 0 on, padding behind it. */
export function isPlain(batch: TokenBatch): boolean {
  for (let row = 0; row < batch.rows; row++) {
    const start = row * batch.length;
    const segment = batch.segments[start]!;
    let padded = false;
    for (let slot = 0; slot < batch.length; slot++) {
      const here = batch.segments[start + slot]!;
      if (here === 0) padded = true;
      else if (padded || here !== segment || batch.positions[start + slot] !== slot) return false;
    }
  }
  return true;
}

/** [T, T]: query i sees key j for i - window < j <= i. */
function causalMask(length: number, window: number | null): Float32Array {
  const mask = new Float32Array(length * length).fill(hiddenKey);
  for (let i = 0; i < length; i++) {
    mask.fill(0, i * length + firstVisible(i, window), i * length + i + 1);
  }
  return mask;
}

function firstVisible(slot: number, window: number | null): number {
  return window === null ? 0 : Math.max(0, slot - window + 1);
}

/** [R, T, T]: the causal mask within segments; padding sees itself alone. */
function segmentMask(batch: TokenBatch, window: number | null): Float32Array {
  const { rows, length, segments } = batch;
  const mask = new Float32Array(rows * length * length).fill(hiddenKey);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < length; i++) {
      const segment = segments[row * length + i]!;
      const at = (row * length + i) * length;
      mask[at + i] = 0;
      if (segment === 0) continue;
      for (let j = firstVisible(i, window); j < i; j++) {
        if (segments[row * length + j] === segment) mask[at + j] = 0;
      }
    }
  }
  return mask;
}
