/**
 * The decoder's forward pass: Llama 2/3, SmolLM2, Mistral, Qwen2/2.5, Qwen3 and SmolLM3, which differ in
 * biases, query/key norms, windows, rotary scaling and tied embeddings only. Pure functions of (weights, batch).
 */
import * as tf from "@tensorflow/tfjs";
import { overDevices } from "../backend/devices.ts";
import { embedding, maskedSoftmax, rematerialise, rmsNorm, rope, swiglu } from "../backend/ops.ts";
import { type AttentionRows, type BatchContext, batchContext } from "./batch-context.ts";
import { embeddingName, finalNormName, headName, layerModule } from "./decoder-weights.ts";
import type { DecoderConfig, SharedPrompts, TokenBatch } from "./interfaces.ts";
import { repeatRows } from "./repeat-rows.ts";
import { scoredBehindPrompts } from "./shared-prompts.ts";

/** A low-rank update of one linear layer: y += scale * (x A) B. */
export interface Adapter {
  a: tf.Tensor2D; // [in, r]
  b: tf.Tensor2D; // [r, out]
  scale: number;
}

/** Weights as the forward pass sees them: the policy's own, the reference's, or stand-ins under a tape. */
export interface WeightView {
  /** A weight by Hugging Face name, linear layers [in, out]; undefined where the family has none. */
  find(name: string): tf.Tensor | undefined;
  /** The adapter of a linear layer by module name, if any. */
  adapter(module: string): Adapter | undefined;
}

export function weight<T extends tf.Tensor>(view: WeightView, name: string): T {
  const found = view.find(name);
  if (!found) throw new RangeError(`no weight is called ${name}`);
  return found as T;
}

/** x W + b, with the adapter's update where there is one. @param x [N, in] @returns [N, out] */
export function linear(x: tf.Tensor2D, module: string, view: WeightView): tf.Tensor2D {
  let y = tf.matMul(x, weight<tf.Tensor2D>(view, `${module}.weight`)) as tf.Tensor2D;
  const bias = view.find(`${module}.bias`);
  if (bias) y = tf.add(y, bias);
  const adapter = view.adapter(module);
  if (adapter) y = tf.add(y, tf.matMul(tf.mul(tf.matMul(x, adapter.a), adapter.scale), adapter.b));
  return y;
}

/** Queries, keys and values of a layer's tokens, after norms and rotation. */
export interface Projections {
  query: tf.Tensor4D; // [R, Nh, T, D]
  key: tf.Tensor4D; // [R, Nk, T, D]
  value: tf.Tensor4D; // [R, Nk, T, D]
}

/** Queries, keys and values before rotation, [N, h*D] each, norms applied. @param x the layer's input [N, H] */
function projectFlat(config: DecoderConfig, n: number, x: tf.Tensor2D, view: WeightView) {
  const { headDim, rmsNormEps } = config;
  const h = rmsNorm(x, weight(view, layerModule(n, "input_layernorm.weight")), rmsNormEps);
  const part = (name: string) => linear(h, layerModule(n, `self_attn.${name}_proj`), view);
  const normed = (name: string): tf.Tensor2D => {
    const y = part(name);
    if (!config.queryKeyNorm) return y;
    const norm = weight(view, layerModule(n, `self_attn.${name}_norm.weight`));
    return tf.reshape(rmsNorm(tf.reshape(y, [-1, headDim]), norm, rmsNormEps), y.shape);
  };
  return { query: normed("q"), key: normed("k"), value: part("v") };
}

/** Heads before tokens, queries and keys rotated. @param flat [R*T, h*D] each */
function place(
  config: DecoderConfig,
  n: number,
  flat: { query: tf.Tensor; key: tf.Tensor; value: tf.Tensor },
  { rows, length, cos, sin }: Omit<AttentionRows, "masks">,
): Projections {
  const { heads, keyValueHeads, headDim } = config;
  const split = (y: tf.Tensor, count: number) => tf.reshape(y, [rows, length, count, headDim]) as tf.Tensor4D;
  const headsFirst = (y: tf.Tensor4D) => tf.transpose(y, [0, 2, 1, 3]) as tf.Tensor4D;
  const positioned = (y: tf.Tensor4D) => (config.ropeLayers[n] ? rope(y, cos, sin) : headsFirst(y));
  return {
    query: positioned(split(flat.query, heads)),
    key: positioned(split(flat.key, keyValueHeads)),
    value: headsFirst(split(flat.value, keyValueHeads)),
  };
}

