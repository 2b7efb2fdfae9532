/** Batched decoding with a key-value cache. Keys are cached after norm and rotation, so nothing is rotated twice. */
import * as tf from "@tensorflow/tfjs";
import { RlptError } from "../lib/errors.ts";
import type { GenerationOptions, GenerationSession, PromptPictures } from "../types.ts";
import { attend, attentionWeights, mergeHeads, type Projections, project, throughGate } from "./attention.ts";
import { positionShift } from "./axis-positions.ts";
import { batchContext, tablesOf } from "./batch-context.ts";
import { batchPictures } from "./batch-pictures.ts";
import { embed, embedBatch, finalNorm, logitsOf } from "./decoder.ts";
import type { AttentionConfig, DecoderConfig, MixerConfig, TokenBatch } from "./interfaces.ts";
import { finishLayer, mixerInput } from "./layer.ts";
import type { WeightView } from "./linear.ts";
import { hiddenKey } from "./masks.ts";
import { mixPrompts, mixStep } from "./recurrence.ts";
import { ropeTables } from "./rope.ts";

/** Slots a cache grows by: within a chunk only the tail is copied at each step, the rest once a chunk. */
const chunkSlots = 32;
/** Attention scores of one prefill pass at most, 64 MiB. */
const prefillScores = 2 ** 24;
/** Rows are freed when this share of the physical rows is done: copying the cache costs more than idle rows. */
const idleShare = 0.25;

/** What a layer remembers: keys and values, or the states of a recurrence, [B, ...] each. */
type LayerCache = KeyValueCache | { kind: "states"; states: tf.Tensor[] };

/** Keys and values of one layer: a prefix that is copied once a chunk, and the tail that grows. */
interface KeyValueCache {
  kind: "attention";
  key: tf.Tensor4D; // [B, Nk, S, D]
  value: tf.Tensor4D; // [B, Nk, S, D]
  tail: { key: tf.Tensor4D; value: tf.Tensor4D } | null; // [B, Nk, t, D], t <= chunkSlots
}

/**
 * Prefills prompts and returns a session that stands before the first new token.
 * @param view weights, read anew at every step
 * @throws RlptError when a prompt is empty, has ids beyond the vocabulary, or does not fit the model's positions
 */
export async function startSession(
  config: DecoderConfig,
  view: WeightView,
  prompts: readonly Int32Array[],
  options: GenerationOptions,
): Promise<GenerationSession> {
  checkPrompts(config, prompts, options.maxNewTokens);
  const { pictures = [] } = options;
  const slots = Math.max(...prompts.map((prompt) => prompt.length));
  const heads = Math.max(
    1,
    ...config.layers.map(({ mixer }) => (mixer.kind === "attention" ? mixer.heads : 1)),
  );
  const perPass = Math.max(1, Math.floor(prefillScores / (heads * slots * slots)));
  const passes: Prefilled[] = [];
  for (let start = 0; start < prompts.length; start += perPass) {
    const end = start + perPass;
    passes.push(prefill(config, view, prompts.slice(start, end), pictures.slice(start, end), slots));
  }
  const repeats = options.repeats;
  const source = Int32Array.from({ length: prompts.length * repeats }, (_, row) => Math.floor(row / repeats));
  const caches = joinPasses(passes, repeats > 1 ? source : null);
  const promptLogits = await Promise.all(passes.map((pass) => pass.logits.data()));
  for (const pass of passes) pass.logits.dispose();
  const vocabulary = config.vocabSize;
  const logits = new Float32Array(source.length * vocabulary);
  for (const [row, prompt] of source.entries()) {
    const at = (prompt % perPass) * vocabulary;
    logits.set(
      promptLogits[Math.floor(prompt / perPass)]!.subarray(at, at + vocabulary) as Float32Array,
      row * vocabulary,
    );
  }
  const lengths = Array.from(source, (prompt) => prompts[prompt]!.length);
  const shifts = Array.from(source, (prompt) => positionShift(pictures[prompt]));
  const start = { slots, lengths, shifts, logits, steps: options.maxNewTokens };
  return new CachedSession(config, view, caches, start);
}

export function checkPrompts(
  config: DecoderConfig,
  prompts: readonly Int32Array[],
  maxNewTokens: number,
): void {
  if (prompts.length === 0) throw new RlptError("generation needs at least one prompt");
  for (const [i, prompt] of prompts.entries()) {
    if (prompt.length === 0) throw new RlptError(`prompt ${i} is empty; generation needs at least one token`);
    // the last sampled token is never fed back
    const needed = prompt.length + Math.max(0, maxNewTokens - 1);
    if (needed > config.maxPositions) {
      throw new RlptError(
        `prompt ${i} has ${prompt.length} tokens and up to ${maxNewTokens} are to be added; the model has ` +
          `${config.maxPositions} positions (${config.positionsKey}): shorten the prompt or lower max_new_tokens`,
      );
    }
    const wrong = prompt.find((id) => id < 0 || id >= config.vocabSize);
    if (wrong !== undefined) {
      throw new RlptError(`prompt ${i} holds token ${wrong}, outside the vocabulary of ${config.vocabSize}`);
    }
  }
}

