/**
 * The fused operations of ops.ts and token-logprobs.ts, whose inputs, attributes and outputs are stated there, and the
 * ones that only a compiler needs.
 */
import type { Value } from "../graph.ts";
import {
  add,
  broadcast,
  compare,
  concatenate,
  constant,
  convert,
  divide,
  iota,
  multiply,
  pick,
  reduce,
  reshape,
  scale,
  select,
  shift,
  slice,
  subtract,
  transpose,
  unary,
} from "../hlo.ts";
import { sumByIndex } from "../ordered-sums.ts";
import { defineKernel } from "./define.ts";
import { matmul, softmax } from "./reductions.ts";

/** Up to this many rows a table's gradient is a product with one-hot rows, which beats a scatter on every device. */
const ONE_HOT_ROWS = 512;

const half = (x: Value, second: boolean) => {
  const width = x.shape.at(-1)! / 2;
  const begin = x.shape.map((_, i) => (i === x.shape.length - 1 && second ? width : 0));
  return slice(x, begin, [...x.shape.slice(0, -1), width]);
};

/** 1 / sqrt(mean(x^2) + epsilon), [N, 1] */
function inverseNorm(x: Value, epsilon: number): Value {
  const mean = scale(reduce("add", multiply(x, x), [1], true), 1 / x.shape[1]!);
  return unary("rsqrt", shift(mean, epsilon));
}

export function registerFused(): void {
  defineKernel("RlptRmsNorm", (input, { epsilon }) => {
    const x = input("x");
    return multiply(multiply(x, inverseNorm(x, epsilon)), input("w"));
  });
  defineKernel("RlptRmsNormGrad", (input, { epsilon }) => {
    const x = input("x");
    const r = inverseNorm(x, epsilon);
    const e = multiply(input("dy"), input("w"));
    const mean = scale(reduce("add", multiply(e, x), [1], true), 1 / x.shape[1]!);
    const slope = multiply(mean, multiply(multiply(r, r), r));
    return subtract(multiply(e, r), multiply(x, slope));
  });
  defineKernel("RlptRmsNormWeightGrad", (input, { epsilon }) => {
    const x = input("x");
    return reduce("add", multiply(input("dy"), multiply(x, inverseNorm(x, epsilon))), [0]);
  });

  defineKernel("RlptRope", (input, { inverse }) => {
    const x = inverse ? transpose(input("x"), [0, 2, 1, 3]) : input("x"); // [R, T, h, D]
    const column = (name: string) => {
      const table = input(name);
      return reshape(table, [table.shape[0]!, table.shape[1]!, 1, table.shape[2]!]);
    };
    const cos = column("cos");
    const sin = inverse ? unary("negate", column("sin")) : column("sin");
    const a = half(x, false);
    const b = half(x, true);
    const rotated = concatenate(
      [subtract(multiply(a, cos), multiply(b, sin)), add(multiply(b, cos), multiply(a, sin))],
      3,
    );
    return inverse ? rotated : transpose(rotated, [0, 2, 1, 3]);
  });

  defineKernel("RlptSwiGlu", (input) => {
    const gate = input("gate");
    return multiply(multiply(gate, unary("logistic", gate)), input("up"));
  });
  defineKernel("RlptSwiGluGrad", (input) => {
    const gate = input("gate");
    const dy = input("dy");
    const s = unary("logistic", gate);
    const one = constant("f32", 1);
    const slope = multiply(s, add(one, multiply(gate, subtract(one, s))));
    return [multiply(multiply(dy, input("up")), slope), multiply(dy, multiply(gate, s))];
  });

  defineKernel("RlptMaskedSoftmax", (input, { scale: factor }) => {
    const scores = input("scores");
    const scaled = scale(scores, factor);
    if (!input.has("mask")) return softmax(scaled);
    const [rows, heads, queries, keys] = scores.shape as [number, number, number, number];
    const mask = input("mask"); // [M, T, S]
    const tokens = mask.shape[1]!;
    const grouped = reshape(scaled, [rows, heads, queries / tokens, tokens, keys]);
    const added = reshape(mask, [mask.shape[0]!, 1, 1, tokens, keys]);
    return reshape(softmax(add(grouped, added)), scores.shape);
  });
  defineKernel("RlptMaskedSoftmaxGrad", (input, { scale: factor }) => {
    const p = input("p");
    const dy = input("dy");
    const mean = reduce("add", multiply(dy, p), [3], true);
    return scale(multiply(p, subtract(dy, mean)), factor);
  });

  defineKernel("RlptEmbeddingGrad", (input, { rows }, backend) => {
    const ids = input("ids");
    const dy = input("dy");
    if (rows > ONE_HOT_ROWS) return sumByIndex(backend, rows, ids, dy);
    const hot = compare("EQ", iota("i32", [rows, ids.size], 0), broadcast(ids, [rows, ids.size]));
    return matmul(convert(hot, "f32"), dy, false, false, backend);
  });

  defineKernel("RlptAdamW", (input, attrs, backend) => {
    const { beta1, beta2, epsilon } = attrs;
    const decay = backend.changing(attrs.decay, "decay");
    const stepSize = backend.changing(attrs.stepSize, "step size");
    const secondScale = backend.changing(attrs.secondScale, "second scale");
    const g = input("g");
    const m = add(scale(input("m"), beta1), scale(g, 1 - beta1));
    const v = add(scale(input("v"), beta2), scale(multiply(g, g), 1 - beta2));
    const size = shift(multiply(unary("sqrt", v), secondScale), epsilon);
    const step = multiply(divide(m, size), stepSize);
    return [subtract(multiply(input("w"), decay), step), m, v];
  });

  defineKernel("RlptTokenStats", (input, { temperature }) => {
    const z = scale(input("logits"), 1 / temperature); // [k, V]
    const max = reduce("maximum", z, [1], true);
    const shifted = subtract(z, max);
    const mass = unary("exponential", shifted);
    const total = reduce("add", mass, [1]); // [k]
    const logTotal = unary("log", total);
    const logprob = subtract(pick(shifted, input("targets")), logTotal);
    const moment = reduce("add", multiply(mass, shifted), [1]);
    const entropy = subtract(logTotal, divide(moment, total));
    const lse = add(logTotal, reshape(max, [z.shape[0]!]));
    const columns = [logprob, entropy, lse].map((x) => reshape(x, [z.shape[0]!, 1]));
    return concatenate(columns, 1);
  });
  defineKernel("RlptTokenLogprobGrad", (input, { temperature }) => {
    const z = scale(input("logits"), 1 / temperature);
    const rows = z.shape[0]!;
    const p = unary("exponential", subtract(z, reshape(input("lse"), [rows, 1])));
    const hot = compare("EQ", iota("i32", z.shape, 1), reshape(input("targets"), [rows, 1]));
    const difference = subtract(select(hot, constant("f32", 1), constant("f32", 0)), p);
    return multiply(difference, reshape(scale(input("dy"), 1 / temperature), [rows, 1]));
  });
}
