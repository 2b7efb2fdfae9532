/** Rows of tokens to the fixed-shape arrays of one forward pass. */
import { batchPictures, type PlacedPictures } from "../policy/batch-pictures.ts";
import type { FewShapes, SharedPrompts, TokenBatch } from "../policy/interfaces.ts";
import { scoredBehindPrompts } from "../policy/shared-prompts.ts";
import type { PromptPictures } from "../types.ts";

/** Tokens a row holds, and which of them carry loss. */
export interface TokenRow {
  prompt: ArrayLike<number>; // [S]
  /** Shown in the prompt, or behind its first learnt token in the completion; `at` counts from the row's first token. */
  pictures?: PromptPictures | null;
  completion: ArrayLike<number>; // [T], every token is scored
  /** Tokens that carry loss, where not all do. [T] */
  learnt?: readonly boolean[];
}

/** Lengths are rounded up to these steps, so that a compiled program serves many batches. */
export function bucket(length: number): number {
  const step = length <= 64 ? 8 : length <= 256 ? 16 : length <= 1024 ? 64 : 256;
  return Math.ceil(length / step) * step;
}

/**
 * Prompts and their completions: one row per completion, padded on the right, or, where that is less to compute, one
 * row per prompt (`TokenBatch.shared`). Rows with the same array as `prompt` share it.
 * @param few pads rows, lengths and scored tokens to shapes that come again; empty rows after the real ones
 * @param most rows that a batch of this kind can have
 * @returns the batch, and where each row's scored tokens lie in it
 */
export function padRows(
  rows: readonly TokenRow[],
  few: FewShapes | null = null,
  most = rows.length,
): PaddedBatch {
  const groups = byPrompt(rows);
  const shape = shapeOf(rows, groups, few, most);
  if (shape.shared !== null) return sharePrompts(rows, groups, { ...shape, shared: shape.shared }, few);
  return packRows(
    rows.map((row) => [row]),
    undefined,
    few,
    most,
  );
}

/** Rows and their length after padding, and how prompts are shared in them. */
export type BatchShape = Required<Pick<TokenBatch, "rows" | "length" | "shared">>;

/** The shape that `padRows` gives these rows. Of prompts and completions only the lengths count. */
export function batchShape(
  rows: readonly RowLengths[],
  few: FewShapes | null = null,
  most = rows.length,
): BatchShape {
  return shapeOf(rows, byPrompt(rows), few, most);
}

type RowLengths = Record<"prompt" | "completion", { readonly length: number }>;

/** Indices of rows by their prompt's array, in the order of appearance. */
export function byPrompt(rows: readonly Pick<RowLengths, "prompt">[]): number[][] {
  const groups = new Map<unknown, number[]>();
  for (const [i, { prompt }] of rows.entries()) {
    const group = groups.get(prompt);
    if (group === undefined) groups.set(prompt, [i]);
    else group.push(i);
  }
  return [...groups.values()];
}

/** One row per prompt must save this share of the tokens: keys and values are copied for it. */
const WORTH_SHARING = 0.05;

function shapeOf(
  rows: readonly RowLengths[],
  groups: readonly number[][],
  few: FewShapes | null,
  most: number,
): BatchShape {
  const round = few === null ? bucket : coarseBucket;
  const longest = (of: (row: RowLengths) => number) => Math.max(0, ...rows.map(of));
  const plain = {
    rows: few === null ? rows.length : rowsOf(rows.length, most, few),
    length: round(longest(({ prompt, completion }) => prompt.length + completion.length)),
    shared: null,
  };
  const completions = Math.max(1, ...groups.map((group) => group.length));
  if (completions === 1) return plain;
  const promptLength = round(longest(({ prompt }) => prompt.length));
  // nothing is scored after a completion's last token
  const completionLength = round(longest(({ completion }) => Math.max(1, completion.length - 1)));
  const prompts = few === null ? groups.length : rowsOf(groups.length, Math.ceil(most / completions), few);
  const length = promptLength + completions * completionLength;
  if (prompts * length > (1 - WORTH_SHARING) * plain.rows * plain.length) return plain;
  return { rows: prompts, length, shared: { promptLength, completions, completionLength } };
}