/** @param x the layer's input [R*T, H] @param tables cos and sin, [1 or R, T, D/2] */
export function project(
  config: DecoderConfig,
  n: number,
  x: tf.Tensor2D,
  view: WeightView,
  tables: Omit<AttentionRows, "masks">,
): Projections {
  return place(config, n, projectFlat(config, n, x, view), tables);
}

/**
 * Softmax(q k^T / sqrt(D) + mask) v. Query heads of one key/value head are laid one after the other, so keys are
 * never tiled.
 * @param mask [1 or R, T, S]
 * @returns [R*T, Nh*D]
 */
export function attend(
  config: DecoderConfig,
  { query, key, value }: Projections,
  mask: tf.Tensor3D,
): tf.Tensor2D {
  const { heads, keyValueHeads, headDim } = config;
  const [rows, , length] = query.shape;
  const grouped = tf.reshape(query, [rows, keyValueHeads, (heads / keyValueHeads) * length, headDim]);
  const scores = tf.matMul(grouped, key, false, true) as tf.Tensor4D; // [R, Nk, G*T, S]
  const mixed = tf.matMul(maskedSoftmax(scores, mask, headDim ** -0.5), value); // [R, Nk, G*T, D]
  return mergeHeads(tf.reshape(mixed, [rows, heads, length, headDim]));
}

/**
 * Attention where G completions share a prompt: its keys and values are computed once and stand before each
 * completion's own.
 * @param x the layer's input [P * (S + G*T), H]
 * @returns [P * (S + G*T), Nh*D]
 */
function attendShared(
  config: DecoderConfig,
  n: number,
  x: tf.Tensor2D,
  view: WeightView,
  context: LayerContext,
  completions: LayerRows,
): tf.Tensor2D {
  const { rows: prompts, length: promptLength } = context;
  const behind = (completions.rows / prompts) * completions.length; // G*T
  const flat = projectFlat(config, n, x, view);
  const cut = (y: tf.Tensor2D) =>
    tf.split(
      tf.reshape(y, [prompts, promptLength + behind, y.shape[1]]) as tf.Tensor3D,
      [promptLength, behind],
      1,
    ) as [tf.Tensor3D, tf.Tensor3D];
  const [query, key, value] = [cut(flat.query), cut(flat.key), cut(flat.value)];
  const prompt = place(config, n, { query: query[0], key: key[0], value: value[0] }, context);
  const own = place(config, n, { query: query[1], key: key[1], value: value[1] }, completions);
  const times = completions.rows / prompts;
  const before = (shared: tf.Tensor4D, mine: tf.Tensor4D) =>
    tf.concat([repeatRows(shared, times) as tf.Tensor4D, mine], 2); // [P*G, Nk, S+T, D]
  const parts = [
    attend(config, prompt, context.mask),
    attend(
      config,
      { query: own.query, key: before(prompt.key, own.key), value: before(prompt.value, own.value) },
      completions.mask,
    ),
  ];
  const width = parts[0]!.shape[1];
  const joined = tf.concat(
    parts.map((part) => tf.reshape(part, [prompts, -1, width])),
    1,
  );
  return tf.reshape(joined, [-1, width]);
}

/** [R, Nh, T, D] to [R*T, Nh*D] */
export function mergeHeads(x: tf.Tensor4D): tf.Tensor2D {
  const [rows, heads, length, dimension] = x.shape;
  return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [rows * length, heads * dimension]);
}