interface Prefilled {
  logits: tf.Tensor2D; // [P, V]
  /** Of each layer, with as many rows as prompts. */
  caches: LayerCache[];
}

/** One pass over prompts padded on the left, so that all of them end at the same slot. */
function prefill(
  config: DecoderConfig,
  view: WeightView,
  prompts: readonly Int32Array[],
  pictures: readonly (PromptPictures | null)[],
  slots: number,
): Prefilled {
  const rows = prompts.length;
  const batch: TokenBatch = {
    rows,
    length: slots,
    tokens: new Int32Array(rows * slots),
    segments: new Int32Array(rows * slots),
    positions: new Int32Array(rows * slots),
    scoredAt: Int32Array.from({ length: rows }, (_, row) => (row + 1) * slots - 1),
    targets: new Int32Array(rows),
  };
  for (const [row, prompt] of prompts.entries()) {
    const start = (row + 1) * slots - prompt.length;
    batch.tokens.set(prompt, start);
    batch.segments.fill(1, start, start + prompt.length);
    for (let i = 0; i < prompt.length; i++) batch.positions[start + i] = i;
  }
  const starts = prompts.map((prompt, row) => (row + 1) * slots - prompt.length);
  batch.pictures = batchPictures(
    pictures.map((own, row) => ({ start: starts[row]!, pictures: own })),
    rows * slots,
  );
  const caches: LayerCache[] = [];
  const logits = tf.tidy(() => {
    const context = batchContext(config, batch);
    let x = embedBatch(config, batch, view);
    for (const [n, layer] of config.layers.entries()) {
      x = tf.tidy(() => {
        const h = mixerInput(config, layer, x, view);
        const { mixer } = layer;
        if (mixer.kind !== "attention") {
          const { mixed, inputs, states } = mixPrompts(mixer, config.norm.epsilon, h, view, context[n]!);
          const all = [lastReal(inputs, prompts, mixer.conv.kernel - 1), ...states];
          caches.push({ kind: "states", states: all.map((state) => tf.keep(state)) });
          return finishLayer(config, layer, x, mixed, view);
        }
        const projections = project(config, mixer, h, view, context[n]!);
        const { key, value } = projections;
        caches.push({ kind: mixer.kind, key: tf.keep(key), value: tf.keep(value), tail: null });
        return finishLayer(config, layer, x, attend(mixer, projections, context[n]!.tables.mask!), view);
      });
    }
    const last = tf.gather(x, tf.tensor1d(batch.scoredAt, "int32")) as tf.Tensor2D;
    return logitsOf(config, finalNorm(config, last, view), view);
  });
  return { logits, caches };
}

/** The last inputs of each prompt, zero where it is shorter. @param inputs [P, S, H], padded on the left */
function lastReal(inputs: tf.Tensor3D, prompts: readonly Int32Array[], kept: number): tf.Tensor3D {
  const [rows, slots, width] = inputs.shape;
  const padded = tf.concat([tf.zeros([rows, kept, width]), inputs], 1) as tf.Tensor3D;
  const last = tf.slice(padded, [0, slots, 0], [rows, kept, width]);
  const real = prompts.flatMap(({ length }) =>
    Array.from({ length: kept }, (_, i) => Number(length >= kept - i)),
  );
  return tf.mul(last, tf.tensor3d(real, [rows, kept, 1]));
}

/** Caches of all passes as one, each prompt's repeated for its rows; frees the passes' own. */
function joinPasses(passes: readonly Prefilled[], source: Int32Array | null): LayerCache[] {
  const join = <T extends tf.Tensor>(parts: T[]): T => {
    const joined = tf.tidy(() => {
      const all = parts.length === 1 ? parts[0]! : (tf.concat(parts, 0) as T);
      return source ? (tf.gather(all, tf.tensor1d(source, "int32")) as T) : all;
    });
    for (const part of parts) if (part !== joined) part.dispose();
    return joined;
  };
  return passes[0]!.caches.map((first, n): LayerCache => {
    const all = passes.map(({ caches }) => caches[n]!);
    if (first.kind === "states") {
      const states = all.flatMap((cache) => (cache.kind === first.kind ? [cache.states] : []));
      return { kind: first.kind, states: first.states.map((_, i) => join(states.map((own) => own[i]!))) };
    }
    const pairs = all.flatMap((cache) => (cache.kind === first.kind ? [cache] : []));
    const [key, value] = [join(pairs.map((pair) => pair.key)), join(pairs.map((pair) => pair.value))];
    return { kind: first.kind, key, value, tail: null };
  });
}