function sharePrompts(
  rows: readonly TokenRow[],
  groups: readonly number[][],
  { rows: prompts, length, shared }: BatchShape & { shared: SharedPrompts },
  few: FewShapes | null,
): PaddedBatch {
  const { promptLength, completions, completionLength } = shared;
  const size = prompts * length;
  const tokens = new Int32Array(size);
  const segments = new Int32Array(size);
  const positions = new Int32Array(size);
  /** Where a completion begins, and its place among all. */
  const places = rows.map(() => ({ begin: 0, nth: 0, promptEnd: 0 }));
  for (const [p, group] of groups.entries()) {
    const promptEnd = p * length + promptLength - 1;
    const { prompt } = rows[group[0]!]!;
    if (prompt.length === 0) throw new RangeError("a segment needs at least one prompt token");
    const put = (at: number, token: number, position: number) => {
      tokens[at] = token;
      segments[at] = 1;
      positions[at] = position;
    };
    for (let i = 0; i < prompt.length; i++) put(promptEnd + 1 - prompt.length + i, prompt[i]!, i);
    for (const [c, row] of group.entries()) {
      const begin = promptEnd + 1 + c * completionLength;
      const { completion } = rows[row]!;
      for (let t = 0; t < completion.length - 1; t++) put(begin + t, completion[t]!, prompt.length + t);
      places[row] = { begin, nth: p * completions + c, promptEnd };
    }
  }
  const starts = [0];
  for (const { completion } of rows) starts.push(starts.at(-1)! + completion.length);
  const count = starts.at(-1)!;
  const pictures = batchPictures(
    [...groups.entries()].map(([p, group]) => {
      const { prompt, pictures } = rows[group[0]!]!;
      return { start: p * length + promptLength - prompt.length, pictures };
    }),
    size,
    fillTiles(rows, prompts, few),
  );
  const common = { rows: prompts, length, tokens, segments, positions, shared, pictures };
  const all = prompts * completions * (completionLength + 1);
  if (few !== null && (few.scoreAll || count > Math.ceil(all / 2))) {
    const targets = new Int32Array(all);
    const slots = places.map(({ nth }) => nth * (completionLength + 1));
    for (const [i, { completion }] of rows.entries()) {
      for (let t = 0; t < completion.length; t++) targets[slots[i]! + t] = completion[t]!;
    }
    return { batch: { ...common, scoredAt: scoredBehindPrompts(prompts, shared), targets }, starts, slots };
  }
  const scored = few === null ? scoredBucket(count) : multiple(Math.ceil(all / 2), few.devices);
  const scoredAt = new Int32Array(scored);
  const targets = new Int32Array(scored);
  for (const [i, { completion }] of rows.entries()) {
    const { begin, promptEnd } = places[i]!;
    for (let t = 0; t < completion.length; t++) {
      scoredAt[starts[i]! + t] = t === 0 ? promptEnd : begin + t - 1;
      targets[starts[i]! + t] = completion[t]!;
    }
  }
  return { batch: { ...common, scoredAt, targets }, starts, slots: starts.slice(0, -1) };
}

/** A batch and its scored tokens: where completion `i` of it begins among the scored slots, in `order`. */
export interface PaddedBatch {
  batch: TokenBatch;
  /** Scored tokens before each completion, and their number at the end: completion i has starts[i+1] - starts[i]. */
  starts: number[];
  /** Slot of the first scored token of each completion; the others follow. */
  slots: number[];
}

/** Rows of a batch where each new shape costs a compilation: the most there can be, half of it, a quarter ..., as many on each device. */
function rowsOf(count: number, most: number, { devices }: FewShapes): number {
  let rows = Math.max(1, count, most);
  while (rows > 1 && Math.ceil(rows / 2) >= count) rows = Math.ceil(rows / 2);
  return multiple(rows, devices);
}

