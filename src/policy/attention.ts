/** Attention over a batch's rows: projections, norms of query and key, rotation, softmax. */
import * as tf from "@tensorflow/tfjs";
import { softcap } from "../backend/activations.ts";
import { maskedSoftmax, rope } from "../backend/ops.ts";
import type { LayerContext, LayerRows, LayerTables } from "./batch-context.ts";
import type { AttentionConfig, LayerStack } from "./interfaces.ts";
import { linear, norm, type WeightView } from "./linear.ts";
import { repeatRows } from "./repeat-rows.ts";

/** Queries, keys and values of a layer's tokens, after norms and rotation. */
export interface Projections {
  query: tf.Tensor4D; // [R, Nh, T, D]
  key: tf.Tensor4D; // [R, Nk, T, D]
  value: tf.Tensor4D; // [R, Nk, T, D]
  /** sigmoid's argument, on what is attended; null: no gate. [R*T, Nh*D] */
  gate: tf.Tensor2D | null;
}

type Flat = { query: tf.Tensor2D; key: tf.Tensor2D; value: tf.Tensor2D; gate: tf.Tensor2D | null };

/** Queries, keys and values before rotation, [N, h*D] each, norms applied. @param x normed input [N, H] */
function projectFlat(
  { norm: kind }: Pick<LayerStack, "norm">,
  attention: AttentionConfig,
  x: tf.Tensor2D,
  view: WeightView,
): Flat {
  const flat = projectHeads(attention, x, view);
  const { queryKeyNorm } = attention;
  if (queryKeyNorm === null) return flat;
  const normed = (y: tf.Tensor2D, module: string) => {
    const width = queryKeyNorm.over === "head" ? attention.headDim : y.shape[1];
    return tf.reshape(norm(kind, module, tf.reshape(y, [-1, width]), view), y.shape) as tf.Tensor2D;
  };
  const [query, key] = [normed(flat.query, queryKeyNorm.query), normed(flat.key, queryKeyNorm.key)];
  return { ...flat, query, key };
}

function projectHeads(attention: AttentionConfig, x: tf.Tensor2D, view: WeightView): Flat {
  const { projections, heads, keyValueHeads, headDim } = attention;
  if (projections.kind === "apart") {
    const part = (name: "query" | "key" | "value") => linear(x, projections[name], view);
    const [key, value] = [part("key"), part("value")];
    if (!projections.gated) return { query: part("query"), key, value, gate: null };
    const both = tf.split(tf.reshape(part("query"), [-1, heads, 2 * headDim]), 2, 2);
    const [query, gate] = both.map((y) => tf.reshape(y, [-1, heads * headDim])) as [tf.Tensor2D, tf.Tensor2D];
    return { query, key, value, gate };
  }
  const all = linear(x, projections.all, view);
  const widths = [heads * headDim, keyValueHeads * headDim, keyValueHeads * headDim];
  const parts =
    projections.kind === "joined"
      ? tf.split(all, widths, 1)
      : tf
          .split(tf.reshape(all, [-1, heads, 3 * headDim]), 3, 2)
          .map((y, i) => tf.reshape(y, [-1, widths[i]!]));
  const [query, key, value] = parts as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
  return { query, key, value, gate: null };
}

/** Heads before tokens, queries and keys rotated. @param flat [R*T, h*D] each */
function place(
  { heads, keyValueHeads, headDim }: AttentionConfig,
  flat: { query: tf.Tensor; key: tf.Tensor; value: tf.Tensor },
  { rows, length, tables }: LayerRows,
): Omit<Projections, "gate"> {
  const split = (y: tf.Tensor, count: number) => tf.reshape(y, [rows, length, count, headDim]) as tf.Tensor4D;
  return {
    query: turned(split(flat.query, heads), tables),
    key: turned(split(flat.key, keyValueHeads), tables),
    value: headsFirst(split(flat.value, keyValueHeads)),
  };
}

const headsFirst = (y: tf.Tensor4D) => tf.transpose(y, [0, 2, 1, 3]) as tf.Tensor4D;

/** Rotation of a head's first dimensions, as many as the tables have; heads before tokens. [R, T, h, D] to [R, h, T, D] */
function turned(y: tf.Tensor4D, { cos, sin }: LayerTables): tf.Tensor4D {
  if (cos === undefined || sin === undefined) return headsFirst(y);
  const width = 2 * cos.shape[2];
  if (width === y.shape[3]) return rope(y, cos, sin);
  const [first, rest] = tf.split(y, [width, y.shape[3] - width], 3) as [tf.Tensor4D, tf.Tensor4D];
  return tf.concat([rope(first, cos, sin), headsFirst(rest)], 3) as tf.Tensor4D;
}

