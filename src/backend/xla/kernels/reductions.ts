/** Many elements to one, softmax, and matrix products. */

import type { Value } from "../graph.ts";
import {
  add,
  broadcast,
  broadcastShape,
  compare,
  constant,
  convert,
  divide,
  dotGeneral,
  iota,
  reduce,
  reshape,
  scale,
  select,
  subtract,
  unary,
} from "../hlo.ts";
import type { LazyBackend } from "../lazy-backend.ts";
import { axesOf, defineKernel } from "./define.ts";

/** softmax over the last axis */
export function softmax(x: Value): Value {
  const last = [x.shape.length - 1];
  const mass = unary("exponential", subtract(x, reduce("maximum", x, last, true)));
  return divide(mass, reduce("add", mass, last, true));
}

/**
 * Products of the last two dimensions; leading ones are broadcast.
 * @param x [..., M, K], or [..., K, M] when transposed
 */
export function matmul(
  x: Value,
  y: Value,
  transposeX: boolean,
  transposeY: boolean,
  { matmulType }: LazyBackend,
): Value {
  const leading = broadcastShape(x.shape.slice(0, -2), y.shape.slice(0, -2));
  const rank = leading.length;
  const operand = (value: Value) =>
    convert(broadcast(value, [...leading, ...value.shape.slice(-2)]), matmulType);
  const batch = leading.map((_, i) => i);
  return dotGeneral(
    operand(x),
    operand(y),
    {
      batching: [batch, batch],
      contracting: [[transposeX ? rank : rank + 1], [transposeY ? rank + 1 : rank]],
    },
    "f32",
  );
}

function argument(x: Value, axis: number, name: "maximum" | "minimum"): Value {
  const best = reduce(name, x, [axis], true);
  const positions = iota("i32", x.shape, axis);
  const candidates = select(compare("EQ", x, best), positions, constant("i32", x.shape[axis]!));
  return reduce("minimum", candidates, [axis]);
}

export function registerReductions(): void {
  defineKernel("Sum", (input, { axis, keepDims }) => {
    const x = input("x").type === "i1" ? convert(input("x"), "i32") : input("x");
    return reduce("add", x, axesOf(axis, x.shape.length), keepDims);
  });
  defineKernel("Mean", (input, { axis, keepDims }) => {
    const x = convert(input("x"), "f32");
    const axes = axesOf(axis, x.shape.length);
    const count = axes.reduce((product, i) => product * x.shape[i]!, 1);
    return scale(reduce("add", x, axes, keepDims), 1 / count);
  });
  defineKernel("Prod", (input, { axis, keepDims }) => {
    const x = input("x");
    return reduce("multiply", x, axesOf(axis, x.shape.length), keepDims);
  });
  defineKernel("Max", (input, { reductionIndices, keepDims }) => {
    const x = input("x");
    return reduce("maximum", x, axesOf(reductionIndices, x.shape.length), keepDims);
  });
  defineKernel("Min", (input, { axis, keepDims }) => {
    const x = input("x");
    return reduce("minimum", x, axesOf(axis, x.shape.length), keepDims);
  });
  defineKernel("All", (input, { axis, keepDims }) => {
    const x = input("x");
    return reduce("and", x, axesOf(axis, x.shape.length), keepDims);
  });
  defineKernel("Any", (input, { axis, keepDims }) => {
    const x = input("x");
    return reduce("or", x, axesOf(axis, x.shape.length), keepDims);
  });
  defineKernel("ArgMax", (input, { axis }) => {
    const x = input("x");
    return argument(x, axesOf(axis, x.shape.length)[0]!, "maximum");
  });
  defineKernel("ArgMin", (input, { axis }) => {
    const x = input("x");
    return argument(x, axesOf(axis, x.shape.length)[0]!, "minimum");
  });
  defineKernel("Softmax", (input, { dim }) => {
    const x = input("logits");
    if (axesOf(dim, x.shape.length)[0] !== x.shape.length - 1)
      throw new RangeError("softmax over another axis than the last");
    return softmax(x);
  });
  defineKernel("LogSoftmax", (input, { axis }) => {
    const x = input("logits");
    const at = axesOf(axis, x.shape.length);
    const shifted = subtract(x, reduce("maximum", x, at, true));
    return subtract(shifted, unary("log", reduce("add", unary("exponential", shifted), at, true)));
  });
  defineKernel("BatchMatMul", (input, { transposeA, transposeB }, backend) =>
    matmul(input("a"), input("b"), transposeA, transposeB, backend),
  );
  defineKernel("_FusedMatMul", (input, { transposeA, transposeB, activation }, backend) => {
    if (input.has("preluActivationWeights") || (activation && activation !== "linear")) {
      throw new RangeError(`a fused product with activation ${activation} cannot be traced`);
    }
    const product = matmul(input("a"), input("b"), transposeA, transposeB, backend);
    return input.has("bias") ? add(product, input("bias")) : product;
  });
  defineKernel("Cumsum", (input, { axis, exclusive, reverse }, backend) => {
    // sums of prefixes as a product with a triangle of ones: short axes only, as models have them
    const x = convert(input("x"), "f32");
    const rank = x.shape.length;
    const at = axesOf(axis, rank)[0]!;
    if (at !== rank - 1) throw new RangeError("cumsum over another axis than the last cannot be traced");
    const n = x.shape[at]!;
    const row = iota("i32", [n, n], 0);
    const column = iota("i32", [n, n], 1);
    const direction = reverse ? (exclusive ? "GT" : "GE") : exclusive ? "LT" : "LE";
    const triangle = convert(compare(direction, row, column), "f32");
    const flat = reshape(x, [x.size / Math.max(1, n), n]);
    return convert(
      reshape(
        matmul(flat, triangle, false, false, { ...backend, matmulType: "f32" } as LazyBackend),
        x.shape,
      ),
      input("x").type,
    );
  });
}
