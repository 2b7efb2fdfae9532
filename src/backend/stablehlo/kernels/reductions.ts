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
  or,
  pad,
  reduce,
  scale,
  select,
  slice,
  subtract,
  unary,
} from "../hlo.ts";
import type { LazyBackend } from "../lazy-backend.ts";
import { quantisedOf, quantisedProduct } from "../quantised.ts";
import { axesOf, defineKernel, numeric } from "./define.ts";

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
  backend: LazyBackend,
): Value {
  const matrix = quantisedOf(y);
  if (matrix !== null && x.shape.length === 2)
    return quantisedProduct(x, matrix, transposeX, transposeY, backend);
  const { products } = backend;
  const leading = broadcastShape(x.shape.slice(0, -2), y.shape.slice(0, -2));
  const rank = leading.length;
  const whole = x.type === "i32" && y.type === "i32";
  const operand = (value: Value) =>
    convert(broadcast(value, [...leading, ...value.shape.slice(-2)]), whole ? "i32" : products.type);
  const batch = leading.map((_, i) => i);
  return dotGeneral(
    operand(x),
    operand(y),
    {
      batching: [batch, batch],
      contracting: [[transposeX ? rank : rank + 1], [transposeY ? rank + 1 : rank]],
    },
    whole ? "i32" : "f32",
    products.exact,
  );
}

/** Sums of prefixes, in log2(n) additions of the whole. */
function prefixSums(x: Value, axis: number, exclusive: boolean, backwards: boolean): Value {
  const n = x.shape[axis]!;
  const moved = (value: Value, by: number) => {
    const kept = value.shape.map((size, i) => (i === axis ? size - by : size));
    const begin = value.shape.map((_, i) => (i === axis && backwards ? by : 0));
    const paddings = value.shape.map((_, i): [number, number] =>
      i !== axis ? [0, 0] : backwards ? [0, by] : [by, 0],
    );
    return pad(slice(value, begin, kept), paddings, 0);
  };
  let sum = exclusive && n > 0 ? moved(x, 1) : x;
  for (let by = 1; by < n; by *= 2) sum = add(sum, moved(sum, by));
  return sum;
}

/** NaN where there is one: XLA's processor code may lose it. */
function extreme(name: "maximum" | "minimum", x: Value, axes: readonly number[], keep: boolean): Value {
  const found = reduce(name, x, axes, keep);
  if (x.type !== "f32") return found;
  return select(reduce("or", compare("NE", x, x), axes, keep), constant("f32", Number.NaN), found);
}

/** First index of the extreme; of the first NaN where there is one. */
function argument(x: Value, axis: number, name: "maximum" | "minimum"): Value {
  const best = extreme(name, x, [axis], true);
  const positions = iota("i32", x.shape, axis);
  const hit = or(compare("EQ", x, best), compare("NE", x, x));
  const candidates = select(hit, positions, constant("i32", x.shape[axis]!));
  return reduce("minimum", candidates, [axis]);
}

export function registerReductions(): void {
  defineKernel("Sum", (input, { axis, keepDims }) => {
    const x = numeric(input("x"));
    return reduce("add", x, axesOf(axis, x.shape.length), keepDims);
  });
  defineKernel("Mean", (input, { axis, keepDims }) => {
    const x = convert(input("x"), "f32");
    const axes = axesOf(axis, x.shape.length);
    const count = axes.reduce((product, i) => product * x.shape[i]!, 1);
    return scale(reduce("add", x, axes, keepDims), 1 / count);
  });
  defineKernel("Prod", (input, { axis, keepDims }) => {
    const x = numeric(input("x"));
    return reduce("multiply", x, axesOf(axis, x.shape.length), keepDims);
  });
  defineKernel("Max", (input, { reductionIndices, keepDims }) =>
    extreme("maximum", input("x"), axesOf(reductionIndices, input("x").shape.length), keepDims),
  );
  defineKernel("Min", (input, { axis, keepDims }) =>
    extreme("minimum", input("x"), axesOf(axis, input("x").shape.length), keepDims),
  );
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
  defineKernel("Cumsum", (input, { axis, exclusive, reverse }) => {
    const x = numeric(input("x"));
    return prefixSums(x, axesOf(axis, x.shape.length)[0]!, exclusive, reverse);
  });
}