/** Output projection, residual, and the gated MLP with its residual. @param attended [N, Nh*D] */
export function finishLayer(
  config: DecoderConfig,
  n: number,
  x: tf.Tensor2D,
  attended: tf.Tensor2D,
  view: WeightView,
): tf.Tensor2D {
  const middle = tf.add(x, linear(attended, layerModule(n, "self_attn.o_proj"), view)) as tf.Tensor2D;
  const norm = weight(view, layerModule(n, "post_attention_layernorm.weight"));
  const h = rmsNorm(middle, norm, config.rmsNormEps);
  const mlp = (part: string) => layerModule(n, `mlp.${part}_proj`);
  const gated = swiglu(linear(h, mlp("gate"), view), linear(h, mlp("up"), view)); // [N, I]
  return tf.add(middle, linear(gated, mlp("down"), view));
}

/** What one layer needs of its rows. */
interface LayerRows extends Omit<AttentionRows, "masks"> {
  mask: tf.Tensor3D;
}
interface LayerContext extends LayerRows {
  completions: LayerRows | null;
}

function layerContext(context: BatchContext, n: number): LayerContext {
  const of = ({ rows, length, cos, sin, masks }: AttentionRows) => {
    return { rows, length, cos, sin, mask: masks[n]! };
  };
  return { ...of(context), completions: context.completions && of(context.completions) };
}

function decoderLayer(
  config: DecoderConfig,
  n: number,
  x: tf.Tensor2D,
  view: WeightView,
  context: LayerContext,
): tf.Tensor2D {
  return tf.tidy(() => {
    const attended = context.completions
      ? attendShared(config, n, x, view, context, context.completions)
      : attend(config, project(config, n, x, view, context), context.mask);
    return finishLayer(config, n, x, attended, view);
  });
}

/** Embedded tokens. @param tokens [N] @returns [N, H] */
export function embed(tokens: Int32Array | tf.Tensor1D, view: WeightView): tf.Tensor2D {
  const ids = tokens instanceof tf.Tensor ? tokens : overDevices(tf.tensor1d(tokens, "int32"));
  return embedding(weight<tf.Tensor2D>(view, embeddingName), ids);
}

/** The output matrix and how it lies: the embedding [V, H] where tied, else the head [H, V]. */
export function outputWeight(
  config: DecoderConfig,
  view: WeightView,
): { matrix: tf.Tensor2D; layout: "vh" | "hv" } {
  return config.tiedEmbeddings
    ? { matrix: weight(view, embeddingName), layout: "vh" }
    : { matrix: weight(view, headName), layout: "hv" };
}

/** Logits of hidden rows. @param hidden [K, H], after the final norm @returns [K, V] */
export function logitsOf(config: DecoderConfig, hidden: tf.Tensor2D, view: WeightView): tf.Tensor2D {
  const { matrix, layout } = outputWeight(config, view);
  return tf.matMul(hidden, matrix, false, layout === "vh") as tf.Tensor2D;
}

export function finalNorm(config: DecoderConfig, x: tf.Tensor2D, view: WeightView): tf.Tensor2D {
  return rmsNorm(x, weight(view, finalNormName), config.rmsNormEps);
}

/**
 * Hidden states at flat indices of a batch, after the final norm: what the output matrix is applied to.
 * @param at flat indices, [K]
 * @param options.trainedNames of layer n, in a fixed order: what `rematerialise` must differentiate;
 *   null keeps every intermediate tensor for the backward pass
 * @returns [K, H]
 */
export function hiddenStates(
  config: DecoderConfig,
  batch: TokenBatch,
  at: Int32Array,
  view: WeightView,
  options: { rematerialise: Rematerialisation | null },
): tf.Tensor2D {
  const context = batchContext(config, batch);
  let x = embed(batch.tokens, view);
  for (let n = 0; n < config.layers; n++) {
    const layer = layerContext(context, n);
    x = options.rematerialise
      ? rematerialisedLayer(config, n, x, view, layer, options.rematerialise)
      : decoderLayer(config, n, x, view, layer);
  }
  return finalNorm(config, chosen(x, batch, at), view);
}

