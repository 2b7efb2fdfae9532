/**
 * Generation as programs: prefill, decoding and sampling run inside, the host sees tokens. The cache of a prompt is shared
 * by its rows; caches of completions are written in place. A program serves one capacity of the completions' cache, which
 * grows from border to border; there, rows that ended leave.
 */
import * as tf from "@tensorflow/tfjs";
import type { Value } from "../backend/xla/graph.ts";
import * as hlo from "../backend/xla/hlo.ts";
import type { LazyBackend } from "../backend/xla/lazy-backend.ts";
import { sampleRow } from "../backend/xla/sampling.ts";
import type { SampledRow, SamplingRequest } from "../types.ts";
import { batchContext, hiddenKey } from "./batch-context.ts";
import { attend, embed, finalNorm, finishLayer, logitsOf, project, type WeightView } from "./decoder.ts";
import { checkPrompts } from "./generation.ts";
import type { DecoderConfig, TokenBatch } from "./interfaces.ts";
import { ropeTables } from "./rope.ts";

/** Completions shorter than this take one program. */
const FIRST_CAPACITY = 64;
const LARGEST_GROWTH = 256;
/** Rows leave at a border when this share of them has ended. */
const COMPACT_SHARE = 0.375;

/** Sizes 1, 2, 3, 4, 6, 8, 12, 16, 24 ...: few, so that programs are used again. */
export function ladder(size: number): number {
  if (size <= 2) return Math.max(1, size);
  const power = 2 ** Math.floor(Math.log2(size));
  return size === power ? power : size <= power * 1.5 ? power * 1.5 : power * 2;
}

/** Borders of the completions' cache, tokens. */
export function capacities(maxNewTokens: number): number[] {
  // the last token is never fed back
  const needed = Math.max(1, maxNewTokens - 1);
  const borders: number[] = [];
  for (let size = FIRST_CAPACITY; borders.at(-1) !== needed; size += Math.min(size, LARGEST_GROWTH)) {
    borders.push(size * 1.25 >= needed ? needed : size);
  }
  return borders;
}

/** Slots of the prompts' cache: few sizes, so that programs are used again. */
function slotsFor(longest: number): number {
  const step = longest <= 64 ? 16 : longest <= 512 ? 64 : 256;
  return Math.ceil(longest / step) * step;
}

interface Row {
  /** Of the request; -1 fills up a program's rows. */
  index: number;
  prompt: number;
  ended: boolean;
}

/** Keys and values of one layer. */
interface LayerCaches {
  promptKeys: tf.Tensor4D; // [P, Nk, S, D]
  promptValues: tf.Tensor4D;
  keys: tf.Tensor4D; // [P*G, Nk, C, D]
  values: tf.Tensor4D;
}

/** @throws RlptError when a prompt does not fit, or the policy has diverged */
export async function sampleRows(
  backend: LazyBackend,
  config: DecoderConfig,
  view: WeightView,
  prompts: readonly Int32Array[],
  request: SamplingRequest,
): Promise<SampledRow[]> {
  checkPrompts(config, prompts, request.maxNewTokens);
  const rows = prompts.length * request.repeats;
  const sampled: SampledRow[] = Array.from({ length: rows }, () => ({
    tokens: [],
    logprobs: [],
    entropies: [],
  }));
  const run = new ProgramRun(backend, config, view, prompts, request, sampled);
  try {
    await run.all();
  } finally {
    run.dispose();
  }
  return sampled;
}

class ProgramRun {
  private readonly backend: LazyBackend;
  private readonly config: DecoderConfig;
  private readonly view: WeightView;
  private readonly request: SamplingRequest;
  private readonly prompts: readonly Int32Array[];
  private readonly sampled: SampledRow[];
  /** Slots of the prompts' cache. */
  private readonly slots: number;
  /** P and G of the program's rows [P, G], and which row of the request each one is. */
  private groups: number;
  private groupSize: number;
  private rows: Row[];
  private caches: LayerCaches[] = [];
  /** Token of each row that has not been fed yet. [P*G] */
  private current: Int32Array;
  /** Tokens of each row so far. */
  private tokens = 0;