/** @param x the layer's normed input [R*T, H] */
export function project(
  stack: Pick<LayerStack, "norm">,
  attention: AttentionConfig,
  x: tf.Tensor2D,
  view: WeightView,
  rows: LayerRows,
): Projections {
  const flat = projectFlat(stack, attention, x, view);
  return { ...place(attention, flat, rows), gate: flat.gate };
}

/** What is attended, as the gate lets it through. @param mixed [N, Nh*D] */
export function throughGate(mixed: tf.Tensor2D, gate: tf.Tensor2D | null): tf.Tensor2D {
  return gate === null ? mixed : tf.mul(mixed, tf.sigmoid(gate));
}

/** Softmax over keys of capped and scaled scores. @param scores [R, Nk, G*T, S] @param mask [1 or R, T, S]; null: all seen */
export function attentionWeights(
  { scale, softcap: cap }: AttentionConfig,
  scores: tf.Tensor4D,
  mask: tf.Tensor3D | null,
): tf.Tensor4D {
  if (cap === null) return maskedSoftmax(scores, mask, scale);
  return maskedSoftmax(softcap(tf.mul(scores, scale) as tf.Tensor4D, cap), mask, 1);
}

/**
 * Softmax(scale q k^T + mask) v. Query heads of one key/value head are laid one after the other, so keys are never tiled.
 * @param mask [1 or R, T, S]; null: all seen
 * @returns [R*T, Nh*D]
 */
export function attend(
  attention: AttentionConfig,
  { query, key, value, gate }: Projections,
  mask: tf.Tensor3D | null,
): tf.Tensor2D {
  const { heads, keyValueHeads, headDim } = attention;
  const [rows, , length] = query.shape;
  const grouped = tf.reshape(query, [rows, keyValueHeads, (heads / keyValueHeads) * length, headDim]);
  const scores = tf.matMul(grouped, key, false, true) as tf.Tensor4D; // [R, Nk, G*T, S]
  const mixed = tf.matMul(attentionWeights(attention, scores, mask), value); // [R, Nk, G*T, D]
  return throughGate(mergeHeads(tf.reshape(mixed, [rows, heads, length, headDim])), gate);
}

/**
 * Attention where G completions share a prompt: its keys and values are computed once and stand before each
 * completion's own.
 * @param x the layer's normed input [P * (S + G*T), H]
 * @returns [P * (S + G*T), Nh*D]
 */
export function attendShared(
  stack: Pick<LayerStack, "norm">,
  attention: AttentionConfig,
  x: tf.Tensor2D,
  view: WeightView,
  context: LayerContext,
  completions: LayerRows,
): tf.Tensor2D {
  const { rows: prompts, length: promptLength } = context;
  const behind = (completions.rows / prompts) * completions.length; // G*T
  const flat = projectFlat(stack, attention, x, view);
  const cut = (y: tf.Tensor2D) =>
    tf.split(
      tf.reshape(y, [prompts, promptLength + behind, y.shape[1]]) as tf.Tensor3D,
      [promptLength, behind],
      1,
    ) as [tf.Tensor3D, tf.Tensor3D];
  const [query, key, value] = [cut(flat.query), cut(flat.key), cut(flat.value)];
  const prompt = place(attention, { query: query[0], key: key[0], value: value[0] }, context);
  const own = place(attention, { query: query[1], key: key[1], value: value[1] }, completions);
  const times = completions.rows / prompts;
  const before = (shared: tf.Tensor4D, mine: tf.Tensor4D) =>
    tf.concat([repeatRows(shared, times) as tf.Tensor4D, mine], 2); // [P*G, Nk, S+T, D]
  const parts = [
    attend(attention, { ...prompt, gate: null }, context.tables.mask!),
    attend(
      attention,
      {
        query: own.query,
        key: before(prompt.key, own.key),
        value: before(prompt.value, own.value),
        gate: null,
      },
      completions.tables.mask!,
    ),
  ];
  const width = parts[0]!.shape[1];
  const joined = tf.concat(
    parts.map((part) => tf.reshape(part, [prompts, -1, width])),
    1,
  );
  return throughGate(tf.reshape(joined, [-1, width]), flat.gate);
}

/** [R, Nh, T, D] to [R*T, Nh*D] */
export function mergeHeads(x: tf.Tensor4D): tf.Tensor2D {
  const [rows, heads, length, dimension] = x.shape;
  return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [rows * length, heads * dimension]);
}
