/**
 * The decoder's forward pass: Llama 2/3, SmolLM2, Mistral, Qwen2/2.5, Qwen3 and SmolLM3, which differ in
 * biases, query/key norms, windows, rotary scaling and tied embeddings only. Pure functions of (weights, batch).
 */
import * as tf from "@tensorflow/tfjs";
import { embedding, maskedSoftmax, rematerialise, rmsNorm, rope, swiglu } from "../backend/ops.ts";
import { type BatchContext, batchContext } from "./batch-context.ts";
import { embeddingName, finalNormName, headName, layerModule } from "./decoder-weights.ts";
import type { DecoderConfig, TokenBatch } from "./interfaces.ts";

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

/** @param x the layer's input [R*T, H] @param tables cos and sin, [1 or R, T, D/2] */
export function project(
  config: DecoderConfig,
  n: number,
  x: tf.Tensor2D,
  view: WeightView,
  tables: { rows: number; length: number; cos: tf.Tensor3D; sin: tf.Tensor3D },
): Projections {
  const { heads, keyValueHeads, headDim, rmsNormEps } = config;
  const { rows, length, cos, sin } = tables;
  const h = rmsNorm(x, weight(view, layerModule(n, "input_layernorm.weight")), rmsNormEps);
  const split = (part: string, count: number) =>
    tf.reshape(linear(h, layerModule(n, `self_attn.${part}_proj`), view), [
      rows,
      length,
      count,
      headDim,
    ]) as tf.Tensor4D;
  const headsFirst = (y: tf.Tensor4D) => tf.transpose(y, [0, 2, 1, 3]) as tf.Tensor4D;
  const positioned = (part: string, count: number): tf.Tensor4D => {
    let y = split(part, count);
    if (config.queryKeyNorm) {
      y = rmsNorm(y, weight(view, layerModule(n, `self_attn.${part}_norm.weight`)), rmsNormEps);
    }
    return config.ropeLayers[n] ? rope(y, cos, sin) : headsFirst(y);
  };
  return {
    query: positioned("q", heads),
    key: positioned("k", keyValueHeads),
    value: headsFirst(split("v", keyValueHeads)),
  };
}

/**
 * Softmax(q k^T / sqrt(D) + mask) v. Query heads of one key/value head are laid behind each other, so keys are
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

function decoderLayer(
  config: DecoderConfig,
  n: number,
  x: tf.Tensor2D,
  view: WeightView,
  context: Omit<BatchContext, "masks">,
  mask: tf.Tensor3D,
): tf.Tensor2D {
  return tf.tidy(() =>
    finishLayer(config, n, x, attend(config, project(config, n, x, view, context), mask), view),
  );
}

/** Embedded tokens. @param tokens [N] @returns [N, H] */
export function embed(tokens: Int32Array | tf.Tensor1D, view: WeightView): tf.Tensor2D {
  const ids = tokens instanceof tf.Tensor ? tokens : tf.tensor1d(tokens, "int32");
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
  const { masks, ...context } = batchContext(config, batch);
  let x = embed(batch.tokens, view);
  for (let n = 0; n < config.layers; n++) {
    x = options.rematerialise
      ? rematerialisedLayer(config, n, x, view, context, masks[n]!, options.rematerialise)
      : decoderLayer(config, n, x, view, context, masks[n]!);
  }
  // every position in order: nothing to pick
  const chosen = at.length === x.shape[0] && at.every((index, i) => index === i);
  return finalNorm(config, chosen ? x : embedding(x, tf.tensor1d(at, "int32")), view);
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
  context: Omit<BatchContext, "masks">,
  mask: tf.Tensor3D,
  plan: Rematerialisation,
): tf.Tensor2D {
  const names = plan.trainedNames(n);
  const needsInput = n > 0 || plan.embeddingTrained;
  const trained = names.map((name) => plan.trained(name));
  const fixed = [context.cos, context.sin, mask];
  const layer = (inputs: tf.Tensor[], constants: tf.Tensor[]) => {
    const [cos, sin, m, first] = constants as [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D, tf.Tensor2D?];
    const stand = new Map(names.map((name, i) => [name, inputs[i]!]));
    const input = first ?? (inputs[names.length] as tf.Tensor2D);
    return decoderLayer(config, n, input, standIn(view, stand), { ...context, cos, sin }, m);
  };
  const output = needsInput
    ? rematerialise(layer, [...trained, x], fixed)
    : rematerialise(layer, trained, [...fixed, x]);
  return output as tf.Tensor2D;
}

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
