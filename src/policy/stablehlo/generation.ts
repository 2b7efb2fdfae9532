/**
 * Generation as programs: prefill, decoding and sampling run inside, the host sees tokens. The cache of a prompt is shared
 * by its rows; caches of completions are written in place. A program serves one capacity of the completions' cache, which
 * grows from border to border; there, rows that ended leave.
 */
import * as tf from "@tensorflow/tfjs";
import type { Value } from "../../backend/stablehlo/graph.ts";
import * as hlo from "../../backend/stablehlo/hlo.ts";
import { currentLazyBackend, type LazyBackend } from "../../backend/stablehlo/lazy-backend.ts";
import { DivergedError } from "../../lib/errors.ts";
import type { PromptPictures, SampledRow, SamplingRequest } from "../../types.ts";
import { positionShift } from "../axis-positions.ts";
import { checkPrompts } from "../generation.ts";
import type { DecoderConfig } from "../interfaces.ts";
import type { WeightView } from "../linear.ts";
import { forward, grown, type ProgramShape, pickRows, positionTables, prefill, zero } from "./forward.ts";
import { drawRow } from "./sampling.ts";
import { capacities, ladder, partsFor, slotsFor } from "./sizes.ts";

/** Rows leave at a border when this share of them has ended. */
const COMPACT_SHARE = 0.375;

interface Row {
  /** Of the request; -1 fills up a program's rows. */
  index: number;
  prompt: number;
  ended: boolean;
}

/** `LayerState` between programs. */
interface LayerTensors {
  prompt: tf.Tensor[];
  own: tf.Tensor[];
}

/**
 * Sampling in programs with a policy's weights; null where the current backend is not traced. The function throws an RlptError
 * when a prompt does not fit, or the policy has diverged.
 */
export function programSampling(
  config: DecoderConfig,
  view: WeightView,
): ((prompts: readonly Int32Array[], request: SamplingRequest) => Promise<SampledRow[]>) | null {
  const backend = currentLazyBackend();
  if (backend === null) return null;
  return (prompts, request) => sampleRows(backend, config, view, prompts, request);
}

