/** Generation's forward passes inside a program: prompts at once, then one token of every row. */
import * as tf from "@tensorflow/tfjs";
import { overDevices } from "../../backend/devices.ts";
import type { Value } from "../../backend/stablehlo/graph.ts";
import * as hlo from "../../backend/stablehlo/hlo.ts";
import type { LazyBackend } from "../../backend/stablehlo/lazy-backend.ts";
import type { PromptPictures } from "../../types.ts";
import { attend, project, throughGate } from "../attention.ts";
import { batchContext, tablesOf } from "../batch-context.ts";
import { batchPictures } from "../batch-pictures.ts";
import { embed, embedBatch, finalNorm, logitsOf } from "../decoder.ts";
import type { AttentionConfig, DecoderConfig, MixerConfig, RotaryConfig, TokenBatch } from "../interfaces.ts";
import { finishLayer, mixerInput } from "../layer.ts";
import type { WeightView } from "../linear.ts";
import { hiddenKey } from "../masks.ts";
import { mixPrompts, mixStep } from "../recurrence.ts";
import { ropeTables } from "../rope.ts";
import { fewTileTokens } from "../vision.ts";

export interface ProgramShape {
  readonly backend: LazyBackend;
  readonly config: DecoderConfig;
  readonly view: WeightView;
  /** P and G of the program's rows [P, G], B of them. */
  readonly groups: number;
  readonly groupSize: number;
  /** Slots of the prompts' cache, S. */
  readonly slots: number;
}

const rowsOf = ({ groups, groupSize }: ProgramShape) => groups * groupSize;

export const zero = () => hlo.constant("i32", 0);

/** What a layer keeps of the prompts, shared by the rows of a group, and what each row has of its own. */
export interface LayerState {
  /** Keys and values [P, Nk, S, D]; a recurrence has none. */
  prompt: readonly Value[];
  /** Keys and values [B, Nk, C, D]; or the states of a recurrence, [B, ...] each. */
  own: readonly Value[];
}

/**
 * Logits after the prompts, one row per row of the program, and the layers' states.
 * @param capacity C, slots of the completions' caches
 */
export function prefill(
  program: ProgramShape,
  prompts: readonly Int32Array[],
  pictures: readonly (PromptPictures | null)[],
  capacity: number,
): { logits: Value; states: LayerState[] } {
  const { backend, config, view, slots, groups, groupSize } = program;
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
    const prompt = prompts[p] ?? prompts[0]!;
    batch.tokens.set(prompt, p * slots);
    batch.segments.fill(1, p * slots, p * slots + prompt.length);
    for (let i = 0; i < prompt.length; i++) batch.positions[p * slots + i] = i;
    batch.scoredAt[p] = p * slots + prompt.length - 1;
  }
  batch.pictures = batchPictures(
    Array.from({ length: groups }, (_, p) => ({
      start: p * slots,
      pictures: pictures[p < prompts.length ? p : 0],
    })),
    groups * slots,
    {
      // as many as there can be: each number is a program of its own
      tiles: () => groups * Math.max(...pictures.map((own) => own?.tiles.length ?? 0)),
      tileTokens: fewTileTokens(config),
    },
  );
  const context = batchContext(config, batch);
  const width = rowsOf(program);
  const states: LayerState[] = [];
  let x = embedBatch(config, batch, view);
  for (const [n, layer] of config.layers.entries()) {
    const { mixer } = layer;
    const h = mixerInput(config, layer, x, view);
    if (mixer.kind !== "attention") {
      const { mixed, inputs, states: after } = mixPrompts(mixer, config.norm.epsilon, h, view, context[n]!);
      const all = [lastInputs(inputs, prompts, mixer.conv.kernel - 1), ...after];
      states.push({ prompt: [], own: all.map((state) => repeated(backend.take(state), groupSize)) });
      x = finishLayer(config, layer, x, mixed, view);
      continue;
    }
    const projections = project(config, mixer, h, view, context[n]!);
    const shape = [width, mixer.keyValueHeads, capacity, mixer.headDim];
    const empty = hlo.constant("f32", 0, shape);
    const prompt = [backend.take(projections.key), backend.take(projections.value)];
    states.push({ prompt, own: [empty, empty] });
    x = finishLayer(config, layer, x, attend(mixer, projections, context[n]!.tables.mask!), view);
  }
  const hidden = overDevices(tf.gather(x, tf.tensor1d(batch.scoredAt, "int32")) as tf.Tensor2D);
  const logits = backend.take(logitsOf(config, finalNorm(config, hidden, view), view)); // [P, V]
  return { logits: repeated(logits, groupSize), states };
}