/** Every tensor of a cache by way of `change`. */
function changed(cache: LayerCache, change: <T extends tf.Tensor>(x: T) => T): LayerCache {
  if (cache.kind === "states") return { kind: cache.kind, states: cache.states.map(change) };
  const { kind, key, value, tail } = cache;
  return {
    kind,
    key: change(key),
    value: change(value),
    tail: tail && { key: change(tail.key), value: change(tail.value) },
  };
}

class CachedSession implements GenerationSession {
  private readonly config: DecoderConfig;
  private readonly view: WeightView;
  private caches: LayerCache[];
  /** Physical row of each live row. */
  private live: number[];
  /**
   * Of each physical row: real tokens so far, the first slot that is not left padding, and how far the next position is behind the
   * number of tokens.
   */
  private lengths: number[];
  private starts: number[];
  private shifts: number[];
  private slots: number;
  private buffer: Float32Array;
  private stepsLeft: number;

  constructor(
    config: DecoderConfig,
    view: WeightView,
    caches: LayerCache[],
    start: { slots: number; lengths: number[]; shifts: number[]; logits: Float32Array; steps: number },
  ) {
    this.config = config;
    this.view = view;
    this.caches = caches;
    this.slots = start.slots;
    this.lengths = start.lengths;
    this.shifts = start.shifts;
    this.starts = start.lengths.map((length) => start.slots - length);
    this.live = start.lengths.map((_, row) => row);
    this.buffer = start.logits;
    this.stepsLeft = start.steps;
  }

  get rows(): number {
    return this.live.length;
  }

  get logits(): Float32Array {
    return this.buffer.subarray(0, this.rows * this.config.vocabSize);
  }

  async step(tokens: Int32Array): Promise<void> {
    if (tokens.length !== this.rows) {
      throw new RangeError(`${tokens.length} tokens for ${this.rows} rows`);
    }
    if (this.stepsLeft-- <= 0) throw new RangeError("more steps than maxNewTokens announced");
    if (this.rows === 0) return;
    const physical = new Int32Array(this.lengths.length);
    for (const [i, row] of this.live.entries()) physical[row] = tokens[i]!;
    const logits = tf.tidy(() => this.forward(physical));
    this.slots++;
    for (let row = 0; row < this.lengths.length; row++) this.lengths[row]!++;
    try {
      this.readLogits((await logits.data()) as Float32Array);
    } finally {
      logits.dispose();
    }
  }

  keep(rows: readonly number[]): void {
    const wrong = rows.find((row) => !Number.isInteger(row) || row < 0 || row >= this.rows);
    if (wrong !== undefined) throw new RangeError(`row ${wrong} is not one of the ${this.rows} live rows`);
    if (new Set(rows).size !== rows.length) throw new RangeError("a row cannot be kept twice");
    const vocabulary = this.config.vocabSize;
    if (rows.some((row, i) => row !== i)) {
      const before = this.buffer.slice(0, this.rows * vocabulary);
      for (const [i, row] of rows.entries()) {
        this.buffer.set(before.subarray(row * vocabulary, (row + 1) * vocabulary), i * vocabulary);
      }
    }
    this.live = rows.map((row) => this.live[row]!);
    const idle = this.lengths.length - this.live.length;
    if (this.live.length === 0) this.dispose();
    else if (idle > idleShare * this.lengths.length) this.compact();
  }

  dispose(): void {
    for (const cache of this.caches) {
      changed(cache, (x) => {
        x.dispose();
        return x;
      });
    }
    this.caches = [];
    this.live = [];
  }

  /** One token of every physical row through all layers. @returns logits [B, V] */
  private forward(tokens: Int32Array): tf.Tensor2D {
    const { config, view } = this;
    const rows = tokens.length;
    const tables = tablesOf(config, {
      turned: (rotary) => {
        const shifted = this.lengths.map((length, row) => length + this.shifts[row]!);
        const { cos, sin } = ropeTables(rotary.sections === undefined ? this.lengths : shifted, rotary);
        const shape: [number, number, number] = [rows, 1, rotary.inverse.length];
        return { cos: tf.tensor3d(cos, shape), sin: tf.tensor3d(sin, shape) };
      },
      mask: (window) => this.mask(window),
      // states are each row's own
      taps: () => ({}),
      memory: () => ({}),
    });
    let x = embed(config, tokens, Int32Array.from(this.lengths), view);
    for (const [n, layer] of config.layers.entries()) {
      x = tf.tidy(() => {
        const { mask, ...turned } = tables[n]!;
        const h = mixerInput(config, layer, x, view);
        const { mixer } = layer;
        const cache = this.caches[n]!;
        if (mixer.kind !== "attention" || cache.kind === "states") {
          return finishLayer(config, layer, x, this.mixCached(mixer, cache, h), view);
        }
        const projections = project(config, mixer, h, view, { rows, length: 1, tables: turned });
        return finishLayer(config, layer, x, this.attendCached(cache, mixer, projections, mask!), view);
      });
    }
    return logitsOf(config, finalNorm(config, x, view), view);
  }