async function sampleRows(
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

class ProgramRun implements ProgramShape {
  readonly backend: LazyBackend;
  readonly config: DecoderConfig;
  readonly view: WeightView;
  private readonly request: SamplingRequest;
  /** Of each group. */
  private readonly prompts: readonly Int32Array[];
  private readonly pictures: readonly (PromptPictures | null)[];
  private readonly sampled: SampledRow[];
  readonly slots: number;
  groups: number;
  groupSize: number;
  /** Which row of the request each row of the program is. */
  private rows: Row[];
  private layers: LayerTensors[] = [];
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
    this.request = request;
    this.sampled = sampled;
    this.slots = slotsFor(Math.max(...prompts.map((prompt) => prompt.length)));
    const parts = partsFor(prompts.length, request.repeats, backend.devices);
    const times = <T>(each: readonly T[]): T[] => each.flatMap((one) => new Array<T>(parts).fill(one));
    this.prompts = times(prompts);
    this.pictures = times(request.pictures ?? []);
    this.groups = ladder(this.prompts.length, backend.devices);
    this.groupSize = request.repeats / parts;
    this.rows = Array.from({ length: this.groups * this.groupSize }, (_, i) => {
      const prompt = Math.floor(i / this.groupSize);
      return prompt < this.prompts.length
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
      const { results, layers } = this.trace(capacity, start, end, first);
      const old = this.layers.flatMap(({ own }) => own);
      this.layers = layers;
      for (const { prompt, own } of layers) for (const tensor of [...prompt, ...own]) tf.keep(tensor);
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
          throw new DivergedError();
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
    const shifts = value(
      tf.tensor1d(
        this.rows.map(({ prompt }) => positionShift(this.pictures[prompt])),
        "int32",
      ),
    );
    const uniforms = this.table("f32", steps, (row, t) => request.uniform(row, start + t));
    const constrained = request.constrainedTokens > start;
    const force = constrained ? this.constraints("force", steps, start) : null;
    const ban = constrained ? this.constraints("ban", steps, start) : null;
    const undrawn =
      request.undrawn == null ? null : value(tf.tensor2d(request.undrawn, [1, config.vocabSize], "bool"));
    const draw = (logits: Value, at: Value) => {
      const rowAt = (table: Value) => hlo.reshape(hlo.dynamicSlice(table, [at, zero()], [1, width]), [width]);
      const constraint = force === null ? null : { force: rowAt(force), ban: rowAt(ban!) };
      return drawRow(logits, rowAt(uniforms), request, constraint, undrawn);
    };

    const tokens = hlo.constant("i32", 0, [steps, width]);
    const floats = hlo.constant("f32", 0, [steps, width]);
    const rowValue = (tensor: tf.Tensor) => backend.byRows(value(tensor));
    let state: DecodingState = {
      count: backend.changingInteger(start),
      current: first ? hlo.constant("i32", 0, [width]) : rowValue(tf.tensor1d(this.current, "int32")),
      ended: rowValue(
        tf.tensor1d(
          this.rows.map(({ ended }) => Number(ended)),
          "bool",
        ),
      ),
      tokens,
      logprobs: floats,
      entropies: floats,
      own: [],
    };
    let prompt = this.layers.map((layer) => layer.prompt.map(value));
    if (first) {
      const filled = prefill(this, this.prompts, this.pictures, capacity);
      prompt = filled.states.map((layer) => layer.prompt.map((x) => backend.byRows(x)));
      state = this.record(state, draw(filled.logits, zero()), zero());
      state.own = filled.states.map((layer) => layer.own.map((x) => backend.byRows(x)));
    } else {
      state.own = config.layers.map(({ mixer }, n) => grown(mixer, this.layers[n]!.own.map(value), capacity));
    }
    const sizes = state.own.map(({ length }) => length);

    const last = backend.changingInteger(end);
    const offset = backend.changingInteger(start);
    const tables = positionTables(this, capacity);
    const final = hlo.whileLoop(
      flatten(state),
      (flat) => {
        const { count, ended } = unflatten(flat, sizes);
        return hlo.and(hlo.compare("LT", count, last), hlo.unary("not", hlo.reduce("and", ended, [0])));
      },
      (flat) => {
        const before = unflatten(flat, sizes);
        // slot of the token that is fed: the one before the next
        const slot = hlo.shift(before.count, -1);
        const states = before.own.map((own, n) => ({ prompt: prompt[n]!, own }));
        const { logits, own } = forward(
          this,
          before.current,
          states,
          slot,
          lengths,
          shifts,
          tables,
          capacity,
        );
        const at = hlo.subtract(before.count, offset);
        return flatten({ ...this.record(before, draw(logits, at), at), own });
      },
    );
    const done = unflatten(final, sizes);
    const tensor = (x: Value) => backend.tensor(x);
    return {
      results: [done.tokens, done.logprobs, done.entropies, done.count].map(tensor),
      layers: prompt.map(
        (shared, n): LayerTensors => ({
          prompt: first ? shared.map(tensor) : this.layers[n]!.prompt,
          own: done.own[n]!.map((x) => tensor(backend.byRows(x))),
        }),
      ),
    };
  }

  /** Writes a draw down and counts it. @param at row of the tables */
  private record(state: DecodingState, draw: ReturnType<typeof drawRow>, at: Value): DecodingState {
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
      own: state.own,
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

  /** Leaves out ended rows where enough of them have, keeping whole groups rectangular. Rows stay on their device. */
  private compact(): void {
    const { devices } = this.backend;
    const positions = new Map(this.rows.map((row, i) => [row, i]));
    const perDevice = this.groups / devices;
    /** Of each device: its groups that have live rows, with these. */
    const live = Array.from({ length: devices }, () => new Map<number, Row[]>());
    for (const [i, row] of this.rows.entries()) {
      if (row.ended) continue;
      const group = Math.floor(i / this.groupSize);
      const own = live[Math.floor(group / perDevice)]!;
      own.set(group, [...(own.get(group) ?? []), row]);
    }
    const most = (counts: readonly number[]) => ladder(Math.max(1, ...counts));
    const ownGroups = Math.min(perDevice, most(live.map(({ size }) => size)));
    const members = live.flatMap((groups) => [...groups.values()].map(({ length }) => length));
    const groupSize = Math.min(this.groupSize, most(members));
    if (devices * ownGroups * groupSize > (1 - COMPACT_SHARE) * this.rows.length) return;
    const source: number[] = [];
    const rows: Row[] = [];
    const promptRows: number[] = [];
    for (const [device, groups] of live.entries()) {
      const chosen = [...groups];
      for (let p = 0; p < ownGroups; p++) {
        const [group, own] = chosen[p] ?? [device * perDevice, []];
        promptRows.push(group);
        for (let g = 0; g < groupSize; g++) {
          const row = own[g];
          source.push(row === undefined ? group * this.groupSize : positions.get(row)!);
          rows.push(row ?? { index: -1, prompt: this.rows[group * this.groupSize]!.prompt, ended: true });
        }
      }
    }
    const picked = (tensors: readonly tf.Tensor[], at: readonly number[]) =>
      tensors.map((x) => {
        const made = tf.tidy(() => pickRows(this.backend, x, at));
        x.dispose();
        return made;
      });
    this.layers = this.layers.map(({ prompt, own }) => ({
      prompt: picked(prompt, promptRows),
      own: picked(own, source),
    }));
    this.current = Int32Array.from(source, (i) => this.current[i]!);
    this.groups = devices * ownGroups;
    this.groupSize = groupSize;
    this.rows = rows;
  }

  dispose(): void {
    for (const { prompt, own } of this.layers) tf.dispose([...prompt, ...own]);
    this.layers = [];
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
  /** Of each layer, its rows' own state: `LayerState`. */
  own: Value[][];
}

function flatten({ count, current, ended, tokens, logprobs, entropies, own }: DecodingState): Value[] {
  return [count, current, ended, tokens, logprobs, entropies, ...own.flat()];
}

/** @param sizes values of each layer's own state */
function unflatten(flat: readonly Value[], sizes: readonly number[]): DecodingState {
  const [count, current, ended, tokens, logprobs, entropies, ...rest] = flat as [
    Value,
    Value,
    Value,
    Value,
    Value,
    Value,
    ...Value[],
  ];
  let next = 0;
  const own = sizes.map((size) => {
    next += size;
    return rest.slice(next - size, next);
  });
  return { count, current, ended, tokens, logprobs, entropies, own };
}