/** Each row `times` times. [P, ...] to [P * times, ...] */
function repeated(x: Value, times: number): Value {
  const [rows, ...rest] = x.shape as [number, ...number[]];
  const each = hlo.broadcast(hlo.reshape(x, [rows, 1, ...rest]), [rows, times, ...rest]);
  return hlo.reshape(each, [rows * times, ...rest]);
}

/** The last inputs of each prompt, zero where it is shorter. @param inputs [P, S, H], padded on the right */
function lastInputs(inputs: tf.Tensor3D, prompts: readonly Int32Array[], kept: number): tf.Tensor3D {
  const [rows, slots, width] = inputs.shape;
  const lengths = Array.from({ length: rows }, (_, p) => (prompts[p] ?? prompts[0]!).length);
  const places = lengths.flatMap((length, p) =>
    Array.from({ length: kept }, (_, i) => p * slots + Math.max(0, length - kept + i)),
  );
  const real = lengths.flatMap((length) =>
    Array.from({ length: kept }, (_, i) => Number(length >= kept - i)),
  );
  const flat = tf.reshape(inputs, [rows * slots, width]);
  const picked = tf.gather(
    flat,
    overDevices(() => tf.tensor1d(places, "int32")),
  );
  const masked = tf.mul(
    picked,
    overDevices(() => tf.tensor2d(real, [rows * kept, 1])),
  );
  return tf.reshape(masked, [rows, kept, width]);
}

/** One token of every row through all layers. */
export function forward(
  program: ProgramShape,
  current: Value,
  states: readonly LayerState[],
  slot: Value,
  lengths: Value,
  /** Of the position that the next token has, behind the number of those before it. [B] */
  shifts: Value,
  tables: ReadonlyMap<RotaryConfig, { cos: Value; sin: Value }>,
  capacity: number,
): { logits: Value; own: Value[][] } {
  const { backend, config, view } = program;
  const width = rowsOf(program);
  const positions = hlo.add(lengths, slot); // [B]
  const turnedBy = (rotary: RotaryConfig) =>
    rotary.sections === undefined ? positions : hlo.add(positions, shifts);
  const own = tablesOf(config, {
    turned: (rotary) => {
      const row = (x: Value) =>
        backend.tensor(
          hlo.reshape(hlo.gather(x, turnedBy(rotary), 0), [width, 1, rotary.inverse.length]),
        ) as tf.Tensor3D;
      const { cos, sin } = tables.get(rotary)!;
      return { cos: row(cos), sin: row(sin) };
    },
    mask: (window) => maskOf(program, window, slot, lengths, capacity),
    taps: () => ({}),
    memory: () => ({}),
  });
  const next: Value[][] = [];
  let x = embed(
    config,
    backend.tensor(current) as tf.Tensor1D,
    backend.tensor(positions) as tf.Tensor1D,
    view,
  );
  for (const [n, layer] of config.layers.entries()) {
    const { mask, ...turned } = own[n]!;
    const h = mixerInput(config, layer, x, view);
    const { mixer } = layer;
    const before = states[n]!;
    if (mixer.kind !== "attention") {
      const own = before.own.map((state) => backend.tensor(state));
      const step = mixStep(mixer, config.norm.epsilon, h, view, own);
      next.push(step.states.map((state) => backend.take(state)));
      x = finishLayer(config, layer, x, step.mixed, view);
      continue;
    }
    const rows = { rows: width, length: 1, tables: turned };
    const { query, key, value, gate } = project(config, mixer, h, view, rows);
    const at = [zero(), zero(), slot, zero()];
    const keys = hlo.dynamicUpdateSlice(before.own[0]!, backend.take(key), at);
    const values = hlo.dynamicUpdateSlice(before.own[1]!, backend.take(value), at);
    next.push([keys, values]);
    const prompt = before.prompt as [Value, Value];
    const attended = attendCaches(program, mixer, backend.take(query), prompt, [keys, values], mask!);
    x = finishLayer(config, layer, x, throughGate(backend.tensor(attended) as tf.Tensor2D, gate), view);
  }
  return { logits: backend.take(logitsOf(config, finalNorm(config, x, view), view)), own: next };
}