  /** [B, 1, S + 1]: left padding and keys that fell out of the window; null when every row sees all. */
  private mask(window: number | null): tf.Tensor3D | null {
    const keys = this.slots + 1;
    const first = this.starts.map((start) => (window === null ? start : Math.max(start, keys - window)));
    if (first.every((slot) => slot === 0)) return null;
    const values = new Float32Array(first.length * keys);
    for (const [row, slot] of first.entries()) values.fill(hiddenKey, row * keys, row * keys + slot);
    return tf.tensor3d(values, [first.length, 1, keys]);
  }

  /** One more token of each row through a recurrence. @param h [B, H] */
  private mixCached(mixer: MixerConfig, cache: LayerCache, h: tf.Tensor2D): tf.Tensor2D {
    if (mixer.kind === "attention" || cache.kind !== "states") throw new TypeError("not a recurrence");
    const { mixed, states } = mixStep(mixer, this.config.norm.epsilon, h, this.view, cache.states);
    tf.dispose(cache.states);
    cache.states = states.map((state) => tf.keep(state));
    return mixed;
  }

  /** Appends this token's key and value and attends over the whole cache. @returns [B, Nh*D] */
  private attendCached(
    cache: KeyValueCache,
    attention: AttentionConfig,
    { query, key, value, gate }: Projections,
    mask: tf.Tensor3D | null,
  ): tf.Tensor2D {
    const { heads, keyValueHeads, headDim } = attention;
    const rows = query.shape[0];
    append(cache, key, value);
    const tail = cache.tail!;
    const q = tf.reshape(query, [rows, keyValueHeads, heads / keyValueHeads, headDim]);
    const scores = tf.concat(
      [tf.matMul(q, cache.key, false, true), tf.matMul(q, tail.key, false, true)],
      3,
    ) as tf.Tensor4D; // [B, Nk, G, S]
    const weights = attentionWeights(attention, scores, mask);
    const [early, late] = tf.split(weights, [cache.key.shape[2], tail.key.shape[2]], 3) as [
      tf.Tensor,
      tf.Tensor,
    ];
    const mixed = tf.add(tf.matMul(early, cache.value), tf.matMul(late, tail.value)); // [B, Nk, G, D]
    return throughGate(mergeHeads(tf.reshape(mixed, [rows, heads, 1, headDim])), gate);
  }

  private readLogits(values: Float32Array): void {
    const vocabulary = this.config.vocabSize;
    if (this.live.length === this.lengths.length && this.live.every((row, i) => row === i)) {
      this.buffer = values;
      return;
    }
    for (const [i, row] of this.live.entries()) {
      this.buffer.set(values.subarray(row * vocabulary, (row + 1) * vocabulary), i * vocabulary);
    }
  }

  /** Drops idle rows from the caches. */
  private compact(): void {
    const rows = Int32Array.from(this.live);
    this.caches = this.caches.map((cache) =>
      changed(cache, <T extends tf.Tensor>(x: T): T => {
        const picked = tf.tidy(() => tf.gather(x, tf.tensor1d(rows, "int32")) as T);
        x.dispose();
        return picked;
      }),
    );
    this.lengths = this.live.map((row) => this.lengths[row]!);
    this.starts = this.live.map((row) => this.starts[row]!);
    this.shifts = this.live.map((row) => this.shifts[row]!);
    this.live = this.live.map((_, i) => i);
  }
}

/** Grows the tail by one slot; a full tail becomes part of the prefix first. Runs inside a tidy. */
function append(cache: KeyValueCache, key: tf.Tensor4D, value: tf.Tensor4D): void {
  const { tail } = cache;
  if (!tail) {
    cache.tail = { key: tf.keep(tf.clone(key)), value: tf.keep(tf.clone(value)) };
    return;
  }
  const grow = (before: tf.Tensor4D, more: tf.Tensor4D): tf.Tensor4D => {
    const grown = tf.keep(tf.concat([before, more], 2) as tf.Tensor4D);
    before.dispose();
    return grown;
  };
  if (tail.key.shape[2] < chunkSlots) {
    cache.tail = { key: grow(tail.key, key), value: grow(tail.value, value) };
    return;
  }
  cache.key = grow(cache.key, tail.key);
  cache.value = grow(cache.value, tail.value);
  tail.key.dispose();
  tail.value.dispose();
  cache.tail = { key: tf.keep(tf.clone(key)), value: tf.keep(tf.clone(value)) };
}
