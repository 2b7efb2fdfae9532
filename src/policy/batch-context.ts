/** What layers need of a batch besides its activations: rotary tables and masks, made on the host. */
import * as tf from "@tensorflow/tfjs";
import { overDevices } from "../backend/devices.ts";
import { RlptError } from "../lib/errors.ts";
import { axisPositionsOf, axisTables, sliced } from "./axis-positions.ts";
import type { DecoderConfig, RotaryConfig, SharedPrompts, TokenBatch } from "./interfaces.ts";
import { causalMask, prefixedMask, reachMask, segmentMask } from "./masks.ts";
import { repeatRows } from "./repeat-rows.ts";
import { ropeTables } from "./rope.ts";

/** What one layer needs of a group of rows, by name: tables of its rotation (none where it turns nothing), its mask. */
export interface LayerTables {
  /** [1 or R, T, D/2] */
  cos?: tf.Tensor3D;
  sin?: tf.Tensor3D;
  /** Additive, [1 or R, T, S], S keys. */
  mask?: tf.Tensor3D;
  /** Of a convolution: 1 where the token j + 1 slots before is of the same sample, [1 or R, T, K - 1]; none: all are. */
  taps?: tf.Tensor3D;
  /** Of a memory: 1 where a token is no padding, [1 or R, T, 1]; none: no padding before the end of any row. */
  real?: tf.Tensor3D;
  /** Of a memory: `gatedDeltaRule`'s reach; none: a row's tokens are of one sample. */
  reach?: tf.Tensor3D;
}

/** Rows that a layer takes together. */
export interface LayerRows {
  rows: number; // R
  length: number; // T
  tables: LayerTables;
}

/** The batch's rows; where completions share a prompt, the prompts, and the completions with keys of both. */
export interface LayerContext extends LayerRows {
  completions: LayerRows | null;
}

/**
 * Tables and masks of a batch, for each layer; layers of one kind share theirs. Rows that hold one sample from slot 0 on
 * share one causal mask and one table; packed or left-padded batches get one of each per row.
 * @throws RlptError when a position is beyond the model's
 */
export function batchContext(config: DecoderConfig, batch: TokenBatch): LayerContext[] {
  checkPositions(config, batch);
  if (batch.shared) return sharedContext(config, batch, batch.shared);
  const { rows, length } = batch;
  const plain = isPlain(batch);
  const tableRows = plain ? 1 : rows;
  const positions = plain ? Int32Array.from({ length }, (_, i) => i) : batch.positions;
  const axes = axisPositionsOf(batch);
  const tables = tablesOf(config, {
    turned: (rotary) =>
      turnsByAxis(rotary, batch)
        ? placedTables(axisTables(axes(), rotary), rows, length, rotary)
        : rotaryTables(rotary, positions, tableRows, length),
    mask: (window) => {
      const values = plain ? causalMask(length, window) : segmentMask(batch, window);
      return overDevices(() => tf.tensor3d(values, [tableRows, length, length]));
    },
    taps: (kernel) => {
      // what stands before slot 0 is zero anyway
      if (plain) return {};
      const { segments } = batch;
      const same = (row: number, slot: number, before: number) => {
        const own = segments[row * length + slot]!;
        return before <= slot && own !== 0 && segments[row * length + slot - before] === own;
      };
      return { taps: tapsOf(rows, length, kernel, same) };
    },
    memory: () => {
      const { segments } = batch;
      const real = realOf(rows, length, (row, slot) => segments[row * length + slot] !== 0);
      if (plain || !isPacked(batch)) return { real };
      const { values, slots, columns } = reachMask(batch);
      return { real, reach: overDevices(() => tf.tensor3d(values, [rows, slots, columns])) };
    },
  });
  return tables.map((own) => ({ rows, length, tables: own, completions: null }));
}

/** Prompts of one length share tables and masks; else there is one of each per prompt. */
function sharedContext(config: DecoderConfig, batch: TokenBatch, shared: SharedPrompts): LayerContext[] {
  const { promptLength, completions, completionLength } = shared;
  const { rows, length, segments } = batch;
  const padding = Array.from({ length: rows }, (_, row) => {
    const begin = segments.subarray(row * length, row * length + promptLength).findIndex((s) => s !== 0);
    return begin === -1 ? promptLength : begin;
  });
  const alike = padding.every((n) => n === padding[0]);
  const kinds = alike ? padding.slice(0, 1) : padding;
  const span = promptLength + completionLength;
  const axes = axisPositionsOf(batch);
  const part = (
    from: number,
    to: number,
    each: (x: tf.Tensor3D) => tf.Tensor3D,
    eachRow: (x: tf.Tensor3D) => tf.Tensor3D,
  ) =>
    tablesOf(config, {
      turned: (rotary) => {
        if (turnsByAxis(rotary, batch)) {
          // completions of a prompt have the same positions
          const there = sliced(axes(), rows, length, from, to);
          const { cos, sin } = placedTables(axisTables(there, rotary), rows, to - from, rotary);
          return { cos: eachRow(cos), sin: eachRow(sin) };
        }
        const positions = kinds.flatMap((pad) =>
          Array.from({ length: to - from }, (_, i) => Math.max(0, from + i - pad)),
        );
        const { cos, sin } = rotaryTables(rotary, Int32Array.from(positions), kinds.length, to - from);
        return { cos: each(cos), sin: each(sin) };
      },
      mask: (window) => {
        const values = kinds.map((pad) => prefixedMask(from, to, pad, window));
        return each(overDevices(() => tf.tensor3d(joined(values), [kinds.length, to - from, to])));
      },
      taps: (kernel) => {
        const seen = (row: number, slot: number, before: number) => from + slot - before >= kinds[row]!;
        return { taps: each(tapsOf(kinds.length, to - from, kernel, seen)) };
      },
      memory: () => {
        const seen = (row: number, slot: number) => from + slot >= kinds[row]!;
        return { real: each(realOf(kinds.length, to - from, seen)) };
      },
    });
  const same = (x: tf.Tensor3D) => x;
  const forCompletions = (x: tf.Tensor3D) => repeatRows(x, completions) as tf.Tensor3D;
  const prompts = part(0, promptLength, same, same);
  const own = part(promptLength, span, alike ? same : forCompletions, forCompletions);
  return prompts.map((tables, n) => ({
    rows,
    length: promptLength,
    tables,
    completions: { rows: rows * completions, length: completionLength, tables: own[n]! },
  }));
}