  constructor(
    backend: LazyBackend,
    config: DecoderConfig,
    view: WeightView,
    prompts: readonly Int32Array[],
    request: SamplingRequest,
    sampled: SampledRow[],
  ) {
    this.backend = backend;
    this.config = config;
    this.view = view;
    this.prompts = prompts;
    this.request = request;
    this.sampled = sampled;
    this.slots = slotsFor(Math.max(...prompts.map((prompt) => prompt.length)));
    this.groups = ladder(prompts.length);
    this.groupSize = request.repeats;
    this.rows = Array.from({ length: this.groups * this.groupSize }, (_, i) => {
      const prompt = Math.floor(i / this.groupSize);
      return prompt < prompts.length
        ? { index: i, prompt, ended: false }
        : { index: -1, prompt: 0, ended: true };
    });
    this.current = new Int32Array(this.rows.length);
  }

  async all(): Promise<void> {
    for (const [n, capacity] of capacities(this.request.maxNewTokens).entries()) {
      await this.chunk(capacity, n === 0);
      if (this.rows.every(({ ended }) => ended) || this.tokens >= this.request.maxNewTokens) return;
      this.compact();
    }
  }

  /** Decodes until the cache is full or every row has ended. */
  private async chunk(capacity: number, first: boolean): Promise<void> {
    const start = this.tokens;
    // the first token comes out of the prefill, the others out of one pass each
    const end = Math.min(this.request.maxNewTokens, capacity + 1);
    this.backend.mark(first ? "prefill and decoding" : `decoding up to ${capacity}`);
    const written = tf.tidy(() => {
      const { results, caches } = this.trace(capacity, start, end, first);
      const old = this.caches.flatMap(({ keys, values }) => [keys, values]);
      this.caches = caches;
      for (const cache of caches) for (const tensor of Object.values(cache)) tf.keep(tensor as tf.Tensor);
      tf.dispose(old);
      return results.map((tensor) => tf.keep(tensor));
    });
    const [tokens, logprobs, entropies, count] = (await Promise.all(
      written.map((tensor) => tensor.data()),
    )) as [Int32Array, Float32Array, Float32Array, Int32Array];
    tf.dispose(written);
    this.collect(tokens, logprobs, entropies, start, count[0]!);
  }

  /** Takes the new tokens of each row, up to its end. */
  private collect(
    tokens: Int32Array,
    logprobs: Float32Array,
    entropies: Float32Array,
    start: number,
    end: number,
  ): void {
    const { request } = this;
    const width = this.rows.length;
    for (const [i, row] of this.rows.entries()) {
      if (row.ended) continue;
      const into = this.sampled[row.index]!;
      for (let t = start; t < end && !row.ended; t++) {
        const at = (t - start) * width + i;
        const token = tokens[at]!;
        if (token < 0 || Number.isNaN(logprobs[at]!)) {
          throw new RangeError("logits hold no finite maximum: the policy has diverged (NaN)");
        }
        into.tokens.push(token);
        into.logprobs.push(logprobs[at]!);
        into.entropies.push(entropies[at]!);
        row.ended = request.eosIds.includes(token) || into.tokens.length >= request.maxNewTokens;
      }
      row.ended ||= request.ended(row.index, into.tokens);
      this.current[i] = into.tokens.at(-1)!;
    }
    this.tokens = end;
  }