/** What a tower is given where each new shape costs a compilation: tiles in steps, as many on each device; rows of a tile. */
function fillTiles(
  rows: readonly Pick<TokenRow, "pictures">[],
  batchRows: number,
  few: FewShapes | null,
): Parameters<typeof batchPictures>[2] {
  if (few === null) return {};
  const each = Math.max(0, ...rows.map(({ pictures }) => pictures?.tiles.length ?? 0));
  return { tiles: (count) => rowsOf(count, batchRows * each, few), tileTokens: few.tileTokens };
}

function multiple(count: number, of: number): number {
  return Math.ceil(count / of) * of;
}

/** The same for lengths: twice the usual steps. */
function coarseBucket(length: number): number {
  const step = length <= 64 ? 16 : length <= 256 ? 32 : length <= 1024 ? 128 : 512;
  return Math.ceil(length / step) * step;
}

/**
 * Several segments per row, each seeing only itself.
 * @param packed segments of each row, in order
 * @param rowLength pad to this length; bucketed from the longest row when absent
 * @param few, most see padRows
 */
export function packRows(
  packed: readonly (readonly TokenRow[])[],
  rowLength?: number,
  few: FewShapes | null = null,
  most = packed.length,
): PaddedBatch {
  const size = ({ prompt, completion }: TokenRow) => prompt.length + completion.length;
  const longest = Math.max(0, ...packed.map((row) => row.reduce((sum, segment) => sum + size(segment), 0)));
  const length = rowLength ?? (few === null ? bucket(longest) : coarseBucket(longest));
  if (longest > length) throw new RangeError(`a row of ${longest} tokens does not fit into ${length}`);
  const rows = few === null ? packed.length : rowsOf(packed.length, most, few);
  const tokens = new Int32Array(rows * length);
  const segments = new Int32Array(rows * length);
  const positions = new Int32Array(rows * length);
  const scoredAt: number[] = [];
  const targets: number[] = [];
  const starts = [0];
  const placed: PlacedPictures[] = [];
  for (const [r, row] of packed.entries()) {
    let at = r * length;
    for (const [s, { prompt, pictures, completion }] of row.entries()) {
      placed.push({ start: at, pictures });
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
  const pictures = batchPictures(placed, rows * length, fillTiles(packed.flat(), rows, few));
  const common = { rows, length, tokens, segments, positions, pictures };
  const first = starts.slice(0, -1);
  if (few?.scoreAll) {
    // every position is scored, in order: nothing is gathered
    const all = new Int32Array(rows * length);
    for (const [k, at] of scoredAt.entries()) all[at] = targets[k]!;
    const batch = {
      ...common,
      scoredAt: Int32Array.from({ length: rows * length }, (_, i) => i),
      targets: all,
    };
    return { batch, starts, slots: first.map((k) => scoredAt[k] ?? 0) };
  }
  const scored =
    few === null
      ? scoredBucket(scoredAt.length)
      : multiple(halves(scoredAt.length, rows * length), few.devices);
  const batch = { ...common, scoredAt: padded(scoredAt, scored), targets: padded(targets, scored) };
  return { batch, starts, slots: first };
}

/** A half or all of a batch's positions. */
function halves(count: number, positions: number): number {
  return count <= Math.ceil(positions / 2) ? Math.ceil(positions / 2) : positions;
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
 * @param values of each completion and token
 * @returns [K]
 */
export function spread(
  { batch, starts, slots }: PaddedBatch,
  values: (completion: number, token: number) => number,
): Float32Array {
  const out = new Float32Array(batch.targets.length);
  for (const [completion, slot] of slots.entries()) {
    const length = starts[completion + 1]! - starts[completion]!;
    for (let t = 0; t < length; t++) out[slot + t] = values(completion, t);
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
