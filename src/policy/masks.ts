/** Which tokens see which, as numbers on the host. */
import type { TokenBatch } from "./interfaces.ts";

/** Added to scores of hidden keys; finite, so that a row of them is no NaN. */
export const hiddenKey = -1e30;

/** Tokens of a chunk of the delta rule at most: within one, cost grows with the square; memories are made one by one between. */
const LARGEST_CHUNK = 64;

/** Tokens of a chunk of the delta rule, C: a power of two. */
export function chunkOf(length: number): number {
  return Math.min(LARGEST_CHUNK, 2 ** Math.ceil(Math.log2(Math.max(1, length))));
}

/**
 * Of rows that hold several samples: what a token reaches of the delta rule's memory, [R, n C, 1 + C], added to what is left of
 * it. The first column is the memory before the token's chunk, the others are the tokens of that chunk. Padding goes with the
 * sample before it.
 */
export function reachMask({ rows, length, segments }: TokenBatch): {
  values: Float32Array;
  slots: number;
  columns: number;
} {
  const size = chunkOf(length);
  const slots = Math.ceil(length / size) * size;
  const columns = 1 + size;
  const values = new Float32Array(rows * slots * columns).fill(hiddenKey);
  for (let row = 0; row < rows; row++) {
    const sample = new Int32Array(slots);
    for (let slot = 0; slot < slots; slot++) {
      const own = slot < length ? segments[row * length + slot]! : 0;
      sample[slot] = own !== 0 || slot === 0 ? own : sample[slot - 1]!;
    }
    for (let slot = 0; slot < slots; slot++) {
      const at = (row * slots + slot) * columns;
      const chunk = slot - (slot % size);
      if (chunk === 0 || sample[chunk - 1] === sample[slot]) values[at] = 0;
      for (let j = chunk; j <= slot; j++) if (sample[j] === sample[slot]) values[at + 1 + j - chunk] = 0;
    }
  }
  return { values, slots, columns };
}

/** [T, T]: query i sees key j for i - window < j <= i. */
export function causalMask(length: number, window: number | null): Float32Array {
  const mask = new Float32Array(length * length).fill(hiddenKey);
  for (let i = 0; i < length; i++) {
    mask.fill(0, i * length + firstVisible(i, window), i * length + i + 1);
  }
  return mask;
}

/**
 * [to - from, to]: slots from `from` on see earlier ones and themselves, but for the first `padding`; these see
 * themselves alone.
 */
export function prefixedMask(from: number, to: number, padding: number, window: number | null): Float32Array {
  const mask = new Float32Array((to - from) * to).fill(hiddenKey);
  for (let i = from; i < to; i++) {
    const at = (i - from) * to;
    const first = i < padding ? i : Math.max(padding, firstVisible(i, window));
    mask.fill(0, at + first, at + i + 1);
  }
  return mask;
}

function firstVisible(slot: number, window: number | null): number {
  return window === null ? 0 : Math.max(0, slot - window + 1);
}

/** [R, T, T]: the causal mask within segments; padding sees itself alone. */
export function segmentMask(batch: TokenBatch, window: number | null): Float32Array {
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