  /** One program: [prefill,] growth of the caches, and the loop. */
  private trace(capacity: number, start: number, end: number, first: boolean) {
    const { backend, config, request } = this;
    const width = this.rows.length;
    const steps = capacity + 1 - start;
    const value = (tensor: tf.Tensor) => backend.take(tensor);
    const lengths = value(
      tf.tensor1d(
        this.rows.map(({ prompt }) => this.prompts[prompt]!.length),
        "int32",
      ),
    );
    const uniforms = this.table("f32", steps, (row, t) => request.uniform(row, start + t));
    const constrained = request.constrainedTokens > start;
    const force = constrained ? this.constraints("force", steps, start) : null;
    const ban = constrained ? this.constraints("ban", steps, start) : null;
    const draw = (logits: Value, at: Value) => {
      const rowAt = (table: Value) => hlo.reshape(hlo.dynamicSlice(table, [at, zero()], [1, width]), [width]);
      return sampleRow(
        logits,
        rowAt(uniforms),
        request,
        force === null ? null : { force: rowAt(force), ban: rowAt(ban!) },
      );
    };

    const tokens = hlo.constant("i32", 0, [steps, width]);
    const floats = hlo.constant("f32", 0, [steps, width]);
    let state: DecodingState = {
      count: backend.changingInteger(start),
      current: first ? hlo.constant("i32", 0, [width]) : value(tf.tensor1d(this.current, "int32")),
      ended: value(
        tf.tensor1d(
          this.rows.map(({ ended }) => Number(ended)),
          "bool",
        ),
      ),
      tokens,
      logprobs: floats,
      entropies: floats,
      caches: [],
    };
    let prompt = this.caches.map(
      ({ promptKeys, promptValues }) => [value(promptKeys), value(promptValues)] as const,
    );
    if (first) {
      const filled = this.prefill();
      prompt = filled.caches;
      state = this.record(state, draw(filled.logits, zero()), zero());
      const empty = hlo.constant("f32", 0, [width, config.keyValueHeads, capacity, config.headDim]);
      state.caches = filled.caches.flatMap(() => [empty, empty]);
    } else {
      state.caches = this.caches.flatMap(({ keys, values }) => [
        grown(value(keys), capacity),
        grown(value(values), capacity),
      ]);
    }

    const last = backend.changingInteger(end);
    const offset = backend.changingInteger(start);
    const tables = this.ropeTables(capacity);
    const final = hlo.whileLoop(
      flatten(state),
      (flat) => {
        const { count, ended } = unflatten(flat);
        return hlo.and(hlo.compare("LT", count, last), hlo.unary("not", hlo.reduce("and", ended, [0])));
      },
      (flat) => {
        const before = unflatten(flat);
        // slot of the token that is fed: the one before the next
        const slot = hlo.shift(before.count, -1);
        const { logits, caches } = this.forward(before, slot, lengths, prompt, tables, capacity);
        const at = hlo.subtract(before.count, offset);
        return flatten({ ...this.record(before, draw(logits, at), at), caches });
      },
    );
    const done = unflatten(final);
    const tensor = (x: Value) => backend.tensor(x);
    return {
      results: [done.tokens, done.logprobs, done.entropies, done.count].map(tensor),
      caches: prompt.map(
        ([keys, values], n): LayerCaches => ({
          promptKeys: first ? (tensor(keys) as tf.Tensor4D) : this.caches[n]!.promptKeys,
          promptValues: first ? (tensor(values) as tf.Tensor4D) : this.caches[n]!.promptValues,
          keys: tensor(done.caches[2 * n]!) as tf.Tensor4D,
          values: tensor(done.caches[2 * n + 1]!) as tf.Tensor4D,
        }),
      ),
    };
  }

  /** Writes a draw down and counts it. @param at row of the tables */
  private record(state: DecodingState, draw: ReturnType<typeof sampleRow>, at: Value): DecodingState {
    const width = this.rows.length;
    const write = (table: Value, row: Value) =>
      hlo.dynamicUpdateSlice(table, hlo.reshape(row, [1, width]), [at, zero()]);
    const isEnd = this.request.eosIds.map((id) => hlo.compare("EQ", draw.token, hlo.constant("i32", id)));
    return {
      count: hlo.shift(state.count, 1),
      current: hlo.maximum(draw.token, hlo.constant("i32", 0)),
      ended: isEnd.reduce(hlo.or, state.ended),
      tokens: write(state.tokens, draw.token),
      logprobs: write(state.logprobs, draw.logprob),
      entropies: write(state.entropies, draw.entropy),
      caches: state.caches,
    };
  }

