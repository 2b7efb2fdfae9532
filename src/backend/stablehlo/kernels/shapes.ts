/** Elements are moved, repeated or made, not computed. */
import * as tf from "@tensorflow/tfjs";
import type { Value } from "../graph.ts";
import {
  add,
  and,
  broadcast,
  compare,
  concatenate,
  constant,
  convert,
  gather,
  iota,
  multiply,
  pad,
  reshape,
  reverse,
  select,
  slice,
  subtract,
  transpose,
} from "../hlo.ts";
import { elementType } from "../host-arrays.ts";
import { sumByIndex } from "../ordered-sums.ts";
import { gatherQuantised, quantisedOf } from "../quantised.ts";
import { axesOf, defineKernel } from "./define.ts";

function split(x: Value, sizes: readonly number[], axis: number): Value[] {
  let start = 0;
  return sizes.map((size) => {
    const begin = x.shape.map((_, i) => (i === axis ? start : 0));
    start += size;
    return slice(
      x,
      begin,
      x.shape.map((n, i) => (i === axis ? size : n)),
    );
  });
}

export function registerShapes(): void {
  defineKernel("Identity", (input) => input("x"));
  defineKernel("StopGradient", (input) => input("x"));
  defineKernel("Reshape", (input, { shape }) => {
    const x = input("x");
    return reshape(x, tf.util.inferFromImplicitShape(shape, x.size));
  });
  defineKernel("ExpandDims", (input, { dim }) => {
    const x = input("input");
    const at = dim < 0 ? dim + x.shape.length + 1 : dim;
    return reshape(x, [...x.shape.slice(0, at), 1, ...x.shape.slice(at)]);
  });
  defineKernel("Transpose", (input, { perm }) => transpose(input("x"), perm));
  defineKernel("Slice", (input, { begin, size }) => {
    const x = input("x");
    const [from, count] = tf.slice_util.parseSliceParams(tensorShape(x), begin, size);
    return slice(x, from!, count!);
  });
  defineKernel("Concat", (input, { axis }) => {
    const parts = input.all();
    const at = axesOf(axis, parts[0]!.shape.length)[0]!;
    return concatenate(
      parts.map((part) => convert(part, parts[0]!.type)),
      at,
    );
  });
  defineKernel("Pack", (input, { axis }) => {
    const parts = input.all();
    const at = axesOf(axis, parts[0]!.shape.length + 1)[0]!;
    const one = (x: Value) => reshape(x, [...x.shape.slice(0, at), 1, ...x.shape.slice(at)]);
    return concatenate(parts.map(one), at);
  });
  defineKernel("SplitV", (input, { numOrSizeSplits, axis }) => {
    const x = input("x");
    const at = axesOf(axis, x.shape.length)[0]!;
    const sizes = tf.backend_util.prepareSplitSize(tensorShape(x), numOrSizeSplits, at);
    return split(x, sizes, at);
  });
  defineKernel("Unpack", (input, { axis }) => {
    const x = input("value");
    const at = axesOf(axis, x.shape.length)[0]!;
    const rest = x.shape.filter((_, i) => i !== at);
    return split(x, Array<number>(x.shape[at]!).fill(1), at).map((part) => reshape(part, rest));
  });
  defineKernel("PadV2", (input, { paddings, constantValue }) => pad(input("x"), paddings, constantValue));
  defineKernel("Reverse", (input, { dims }) => {
    const x = input("x");
    return reverse(x, axesOf(dims, x.shape.length));
  });
  defineKernel("Tile", (input, { reps }) => {
    const x = input("x");
    const shape = x.shape.flatMap((n) => [1, n]);
    const repeated = x.shape.flatMap((n, i) => [reps[i] as number, n]);
    return reshape(
      broadcast(reshape(x, shape), repeated),
      x.shape.map((n, i) => n * reps[i]),
    );
  });
  defineKernel("BroadcastTo", (input, { shape }) => broadcast(input("x"), shape));
  defineKernel("ZerosLike", (input) => constant(input("x").type, 0, input("x").shape));
  defineKernel("OnesLike", (input) => constant(input("x").type, 1, input("x").shape));
  defineKernel("Fill", (_, { shape, value, dtype }) =>
    constant(elementType(dtype ?? "float32"), value, shape),
  );
  defineKernel("Range", (_, { start, stop, step, dtype }) => {
    const type = elementType(dtype ?? "float32");
    const count = Math.max(0, Math.ceil((stop - start) / step));
    return add(multiply(iota(type, [count], 0), constant(type, step)), constant(type, start));
  });
  defineKernel("OneHot", (input, { depth, onValue, offValue, dtype }) => {
    const indices = input("indices");
    const shape = [...indices.shape, depth];
    const hot = compare(
      "EQ",
      iota("i32", shape, shape.length - 1),
      broadcast(reshape(indices, [...indices.shape, 1]), shape),
    );
    const type = elementType(dtype ?? "int32");
    return select(hot, constant(type, onValue), constant(type, offValue));
  });
  defineKernel("MatrixBandPart", (input) => {
    const x = input("input");
    const rank = x.shape.length;
    const row = iota("i32", x.shape, rank - 2);
    const column = iota("i32", x.shape, rank - 1);
    const within = (distance: Value, limit: Value) =>
      select(
        compare("LT", limit, constant("i32", 0)),
        constant("i1", 1, x.shape),
        compare("LE", distance, limit),
      );
    const lower = within(subtract(row, column), convert(input("numLower"), "i32"));
    const upper = within(subtract(column, row), convert(input("numUpper"), "i32"));
    return select(and(lower, upper), x, constant(x.type, 0));
  });
  defineKernel("GatherV2", (input, { axis, batchDims }) => {
    if (batchDims) throw new RangeError("gather with batch dimensions cannot be traced");
    const x = input("x");
    const indices = input("indices");
    const at = axesOf(axis, x.shape.length)[0]!;
    const places = reshape(indices, [indices.size]);
    const matrix = at === 0 ? quantisedOf(x) : null;
    const rows = matrix?.transposed === false ? gatherQuantised(matrix, places) : gather(x, places, at);
    return reshape(rows, [...x.shape.slice(0, at), ...indices.shape, ...x.shape.slice(at + 1)]);
  });
  defineKernel("UnsortedSegmentSum", (input, { numSegments }, backend) => {
    const ids = input("segmentIds");
    const x = input("x");
    const rows = reshape(x, [ids.size, ...x.shape.slice(ids.shape.length)]);
    return sumByIndex(backend, numSegments, ids, rows);
  });
  defineKernel("ScatterNd", (input, { shape }, backend) => {
    const indices = input("indices");
    if (indices.shape.at(-1) !== 1)
      throw new RangeError("scatterND with more than one index can not be traced");
    const updates = input("updates");
    return sumByIndex(backend, shape[0], indices, reshape(updates, [indices.size, ...shape.slice(1)]));
  });
}

/** tfjs's helpers look at a tensor's shape alone. */
function tensorShape(x: Value): tf.Tensor {
  return { shape: x.shape, rank: x.shape.length } as unknown as tf.Tensor;
}
