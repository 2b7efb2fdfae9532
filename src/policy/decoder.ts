/**
 * The decoder's forward pass, for every family: what a layer computes is data (`LayerConfig`). Pure functions of (weights,
 * batch).
 */
import * as tf from "@tensorflow/tfjs";
import { gelu, geluTanh, silu, softcap } from "../backend/activations.ts";
import { overDevices } from "../backend/devices.ts";
import { embedding, rematerialise, swiglu } from "../backend/ops.ts";
import { attend, attendShared, project } from "./attention.ts";
import { batchContext, type LayerContext, type LayerRows, type LayerTables } from "./batch-context.ts";
import { embeddingWeight, headWeight } from "./decoder-weights.ts";
import type {
  Activation,
  DecoderConfig,
  LayerConfig,
  MlpConfig,
  SharedPrompts,
  TokenBatch,
} from "./interfaces.ts";
import { linear, norm, type WeightView, weight } from "./linear.ts";
import { mixRows } from "./recurrence.ts";
import { repeatRows } from "./repeat-rows.ts";
import { scoredBehindPrompts } from "./shared-prompts.ts";

/** What the mixer reads. @param x the residual stream [N, H] */
export function mixerInput(config: DecoderConfig, layer: LayerConfig, x: tf.Tensor2D, view: WeightView) {
  return norm(config.norm, layer.norms.mixerInput, x, view);
}

/** Output projection, residual, and the MLP with its residual. @param x the layer's input @param mixed [N, Nh*D] */
export function finishLayer(
  config: DecoderConfig,
  { mixer, mlp, norms, parallel }: LayerConfig,
  x: tf.Tensor2D,
  mixed: tf.Tensor2D,
  view: WeightView,
): tf.Tensor2D {
  const { residualScale } = config;
  const added = (y: tf.Tensor2D) => (residualScale === 1 ? y : (tf.mul(y, residualScale) as tf.Tensor2D));
  const out = norm(config.norm, norms.mixerOutput, linear(mixed, mixer.output, view), view);
  const middle = tf.add(x, added(out)) as tf.Tensor2D;
  const h = norm(config.norm, norms.mlpInput, parallel ? x : middle, view);
  return tf.add(middle, added(norm(config.norm, norms.mlpOutput, feedForward(mlp, h, view), view)));
}

const ACTIVATIONS: Readonly<Record<Activation, (x: tf.Tensor2D) => tf.Tensor2D>> = {
  silu,
  gelu,
  "gelu-tanh": geluTanh,
};

/** @param x [N, H] @returns [N, H] */
function feedForward(mlp: MlpConfig, x: tf.Tensor2D, view: WeightView): tf.Tensor2D {
  const activate = ACTIVATIONS[mlp.activation];
  if (mlp.kind === "plain") return linear(activate(linear(x, mlp.up, view)), mlp.down, view);
  const [gate, up] = (
    mlp.kind === "gated"
      ? [linear(x, mlp.gate, view), linear(x, mlp.up, view)]
      : tf.split(linear(x, mlp.gateUp, view), 2, 1)
  ) as [tf.Tensor2D, tf.Tensor2D]; // [N, I] each
  const gated = mlp.activation === "silu" ? swiglu(gate, up) : (tf.mul(activate(gate), up) as tf.Tensor2D);
  return linear(gated, mlp.down, view);
}

/** x through layer n: what the mixer makes of it is added, then what the MLP makes of that. */
function decoderLayer(
  config: DecoderConfig,
  n: number,
  x: tf.Tensor2D,
  view: WeightView,
  context: LayerContext,
): tf.Tensor2D {
  return tf.tidy(() => {
    const layer = config.layers[n]!;
    const { mixer } = layer;
    const h = mixerInput(config, layer, x, view);
    const mixed =
      mixer.kind !== "attention"
        ? mixRows(mixer, config.norm.epsilon, h, view, context)
        : context.completions
          ? attendShared(config, mixer, h, view, context, context.completions)
          : attend(mixer, project(config, mixer, h, view, context), context.tables.mask!);
    return finishLayer(config, layer, x, mixed, view);
  });
}

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
  let x = embed(config, batch.tokens, batch.positions, view);
  for (const [n, layer] of context.entries()) {
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
  const kinds = Object.keys(context.tables) as (keyof LayerTables)[];
  const tensorsOf = ({ tables }: LayerRows) => kinds.map((kind) => tables[kind]!);
  const fixed = [...tensorsOf(context), ...(completions ? tensorsOf(completions) : [])];
  const layer = (inputs: tf.Tensor[], constants: tf.Tensor[]) => {
    const tablesFrom = (first: number): LayerTables =>
      Object.fromEntries(kinds.map((kind, i) => [kind, constants[first + i]]));
    const own = completions && { ...completions, tables: tablesFrom(kinds.length) };
    const stand = new Map(names.map((name, i) => [name, inputs[i]!]));
    const input = (needsInput ? inputs[names.length] : constants.at(-1)) as tf.Tensor2D;
    const there = { ...context, tables: tablesFrom(0), completions: own };
    return decoderLayer(config, n, input, standIn(view, stand), there);
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