  /** Logits behind the prompts, one row per row of the program, and the prompts' caches. */
  private prefill(): { logits: Value; caches: (readonly [Value, Value])[] } {
    const { backend, config, view, slots, groups, groupSize } = this;
    const batch: TokenBatch = {
      rows: groups,
      length: slots,
      tokens: new Int32Array(groups * slots),
      segments: new Int32Array(groups * slots),
      positions: new Int32Array(groups * slots),
      scoredAt: new Int32Array(groups),
      targets: new Int32Array(groups),
    };
    for (let p = 0; p < groups; p++) {
      const prompt = this.prompts[p] ?? this.prompts[0]!;
      batch.tokens.set(prompt, p * slots);
      batch.segments.fill(1, p * slots, p * slots + prompt.length);
      for (let i = 0; i < prompt.length; i++) batch.positions[p * slots + i] = i;
      batch.scoredAt[p] = p * slots + prompt.length - 1;
    }
    const { masks, ...context } = batchContext(config, batch);
    const caches: (readonly [Value, Value])[] = [];
    let x = embed(batch.tokens, view);
    for (let n = 0; n < config.layers; n++) {
      const projections = project(config, n, x, view, context);
      caches.push([backend.take(projections.key), backend.take(projections.value)]);
      x = finishLayer(config, n, x, attend(config, projections, masks[n]!), view);
    }
    const hidden = tf.gather(x, tf.tensor1d(batch.scoredAt, "int32")) as tf.Tensor2D;
    const logits = backend.take(logitsOf(config, finalNorm(config, hidden, view), view)); // [P, V]
    const repeated = hlo.broadcast(hlo.reshape(logits, [groups, 1, config.vocabSize]), [
      groups,
      groupSize,
      config.vocabSize,
    ]);
    return { logits: hlo.reshape(repeated, [groups * groupSize, config.vocabSize]), caches };
  }

  /** One token of every row through all layers. */
  private forward(
    state: DecodingState,
    slot: Value,
    lengths: Value,
    prompt: readonly (readonly [Value, Value])[],
    tables: { cos: Value; sin: Value },
    capacity: number,
  ): { logits: Value; caches: Value[] } {
    const { backend, config, view } = this;
    const width = this.rows.length;
    const positions = hlo.add(lengths, slot); // [B]
    const half = config.headDim / 2;
    const table = (x: Value) =>
      backend.tensor(hlo.reshape(hlo.gather(x, positions, 0), [width, 1, half])) as tf.Tensor3D;
    const context = { rows: width, length: 1, cos: table(tables.cos), sin: table(tables.sin) };
    const masks = new Map<number | null, Value>();
    const caches: Value[] = [];
    let x = embed(backend.tensor(state.current) as tf.Tensor1D, view);
    for (let n = 0; n < config.layers; n++) {
      const window = config.windows[n]!;
      if (!masks.has(window)) masks.set(window, this.mask(window, slot, lengths, capacity));
      const { query, key, value } = project(config, n, x, view, context);
      const at = [zero(), zero(), slot, zero()];
      const keys = hlo.dynamicUpdateSlice(state.caches[2 * n]!, backend.take(key), at);
      const values = hlo.dynamicUpdateSlice(state.caches[2 * n + 1]!, backend.take(value), at);
      caches.push(keys, values);
      const attended = this.attend(backend.take(query), prompt[n]!, [keys, values], masks.get(window)!);
      x = finishLayer(config, n, x, backend.tensor(attended) as tf.Tensor2D, view);
    }
    return { logits: backend.take(logitsOf(config, finalNorm(config, x, view), view)), caches };
  }

  /** Added to the scores over prompt and completion: [B, 1, 1, S + C]. */
  private mask(window: number | null, slot: Value, lengths: Value, capacity: number): Value {
    const width = this.rows.length;
    const column = hlo.reshape(lengths, [width, 1]);
    const promptSlots = hlo.iota("i32", [width, this.slots], 1);
    const ownSlots = hlo.iota("i32", [width, capacity], 1);
    let inPrompt = hlo.compare("LT", promptSlots, column);
    let own = hlo.compare("LE", ownSlots, slot);
    if (window !== null) {
      const position = hlo.add(column, slot); // of the query
      const limit = hlo.constant("i32", window);
      inPrompt = hlo.and(inPrompt, hlo.compare("LT", hlo.subtract(position, promptSlots), limit));
      own = hlo.and(own, hlo.compare("LT", hlo.subtract(slot, ownSlots), limit));
    }
    const seen = hlo.concatenate([inPrompt, own], 1);
    const added = hlo.select(seen, hlo.constant("f32", 0), hlo.constant("f32", hiddenKey));
    return hlo.reshape(added, [width, 1, 1, this.slots + capacity]);
  }

