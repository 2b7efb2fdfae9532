/**
 * The decoder's forward pass, for every family: what a layer computes is data (`LayerConfig`). Pure functions of (weights,
 * batch).
 */
import * as tf from "@tensorflow/tfjs";
import { softcap } from "../backend/activations.ts";
import { overDevices } from "../backend/devices.ts";
import { embedding } from "../backend/ops.ts";
import { batchContext } from "./batch-context.ts";
import { embeddingWeight, headWeight } from "./decoder-weights.ts";
import type { DecoderConfig, SharedPrompts, TokenBatch } from "./interfaces.ts";
import { type Rematerialisation, throughLayer } from "./layer.ts";
import { norm, type WeightView, weight } from "./linear.ts";
import { repeatRows } from "./repeat-rows.ts";
import { scoredBehindPrompts } from "./shared-prompts.ts";
import { withPictures } from "./vision.ts";

/** Embedded tokens, and their positions where these are learned. @param tokens [N] @param positions [N] @returns [N, H] */
export function embed(
  config: DecoderConfig,
  tokens: Int32Array | tf.Tensor1D,
  positions: Int32Array | tf.Tensor1D,
  view: WeightView,
): tf.Tensor2D {
  const rowsOf = (name: string, ids: Int32Array | tf.Tensor1D) =>
    embedding(
      weight<tf.Tensor2D>(view, name),
      ids instanceof tf.Tensor ? ids : overDevices(tf.tensor1d(ids, "int32")),
    );
  const { embeddingScale, names } = config;
  const words = rowsOf(embeddingWeight(config), tokens);
  const x = embeddingScale === 1 ? words : (tf.mul(words, embeddingScale) as tf.Tensor2D);
  return names.positions === null ? x : tf.add(x, rowsOf(`${names.positions}.weight`, positions));
}

/** The batch's tokens, pictures in their places. @returns [R * length, H] */
export function embedBatch(
  config: DecoderConfig,
  { tokens, positions, pictures }: TokenBatch,
  view: WeightView,
  plan: Rematerialisation | null = null,
): tf.Tensor2D {
  const words = embed(config, tokens, positions, view);
  return pictures == null ? words : withPictures(config, words, pictures, view, plan);
}

/** The output matrix and how it lies: the embedding [V, H] where tied, else the head [H, V]. */
export function outputWeight(
  config: DecoderConfig,
  view: WeightView,
): { matrix: tf.Tensor2D; layout: "vh" | "hv" } {
  return config.tiedEmbeddings
    ? { matrix: weight(view, embeddingWeight(config)), layout: "vh" }
    : { matrix: weight(view, headWeight(config)), layout: "hv" };
}

/** Hidden rows as the output matrix takes them. @param hidden [K, H], after the final norm */
export function scaledForOutput({ logitScale }: DecoderConfig, hidden: tf.Tensor2D): tf.Tensor2D {
  return logitScale === 1 ? hidden : (tf.mul(hidden, logitScale) as tf.Tensor2D);
}

/** Logits of hidden rows. @param hidden [K, H], after the final norm @returns [K, V] */
export function logitsOf(config: DecoderConfig, hidden: tf.Tensor2D, view: WeightView): tf.Tensor2D {
  const { matrix, layout } = outputWeight(config, view);
  const logits = tf.matMul(scaledForOutput(config, hidden), matrix, false, layout === "vh") as tf.Tensor2D;
  return config.logitSoftcap === null ? logits : softcap(logits, config.logitSoftcap);
}

export function finalNorm(config: DecoderConfig, x: tf.Tensor2D, view: WeightView): tf.Tensor2D {
  return norm(config.norm, config.names.finalNorm, x, view);
}

/**
 * Hidden states at flat indices of a batch, after the final norm: what the output matrix is applied to.
 * @param at flat indices, [K]
 * @param plans what is computed again in the backward pass; null keeps every intermediate tensor for it
 * @returns [K, H]
 */
export function hiddenStates(
  config: DecoderConfig,
  batch: TokenBatch,
  at: Int32Array,
  view: WeightView,
  plans: { decoder: Rematerialisation; tower: Rematerialisation | null } | null,
): tf.Tensor2D {
  const context = batchContext(config, batch);
  let x = embedBatch(config, batch, view, plans?.tower ?? null);
  for (const [n, layer] of context.entries()) {
    x = throughLayer(config, n, x, view, layer, plans?.decoder ?? null);
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
