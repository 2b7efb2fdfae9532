import { it } from "vitest";
import { type Case, check, given, input } from "./cases.ts";
import { at, make, type Nd, reduced, sum } from "./reference.ts";

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const mean = (values: readonly number[]) => sum(values) / values.length;
/** x[index] of arrays of one shape. */
const each = (shape: readonly number[], fn: (...x: number[]) => number, ...inputs: Nd[]) =>
  make(shape, (index) => fn(...inputs.map((one) => at(one, index))));

export function fusedTests(): void {
  it("RMSNorm, SwiGLU and their gradients", async () => {
    const epsilon = 1e-5;
    const [x, w, dy] = [input([3, 6], 1), input([6], 2), input([3, 6], 3)];
    const r = reduced(x, [1], true, (row) => 1 / Math.sqrt(mean(row.map((v) => v * v)) + epsilon));
    const e = each(x.shape, (g, k) => g * k, dy, w);
    const slope = reduced(
      each(x.shape, (g, v) => g * v, e, x),
      [1],
      true,
      mean,
    );
    const [gate, up, dz] = [input([4, 5], 4), input([4, 5], 5), input([4, 5], 6)];
    const common = { cpu: false, absolute: 1e-5, relative: 1e-5 };
    await check([
      {
        kernel: "RlptRmsNorm",
        inputs: { x, w },
        attrs: { epsilon },
        want: each(x.shape, (v, s, k) => v * s * k, x, r, w),
        ...common,
      },
      {
        kernel: "RlptRmsNormGrad",
        inputs: { x, w, dy },
        attrs: { epsilon },
        want: each(x.shape, (g, s, v, m) => g * s - v * s ** 3 * m, e, r, x, slope),
        ...common,
      },
      {
        kernel: "RlptRmsNormWeightGrad",
        inputs: { x, dy },
        attrs: { epsilon },
        want: reduced(
          each(x.shape, (g, v, s) => g * v * s, dy, x, r),
          [0],
          false,
          sum,
        ),
        ...common,
      },
      {
        kernel: "RlptSwiGlu",
        inputs: { gate, up },
        want: each(gate.shape, (g, u) => g * sigmoid(g) * u, gate, up),
        ...common,
      },
      {
        kernel: "RlptSwiGluGrad",
        inputs: { gate, up, dy: dz },
        want: [
          each(gate.shape, (g, u, d) => d * u * sigmoid(g) * (1 + g * (1 - sigmoid(g))), gate, up, dz),
          each(gate.shape, (g, d) => d * g * sigmoid(g), gate, dz),
        ],
        ...common,
      },
    ]);
  });

  it("RoPE and its inverse, tables per row or shared", async () => {
    const [rows, tokens, heads, half] = [2, 3, 2, 2];
    const cases = [1, rows].flatMap((tables): Case[] => {
      const [cos, sin] = [input([tables, tokens, half], 8), input([tables, tokens, half], 9)];
      const turn = (x: Nd, sign: number, shape: number[], from: (index: number[]) => number[]) =>
        make(shape, (index) => {
          const i = index[3]!;
          const [r, h, t] = index.length === 4 ? from(index) : [0, 0, 0];
          const where = sign > 0 ? [r!, t!, h!] : [r!, h!, t!];
          const table = (one: Nd) => at(one, [r!, t!, i % half]);
          const [a, b] = [at(x, [...where, i % half]), at(x, [...where, (i % half) + half])];
          return i < half ? a * table(cos) - sign * b * table(sin) : b * table(cos) + sign * a * table(sin);
        });
      const x = input([rows, tokens, heads, 2 * half], 10);
      const y = input([rows, heads, tokens, 2 * half], 11);
      return [
        {
          kernel: "RlptRope",
          inputs: { x, cos, sin },
          attrs: { inverse: false },
          want: turn(x, 1, y.shape, ([r, h, t]) => [r!, h!, t!]),
          cpu: false,
        },
        {
          kernel: "RlptRope",
          inputs: { x: y, cos, sin },
          attrs: { inverse: true },
          want: turn(y, -1, x.shape, ([r, t, h]) => [r!, h!, t!]),
          cpu: false,
        },
      ];
    });
    await check(cases);
  });

  it("masked softmax with a mask per row, shared, or none, and its gradient", async () => {
    const [rows, heads, tokens, keys, share] = [2, 3, 2, 5, 2];
    const scores = input([rows, heads, share * tokens, keys], 12);
    const scale = 0.7;
    const probabilities = (mask: Nd | null) => {
      const z = make(scores.shape, (index) => {
        const hidden = mask === null ? 0 : at(mask, [index[0]!, index[2]! % tokens, index[3]!]);
        return at(scores, index) * scale + hidden;
      });
      const total = reduced(z, [3], true, (row) => sum(row.map(Math.exp)));
      return each(z.shape, (v, t) => Math.exp(v) / t, z, total);
    };
    const hide = (shape: number[], seed: number) => {
      const bits = input(shape, seed, "bool");
      // a key that everybody sees
      return given(
        bits.values.map((bit, i) => (bit && i % keys !== 0 ? -1e9 : 0)),
        "float32",
        shape,
      );
    };
    const own = hide([rows, tokens, keys], 13);
    const shared = hide([1, tokens, keys], 14);
    const [p, dy] = [input(scores.shape, 15), input(scores.shape, 16)];
    const slope = reduced(
      each(p.shape, (a, b) => a * b, p, dy),
      [3],
      true,
      sum,
    );
    const attrs = { scale };
    await check([
      {
        kernel: "RlptMaskedSoftmax",
        inputs: { scores, mask: own },
        attrs,
        want: probabilities(own),
        cpu: false,
      },
      {
        kernel: "RlptMaskedSoftmax",
        inputs: { scores, mask: shared },
        attrs,
        want: probabilities(shared),
        cpu: false,
      },
      { kernel: "RlptMaskedSoftmax", inputs: { scores }, attrs, want: probabilities(null), cpu: false },
      {
        kernel: "RlptMaskedSoftmaxGrad",
        inputs: { p, dy },
        attrs,
        want: each(p.shape, (a, g, m) => scale * a * (g - m), p, dy, slope),
        cpu: false,
        absolute: 1e-5,
      },
    ]);
  });

  it("gradients of embedding tables, small ones by a product and large ones by a scatter", async () => {
    const ids = given([3, 0, 3, 1, 511, 3], "int32");
    const dy = input([6, 4], 17);
    const want = (rows: number) =>
      make([rows, 4], ([row, i]) => sum(ids.values.map((id, n) => (id === row ? at(dy, [n, i!]) : 0))));
    await check(
      [512, 513].map(
        (rows): Case => ({
          kernel: "RlptEmbeddingGrad",
          inputs: { ids, dy },
          attrs: { rows },
          want: want(rows),
          cpu: false,
        }),
      ),
    );
  });

  it("AdamW's update", async () => {
    const [w, m, g] = [input([3, 4], 18), input([3, 4], 19), input([3, 4], 20)];
    const v = given(input([3, 4], 21).values.map(Math.abs), "float32", [3, 4]);
    const attrs = { decay: 0.999, stepSize: 0.01, beta1: 0.9, beta2: 0.95, secondScale: 1.3, epsilon: 1e-8 };
    const first = each(w.shape, (a, b) => 0.9 * a + 0.1 * b, m, g);
    const second = each(w.shape, (a, b) => 0.95 * a + 0.05 * b * b, v, g);
    const next = each(
      w.shape,
      (a, b, c) => a * 0.999 - (0.01 * b) / (Math.sqrt(c) * 1.3 + 1e-8),
      w,
      first,
      second,
    );
    await check([
      { kernel: "RlptAdamW", inputs: { w, m, v, g }, attrs, want: [next, first, second], cpu: false },
    ]);
  });

  it("statistics and gradients of token log-probabilities", async () => {
    const temperature = 0.6;
    const logits = input([4, 7], 22);
    const targets = given([6, 0, 3, 3], "int32");
    const dy = input([4], 23);
    const z = each(logits.shape, (x) => x / temperature, logits);
    const lse = reduced(z, [1], false, (row) => Math.log(sum(row.map(Math.exp))));
    const p = make(z.shape, ([n, v]) => Math.exp(at(z, [n!, v!]) - lse.values[n!]!));
    const stats = make([4, 3], ([n, column]) => {
      const total = lse.values[n!]!;
      if (column === 0) return at(z, [n!, targets.values[n!]!]) - total;
      return column === 2
        ? total
        : total - sum(z.values.slice(7 * n!, 7 * n! + 7).map((x, v) => x * at(p, [n!, v])));
    });
    const gradient = make(
      z.shape,
      ([n, v]) => (dy.values[n!]! / temperature) * (Number(targets.values[n!] === v) - at(p, [n!, v!])),
    );
    await check([
      {
        kernel: "RlptTokenStats",
        inputs: { logits, targets },
        attrs: { temperature },
        want: stats,
        cpu: false,
        absolute: 5e-6,
      },
      {
        kernel: "RlptTokenLogprobGrad",
        inputs: { logits, targets, lse: given(lse.values), dy },
        attrs: { temperature },
        want: gradient,
        cpu: false,
        absolute: 5e-6,
      },
    ]);
  });
}