/** Added to the scores over prompt and completion: [B, 1, 1, S + C]. */
function maskOf(
  program: ProgramShape,
  window: number | null,
  slot: Value,
  lengths: Value,
  capacity: number,
): Value {
  const width = rowsOf(program);
  const column = hlo.reshape(lengths, [width, 1]);
  const promptSlots = hlo.iota("i32", [width, program.slots], 1);
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
  return hlo.reshape(added, [width, 1, 1, program.slots + capacity]);
}

/**
 * Attention of one query a row over its prompt's cache, shared by the rows of a group, and its own.
 * @param query [B, Nh, 1, D]
 * @returns [B, Nh*D]
 */
function attendCaches(
  program: ProgramShape,
  { heads, keyValueHeads, headDim, scale, softcap }: AttentionConfig,
  query: Value,
  [promptKeys, promptValues]: readonly [Value, Value],
  [keys, values]: readonly [Value, Value],
  mask: Value,
): Value {
  const { groups, groupSize, slots, backend } = program;
  const width = groups * groupSize;
  const share = heads / keyValueHeads;
  const own = hlo.reshape(query, [width, keyValueHeads, share, headDim]);
  // queries of a group one after the other, so that a prompt's keys are read once for all of them
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
  const capped = (x: Value) =>
    softcap === null ? x : hlo.scale(hlo.unary("tanh", hlo.scale(x, 1 / softcap)), softcap);
  const scaled = hlo.add(capped(hlo.scale(scores, scale)), mask);
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

/** cos and sin of every position that may come, [S + C, D/2], of each rotary table. */
export function positionTables(
  { backend, config, slots }: ProgramShape,
  capacity: number,
): Map<RotaryConfig, { cos: Value; sin: Value }> {
  const positions = Int32Array.from({ length: slots + capacity }, (_, i) => i);
  const all = new Set(
    config.layers.flatMap(({ mixer }) => (mixer.kind === "attention" ? (mixer.rotary ?? []) : [])),
  );
  return new Map(
    [...all].map((rotary) => {
      const { cos, sin } = ropeTables(positions, rotary);
      const shape: [number, number] = [positions.length, rotary.inverse.length];
      return [
        rotary,
        { cos: backend.take(tf.tensor2d(cos, shape)), sin: backend.take(tf.tensor2d(sin, shape)) },
      ] as const;
    }),
  );
}

/** A layer's own state with room for more slots; that of a recurrence needs none. */
export function grown(mixer: MixerConfig, own: readonly Value[], capacity: number): Value[] {
  if (mixer.kind !== "attention") return [...own];
  return own.map((cache) => {
    const added = capacity - cache.shape[2]!;
    if (added === 0) return cache;
    const none = [0, 0] as const;
    return hlo.pad(cache, [none, none, [0, added], none], 0);
  });
}

/**
 * Rows of x, on the devices that they are on.
 * @param at as many of each device's rows, one device after the other
 */
export function pickRows(backend: LazyBackend, x: tf.Tensor, at: readonly number[]): tf.Tensor {
  const { devices } = backend;
  const [rows, ...rest] = x.shape as [number, ...number[]];
  const own = rows / devices;
  const width = rest.reduce((product, n) => product * n, 1);
  const places = tf.tensor2d(
    at.map((row) => row % own),
    [devices, at.length / devices],
    "int32",
  );
  const parts = hlo.reshape(backend.take(x), [devices, own, width]);
  const picked = hlo.gatherInRows(parts, backend.byRows(backend.take(places)));
  return backend.tensor(backend.byRows(hlo.reshape(picked, [at.length, ...rest])));
}
