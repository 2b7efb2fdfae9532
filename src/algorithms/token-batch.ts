/** Rows of tokens to the fixed-shape arrays of one forward pass. */
import type { TokenBatch } from "../policy/interfaces.ts";

/** Tokens a row holds, and which of them carry loss. */
export interface TokenRow {
  prompt: ArrayLike<number>; // [S]
  completion: ArrayLike<number>; // [T], every token is scored
}

/** Lengths are rounded up to these steps, so that a compiled program serves many batches. */
export function bucket(length: number): number {
  const step = length <= 64 ? 8 : length <= 256 ? 16 : length <= 1024 ? 64 : 256;
  return Math.ceil(length / step) * step;
}

/**
 * One segment per row, padded on the right.
 * @returns the batch, and where each row's scored tokens lie in it: row i owns scored [starts[i], starts[i+1])
 */
export function padRows(rows: readonly TokenRow[]): { batch: TokenBatch; starts: number[] } {
  return packRows(rows.map((row) => [row]));
}

/**
 * Several segments per row, each seeing only itself.
 * @param packed segments of each row, in order
 * @param rowLength pad to this length; bucketed from the longest row when absent
 * @returns the batch, and per segment (in reading order) where its scored tokens start; one more entry ends the last
 */
export function packRows(
  packed: readonly (readonly TokenRow[])[],
  rowLength?: number,
): { batch: TokenBatch; starts: number[] } {
  const size = ({ prompt, completion }: TokenRow) => prompt.length + completion.length;
  const longest = Math.max(0, ...packed.map((row) => row.reduce((sum, segment) => sum + size(segment), 0)));
  const length = rowLength ?? bucket(longest);
  if (longest > length) throw new RangeError(`a row of ${longest} tokens does not fit into ${length}`);
  const rows = packed.length;
  const tokens = new Int32Array(rows * length);
  const segments = new Int32Array(rows * length);
  const positions = new Int32Array(rows * length);
  const scoredAt: number[] = [];
  const targets: number[] = [];
  const starts = [0];
  for (const [r, row] of packed.entries()) {
    let at = r * length;
    for (const [s, { prompt, completion }] of row.entries()) {
      if (prompt.length === 0) throw new RangeError("a segment needs at least one prompt token");
      for (let i = 0; i < prompt.length + completion.length; i++, at++) {
        const token = i < prompt.length ? prompt[i]! : completion[i - prompt.length]!;
        tokens[at] = token;
        segments[at] = s + 1;
        positions[at] = i;
        if (i >= prompt.length) {
          scoredAt.push(at - 1);
          targets.push(token);
        }
      }
      starts.push(scoredAt.length);
    }
  }
  const scored = scoredBucket(scoredAt.length);
  const batch: TokenBatch = {
    rows,
    length,
    tokens,
    segments,
    positions,
    scoredAt: padded(scoredAt, scored),
    targets: padded(targets, scored),
  };
  return { batch, starts };
}

/** Scored tokens are padded too (at index 0, to be weighted 0): to steps of an eighth of their number. */
function scoredBucket(count: number): number {
  const step = Math.max(32, 2 ** Math.floor(Math.log2(Math.max(1, count)) - 3));
  return Math.max(step, Math.ceil(count / step) * step);
}

function padded(values: readonly number[], length: number): Int32Array {
  const out = new Int32Array(length);
  out.set(values);
  return out;
}

/**
 * Spreads per-token values over the scored slots; padding is 0.
 * @param values one list per segment, as long as its completion
 */
export function spread(
  starts: readonly number[],
  size: number,
  values: (segment: number, token: number) => number,
): Float32Array {
  const out = new Float32Array(size);
  for (let segment = 0; segment + 1 < starts.length; segment++) {
    for (let k = starts[segment]!; k < starts[segment + 1]!; k++)
      out[k] = values(segment, k - starts[segment]!);
  }
  return out;
}

/**
 * First-fit packing in the given order: deterministic, and no example is cut.
 * @throws RangeError when one example alone is longer than a row
 */
export function firstFit<T extends TokenRow>(examples: readonly T[], rowLength: number): T[][] {
  const rows: { left: number; segments: T[] }[] = [];
  for (const example of examples) {
    const size = example.prompt.length + example.completion.length;
    if (size > rowLength)
      throw new RangeError(`an example of ${size} tokens does not fit into a row of ${rowLength}`);
    let row = rows.find(({ left }) => left >= size);
    if (row === undefined) {
      row = { left: rowLength, segments: [] };
      rows.push(row);
    }
    row.segments.push(example);
    row.left -= size;
  }
  return rows.map(({ segments }) => segments);
}