/** Rows of x at `at`; nothing is gathered where that is every position in order. */
function chosen(x: tf.Tensor2D, { rows, shared }: TokenBatch, at: Int32Array): tf.Tensor2D {
  const all = shared ? scoredBehindPrompts(rows, shared) : null;
  if (at.length === (all?.length ?? x.shape[0]) && at.every((index, i) => index === (all?.[i] ?? i))) {
    return shared ? overDevices(behindPrompts(x, rows, shared)) : x;
  }
  return overDevices(embedding(x, overDevices(tf.tensor1d(at, "int32"))));
}

/** x at `scoredBehindPrompts`, without a gather. */
function behindPrompts(x: tf.Tensor2D, rows: number, shared: SharedPrompts): tf.Tensor2D {
  const { promptLength, completions, completionLength } = shared;
  const width = x.shape[1];
  const [, last, rest] = tf.split(
    tf.reshape(x, [rows, -1, width]) as tf.Tensor3D,
    [promptLength - 1, 1, completions * completionLength],
    1,
  ) as [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D];
  const first = repeatRows(last, completions) as tf.Tensor3D; // [P*G, 1, H]
  const own = tf.reshape(rest, [rows * completions, completionLength, width]) as tf.Tensor3D;
  return tf.reshape(tf.concat([first, own], 1), [-1, width]);
}

/** Which weights a layer computed again must give gradients to. */
export interface Rematerialisation {
  /** Names of trained weights of layer `n`, adapters as `<module>.lora_A` and `<module>.lora_B`. */
  trainedNames(n: number): readonly string[];
  trained(name: string): tf.Tensor;
  /** True when the embedding is trained, so that the first layer's input needs a gradient. */
  embeddingTrained: boolean;
}

function rematerialisedLayer(
  config: DecoderConfig,
  n: number,
  x: tf.Tensor2D,
  view: WeightView,
  context: LayerContext,
  plan: Rematerialisation,
): tf.Tensor2D {
  const names = plan.trainedNames(n);
  const needsInput = n > 0 || plan.embeddingTrained;
  const trained = names.map((name) => plan.trained(name));
  const { completions } = context;
  const tensorsOf = ({ cos, sin, mask }: LayerRows) => [cos, sin, mask];
  const fixed = [...tensorsOf(context), ...(completions ? tensorsOf(completions) : [])];
  const layer = (inputs: tf.Tensor[], constants: tf.Tensor[]) => {
    const [cos, sin, mask, ...others] = constants as tf.Tensor3D[] as [...Tables, ...tf.Tensor3D[]];
    const [ownCos, ownSin, ownMask] = others as Tables;
    const own = completions && { ...completions, cos: ownCos, sin: ownSin, mask: ownMask };
    const stand = new Map(names.map((name, i) => [name, inputs[i]!]));
    const input = (needsInput ? inputs[names.length] : constants.at(-1)) as tf.Tensor2D;
    return decoderLayer(config, n, input, standIn(view, stand), {
      ...context,
      cos,
      sin,
      mask,
      completions: own,
    });
  };
  const output = needsInput
    ? rematerialise(layer, [...trained, x], fixed)
    : rematerialise(layer, trained, [...fixed, x]);
  return output as tf.Tensor2D;
}

type Tables = [cos: tf.Tensor3D, sin: tf.Tensor3D, mask: tf.Tensor3D];

/** A view in which the tape's own copies stand in for trained weights. */
function standIn(view: WeightView, stand: ReadonlyMap<string, tf.Tensor>): WeightView {
  return {
    find: (name) => stand.get(name) ?? view.find(name),
    adapter: (module) => {
      const adapter = view.adapter(module);
      if (!adapter) return undefined;
      return {
        a: (stand.get(`${module}.lora_A`) as tf.Tensor2D | undefined) ?? adapter.a,
        b: (stand.get(`${module}.lora_B`) as tf.Tensor2D | undefined) ?? adapter.b,
        scale: adapter.scale,
      };
    },
  };
}