  /**
   * Attention of one query a row over its prompt's cache, shared by the rows of a group, and its own.
   * @param query [B, Nh, 1, D]
   * @returns [B, Nh*D]
   */
  private attend(
    query: Value,
    [promptKeys, promptValues]: readonly [Value, Value],
    [keys, values]: readonly [Value, Value],
    mask: Value,
  ): Value {
    const { heads, keyValueHeads, headDim } = this.config;
    const { groups, groupSize, slots, backend } = this;
    const width = groups * groupSize;
    const share = heads / keyValueHeads;
    const own = hlo.reshape(query, [width, keyValueHeads, share, headDim]);
    // queries of a group behind each other, so that a prompt's keys are read once for all of them
    const grouped = hlo.reshape(
      hlo.transpose(hlo.reshape(own, [groups, groupSize, keyValueHeads, share, headDim]), [0, 2, 1, 3, 4]),
      [groups, keyValueHeads, groupSize * share, headDim],
    );
    const product = (a: Value, b: Value, transposed: boolean) =>
      hlo.dotGeneral(
        hlo.convert(a, backend.products.type),
        hlo.convert(b, backend.products.type),
        {
          batching: [
            [0, 1],
            [0, 1],
          ],
          contracting: [[3], [transposed ? 3 : 2]],
        },
        "f32",
        backend.products.exact,
      );
    const ungroup = (x: Value, last: number) =>
      hlo.reshape(
        hlo.transpose(hlo.reshape(x, [groups, keyValueHeads, groupSize, share, last]), [0, 2, 1, 3, 4]),
        [width, keyValueHeads, share, last],
      );
    const scores = hlo.concatenate(
      [ungroup(product(grouped, promptKeys, true), slots), product(own, keys, true)],
      3,
    ); // [B, Nk, share, S + C]
    const scaled = hlo.add(hlo.scale(scores, headDim ** -0.5), mask);
    const mass = hlo.unary("exponential", hlo.subtract(scaled, hlo.reduce("maximum", scaled, [3], true)));
    const weights = hlo.divide(mass, hlo.reduce("add", mass, [3], true));
    const capacity = keys.shape[2]!;
    const early = hlo.slice(weights, [0, 0, 0, 0], [width, keyValueHeads, share, slots]);
    const late = hlo.slice(weights, [0, 0, 0, slots], [width, keyValueHeads, share, capacity]);
    const earlyGrouped = hlo.reshape(
      hlo.transpose(hlo.reshape(early, [groups, groupSize, keyValueHeads, share, slots]), [0, 2, 1, 3, 4]),
      [groups, keyValueHeads, groupSize * share, slots],
    );
    const mixed = hlo.add(
      ungroup(product(earlyGrouped, promptValues, false), headDim),
      product(late, values, false),
    ); // [B, Nk, share, D]
    return hlo.reshape(mixed, [width, heads * headDim]);
  }

  /** cos and sin of every position that may come, [S + C, D/2]. */
  private ropeTables(capacity: number): { cos: Value; sin: Value } {
    const positions = Int32Array.from({ length: this.slots + capacity }, (_, i) => i);
    const { cos, sin } = ropeTables(positions, this.config);
    const shape: [number, number] = [positions.length, this.config.headDim / 2];
    return {
      cos: this.backend.take(tf.tensor2d(cos, shape)),
      sin: this.backend.take(tf.tensor2d(sin, shape)),
    };
  }