function tapsOf(
  rows: number,
  length: number,
  kernel: number,
  seen: (row: number, slot: number, before: number) => boolean,
): tf.Tensor3D {
  const values = new Float32Array(rows * length * (kernel - 1));
  let at = 0;
  for (let row = 0; row < rows; row++) {
    for (let slot = 0; slot < length; slot++) {
      for (let before = 1; before < kernel; before++) values[at++] = Number(seen(row, slot, before));
    }
  }
  return overDevices(() => tf.tensor3d(values, [rows, length, kernel - 1]));
}

function realOf(rows: number, length: number, real: (row: number, slot: number) => boolean): tf.Tensor3D {
  const values = Float32Array.from({ length: rows * length }, (_, at) =>
    Number(real(Math.floor(at / length), at % length)),
  );
  return overDevices(() => tf.tensor3d(values, [rows, length, 1]));
}

/** The tables of each layer; what layers have in common is made once. */
export function tablesOf<Turned extends object, Mask, Taps extends object, Memory extends object>(
  config: DecoderConfig,
  make: {
    turned: (rotary: RotaryConfig) => Turned;
    mask: (window: number | null) => Mask;
    taps: (kernel: number) => Taps;
    memory: () => Memory;
  },
): (Partial<Turned> & Partial<Taps> & Partial<Memory> & { mask?: Mask })[] {
  const turned = memoized(make.turned);
  const mask = memoized(make.mask);
  const taps = memoized(make.taps);
  const memory = memoized<null, Memory>(make.memory);
  type Tables = Partial<Turned> & Partial<Taps> & Partial<Memory> & { mask?: Mask };
  return config.layers.map(({ mixer }): Tables => {
    if (mixer.kind !== "attention") {
      const own = mixer.kind === "delta-net" ? memory(null) : {};
      return { ...taps(mixer.conv.kernel), ...own } as Tables;
    }
    const rotation = mixer.rotary === null ? {} : turned(mixer.rotary);
    return { ...rotation, mask: mask(mixer.window) } as Tables;
  });
}

function memoized<Key, Value>(make: (key: Key) => Value): (key: Key) => Value {
  const known = new Map<Key, Value>();
  return (key) => {
    if (!known.has(key)) known.set(key, make(key));
    return known.get(key)!;
  };
}

function rotaryTables(rotary: RotaryConfig, positions: ArrayLike<number>, rows: number, length: number) {
  return placedTables(ropeTables(positions, rotary), rows, length, rotary);
}

/** Do pictures give the batch's tokens positions of their own in this table? */
function turnsByAxis({ sections }: RotaryConfig, { pictures }: TokenBatch): boolean {
  return sections !== undefined && pictures != null;
}

function placedTables(
  { cos, sin }: { cos: Float32Array; sin: Float32Array },
  rows: number,
  length: number,
  rotary: RotaryConfig,
) {
  const shape: [number, number, number] = [rows, length, rotary.inverse.length];
  return { cos: overDevices(() => tf.tensor3d(cos, shape)), sin: overDevices(() => tf.tensor3d(sin, shape)) };
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function checkPositions(config: DecoderConfig, batch: TokenBatch): void {
  for (let i = 0; i < batch.positions.length; i++) {
    if (batch.segments[i] !== 0 && batch.positions[i]! >= config.maxPositions) {
      throw new RlptError(
        `row ${Math.floor(i / batch.length)} has a token at position ${batch.positions[i]}; ` +
          `the model has ${config.maxPositions} (${config.positionsKey}): use shorter prompts or completions`,
      );
    }
  }
}

/** One sample per row, from slot 0 on, padding after it. */
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

/** Does a row hold more than one sample? */
function isPacked({ rows, length, segments }: TokenBatch): boolean {
  for (let row = 0; row < rows; row++) {
    const own = segments.subarray(row * length, (row + 1) * length).filter((segment) => segment !== 0);
    if (own.some((segment) => segment !== own[0])) return true;
  }
  return false;
}
