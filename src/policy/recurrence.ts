/** Mixers that remember a state instead of keys and values: over rows, over prompts, and over one token. */
import * as tf from "@tensorflow/tfjs";
import type { LayerContext, LayerRows, LayerTables } from "./batch-context.ts";
import { deltaNet } from "./gated-delta-net.ts";
import type { RecurrentConfig } from "./interfaces.ts";
import type { WeightView } from "./linear.ts";
import { repeatRows } from "./repeat-rows.ts";
import { shortConv } from "./short-conv.ts";

/** What a mixer does with time: the rest of it is a function of single tokens. */
export interface Recurrence {
  /** What goes into it, [N, width] each; the first is what a convolution of K taps sees. */
  inputs: readonly tf.Tensor2D[];
  /** States before a row's first token, [R, ...] each; the first holds the last K - 1 inputs. */
  start(rows: number): tf.Tensor[];
  /** @param inputs [R, T, width] each @returns what is read, [R, T, W], and the states after the last token */
  run(
    inputs: readonly tf.Tensor3D[],
    states: readonly tf.Tensor[],
    tables: LayerTables,
  ): { read: tf.Tensor3D; states: tf.Tensor[] };
  /** @param read [N, W] @returns what `output` is applied to */
  finish(read: tf.Tensor2D): tf.Tensor2D;
}

/** @param x the layer's normed input [N, H] */
function recurrenceOf(mixer: RecurrentConfig, epsilon: number, x: tf.Tensor2D, view: WeightView): Recurrence {
  return mixer.kind === "short-conv" ? shortConv(mixer, x, view) : deltaNet(mixer, epsilon, x, view);
}

const inRows = (x: tf.Tensor, rows: number): tf.Tensor3D =>
  tf.reshape(x, [rows, -1, x.shape.at(-1)!]) as tf.Tensor3D;
const flat = (x: tf.Tensor): tf.Tensor2D => tf.reshape(x, [-1, x.shape.at(-1)!]) as tf.Tensor2D;

/**
 * A batch's rows; completions go on from their prompt's states, which are computed once.
 * @param epsilon of the model's norms
 * @param x the layer's normed input [N, H]
 * @returns what `output` is applied to, a row for each token
 */
export function mixRows(
  mixer: RecurrentConfig,
  epsilon: number,
  x: tf.Tensor2D,
  view: WeightView,
  { rows, length, tables, completions }: LayerContext,
): tf.Tensor2D {
  const { inputs, start, run, finish } = recurrenceOf(mixer, epsilon, x, view);
  const all = inputs.map((input) => inRows(input, rows));
  if (completions === null) return finish(flat(run(all, start(rows), tables).read));
  const times = completions.rows / rows;
  const parts = all.map((input) => tf.split(input, [length, times * completions.length], 1));
  const prompt = run(
    parts.map(([first]) => first as tf.Tensor3D),
    start(rows),
    tables,
  );
  const own = run(
    parts.map(([, rest]) => tf.reshape(rest!, [completions.rows, completions.length, rest!.shape[2]!])),
    prompt.states.map((state) => repeatRows(state, times)),
    completions.tables,
  );
  return finish(flat(tf.concat([prompt.read, inRows(own.read, rows)], 1)));
}

/**
 * Prompts, which decoding goes on from.
 * @returns also every token's input [R, T, width] of the convolution, of which decoding needs each prompt's last, and the
 *   states beside these
 */
export function mixPrompts(
  mixer: RecurrentConfig,
  epsilon: number,
  x: tf.Tensor2D,
  view: WeightView,
  { rows, tables }: LayerRows,
): { mixed: tf.Tensor2D; inputs: tf.Tensor3D; states: tf.Tensor[] } {
  const { inputs, start, run, finish } = recurrenceOf(mixer, epsilon, x, view);
  const all = inputs.map((input) => inRows(input, rows));
  const { read, states } = run(all, start(rows), tables);
  return { mixed: finish(flat(read)), inputs: all[0]!, states: states.slice(1) };
}

/** One more token of each row. @param x [B, H] @param states [B, ...] each, as `mixPrompts` has them, the last inputs first */
export function mixStep(
  mixer: RecurrentConfig,
  epsilon: number,
  x: tf.Tensor2D,
  view: WeightView,
  states: readonly tf.Tensor[],
): { mixed: tf.Tensor2D; states: tf.Tensor[] } {
  const { inputs, run, finish } = recurrenceOf(mixer, epsilon, x, view);
  const rows = x.shape[0];
  const next = run(
    inputs.map((input) => inRows(input, rows)),
    states,
    {},
  );
  return { mixed: finish(flat(next.read)), states: next.states };
}