  /** A number for every step and row of the program; 0 where there is none. [steps, B] */
  private table(type: "f32" | "i32", steps: number, of: (row: number, t: number) => number): Value {
    const width = this.rows.length;
    const numbers = type === "f32" ? new Float32Array(steps * width) : new Int32Array(steps * width);
    for (const [i, { index, ended }] of this.rows.entries()) {
      if (ended) continue;
      for (let t = 0; t < steps; t++) numbers[t * width + i] = of(index, t);
    }
    return this.backend.take(tf.tensor2d(numbers, [steps, width], type === "f32" ? "float32" : "int32"));
  }

  private constraints(kind: "force" | "ban", steps: number, start: number): Value {
    return this.table("i32", steps, (row, t) => {
      if (start + t >= this.request.constrainedTokens) return -1;
      const constraint = this.request.constraint(row, start + t) as Record<string, number> | undefined;
      return constraint?.[kind] ?? -1;
    });
  }

  /** Leaves out ended rows where enough of them have, keeping whole groups rectangular. */
  private compact(): void {
    const live = new Map<number, Row[]>();
    const positions = new Map(this.rows.map((row, i) => [row, i]));
    for (const [i, row] of this.rows.entries()) {
      if (row.ended) continue;
      const group = Math.floor(i / this.groupSize);
      live.set(group, [...(live.get(group) ?? []), row]);
    }
    const groups = Math.min(this.groups, ladder(live.size));
    const groupSize = Math.min(
      this.groupSize,
      ladder(Math.max(...[...live.values()].map(({ length }) => length))),
    );
    if (groups * groupSize > (1 - COMPACT_SHARE) * this.rows.length) return;
    const chosen = [...live];
    const source: number[] = [];
    const rows: Row[] = [];
    const promptRows: number[] = [];
    for (let p = 0; p < groups; p++) {
      const [group, members] = chosen[p] ?? [chosen[0]![0], []];
      promptRows.push(group);
      for (let g = 0; g < groupSize; g++) {
        const row = members[g];
        source.push(row === undefined ? group * this.groupSize : positions.get(row)!);
        rows.push(row ?? { index: -1, prompt: this.rows[group * this.groupSize]!.prompt, ended: true });
      }
    }
    this.caches = this.caches.map((cache) => {
      const pick = (x: tf.Tensor4D, at: number[]) => {
        const picked = tf.tidy(() => tf.gather(x, tf.tensor1d(at, "int32")) as tf.Tensor4D);
        x.dispose();
        return picked;
      };
      return {
        promptKeys: pick(cache.promptKeys, promptRows),
        promptValues: pick(cache.promptValues, promptRows),
        keys: pick(cache.keys, source),
        values: pick(cache.values, source),
      };
    });
    this.current = Int32Array.from(source, (i) => this.current[i]!);
    this.groups = groups;
    this.groupSize = groupSize;
    this.rows = rows;
  }

  dispose(): void {
    for (const cache of this.caches) tf.dispose(Object.values(cache) as tf.Tensor[]);
    this.caches = [];
  }
}

/** What the loop carries. */
interface DecodingState {
  /** Tokens of each row so far. i32 scalar */
  count: Value;
  /** Last token of each row. [B] */
  current: Value;
  /** [B], i1 */
  ended: Value;
  /** [steps, B] each */
  tokens: Value;
  logprobs: Value;
  entropies: Value;
  /** Keys and values of each layer in turn, [B, Nk, C, D] */
  caches: Value[];
}

function flatten({ count, current, ended, tokens, logprobs, entropies, caches }: DecodingState): Value[] {
  return [count, current, ended, tokens, logprobs, entropies, ...caches];
}

function unflatten(flat: readonly Value[]): DecodingState {
  const [count, current, ended, tokens, logprobs, entropies, ...caches] = flat as [
    Value,
    Value,
    Value,
    Value,
    Value,
    Value,
    ...Value[],
  ];
  return { count, current, ended, tokens, logprobs, entropies, caches };
}

const zero = () => hlo.constant("i32", 0);

/** A cache with room for more slots. */
function grown(cache: Value, capacity: number): Value {
  const added = capacity - cache.shape[2]!;
  if (added === 0) return cache;
  const none = [0, 0] as const;
  return hlo.pad(cache, [none, none, [0, added], none], 0);
}
