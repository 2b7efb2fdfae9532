import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fusedKernels } from "../../src/backend/wasm/fused-kernels.ts";
import type { WasmHeap } from "../../src/backend/wasm/heap.ts";
import { installWasmKernels, uninstallWasmKernels } from "../../src/backend/wasm/install.ts";
import { expectClose, noise, seeds, sizes, startWasm, tf } from "./wasm-support.ts";

beforeAll(startWasm);
afterAll(uninstallWasmKernels);

const compared = new Set<string>();

type Values = Record<string, { shape: number[]; values: Float32Array | Int32Array }>;

/** Runs a registered kernel and reads its outputs; checks that it leaves no tensors behind. */
function run(name: string, inputs: Values, attrs: Record<string, number | boolean> = {}) {
  compared.add(name);
  const before = tf.memory().numTensors;
  const outputs = tf.tidy(() => {
    const tensors = Object.fromEntries(
      Object.entries(inputs).map(([key, { shape, values }]) => [
        key,
        tf.tensor(values, shape, values instanceof Int32Array ? "int32" : "float32"),
      ]),
    );
    const result = tf.engine().runKernel(name, tensors, attrs) as tf.Tensor | tf.Tensor[];
    const unchanged = Object.entries(inputs).every(([key, { values }]) =>
      tensors[key]!.dataSync().every((value, i) => Object.is(value, values[i])),
    );
    expect(unchanged).toBe(true);
    return [result].flat().map((tensor) => ({ shape: tensor.shape, values: tensor.dataSync() }));
  });
  expect(tf.memory().numTensors).toBe(before);
  return outputs;
}

const input = (shape: number[], seed: number) => ({
  shape,
  values: noise(
    shape.reduce((a, b) => a * b, 1),
    seed,
  ),
});
const range = (n: number) => Array.from({ length: n }, (_, i) => i);
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

describe.each([{ relaxed: true }, { relaxed: false }])("fused kernels, relaxed $relaxed", (options) => {
  beforeAll(() => {
    installWasmKernels({ cblas: null, ...options });
  });

  it("RMSNorm and its gradients agree with float64", () => {
    const sample = fc.record({ rows: sizes, width: fc.integer({ min: 1, max: 40 }), seed: seeds });
    fc.assert(
      fc.property(sample, ({ rows, width, seed }) => {
        const epsilon = 1e-5;
        const x = input([rows, width], seed);
        const w = input([width], seed + 1);
        const dy = input([rows, width], seed + 2);
        const y = new Float64Array(rows * width);
        const dx = new Float64Array(rows * width);
        const dw = new Float64Array(width);
        for (const n of range(rows)) {
          const at = n * width;
          const row = range(width);
          const r = 1 / Math.sqrt(row.reduce((sum, i) => sum + x.values[at + i]! ** 2, 0) / width + epsilon);
          const slope =
            row.reduce((sum, i) => sum + dy.values[at + i]! * w.values[i]! * x.values[at + i]!, 0) / width;
          for (const i of row) {
            y[at + i] = x.values[at + i]! * r * w.values[i]!;
            dx[at + i] = r * dy.values[at + i]! * w.values[i]! - x.values[at + i]! * r ** 3 * slope;
            dw[i]! += dy.values[at + i]! * x.values[at + i]! * r;
          }
        }
        const close = { relative: 5e-6, absolute: 5e-6 };
        expectClose(run("RlptRmsNorm", { x, w }, { epsilon })[0]!.values, y, close);
        // width 1 and x near 0: 1/r reaches 300, and the terms of dx cancel
        const largest = Math.max(1, ...Array.from(y, (value, i) => Math.abs(value / (x.values[i]! || 1))));
        expectClose(run("RlptRmsNormGrad", { x, w, dy }, { epsilon })[0]!.values, dx, {
          relative: 2e-5,
          absolute: 2e-5 * largest,
        });
        const [weight] = run("RlptRmsNormWeightGrad", { x, dy }, { epsilon });
        expect(weight!.shape).toEqual([width]);
        expectClose(weight!.values, dw, { relative: 1e-5, absolute: 1e-5 * (1 + rows) });
      }),
      { numRuns: 120 },
    );
  });

  it("RMSNorm's weight gradient sums over many rows without drift", () => {
    const rows = 5000;
    const ones = { shape: [rows, 3], values: new Float32Array(3 * rows).fill(1) };
    const dy = { shape: [rows, 3], values: new Float32Array(3 * rows).fill(0.1) };
    const [dw] = run("RlptRmsNormWeightGrad", { x: ones, dy }, { epsilon: 0 });
    expectClose(dw!.values, [500, 500, 500], { relative: 1e-6, absolute: 0 });
  });

  it("RoPE agrees with float64, and its inverse undoes it", () => {
    const sample = fc.record({
      rows: fc.integer({ min: 0, max: 4 }),
      tokens: fc.integer({ min: 1, max: 6 }),
      heads: fc.integer({ min: 1, max: 5 }),
      half: fc.integer({ min: 1, max: 10 }),
      shared: fc.boolean(),
      seed: seeds,
    });
    fc.assert(
      fc.property(sample, ({ rows, tokens, heads, half, shared, seed }) => {
        const angles = noise((shared ? 1 : rows) * tokens * half, seed + 1);
        const tables = {
          cos: { shape: [shared ? 1 : rows, tokens, half], values: angles.map(Math.cos) },
          sin: { shape: [shared ? 1 : rows, tokens, half], values: angles.map(Math.sin) },
        };
        const x = input([rows, tokens, heads, 2 * half], seed);
        const want = new Float64Array(x.values.length);
        for (const r of range(rows)) {
          for (const t of range(tokens)) {
            for (const h of range(heads)) {
              for (const i of range(half)) {
                const angle = angles[((shared ? 0 : r) * tokens + t) * half + i]!;
                const from = ((r * tokens + t) * heads + h) * 2 * half;
                const to = ((r * heads + h) * tokens + t) * 2 * half;
                const [a, b] = [x.values[from + i]!, x.values[from + half + i]!];
                want[to + i] = a * Math.cos(angle) - b * Math.sin(angle);
                want[to + half + i] = b * Math.cos(angle) + a * Math.sin(angle);
              }
            }
          }
        }
        const [y] = run("RlptRope", { x, ...tables }, { inverse: false });
        expect(y!.shape).toEqual([rows, heads, tokens, 2 * half]);
        expectClose(y!.values, want);
        const turned = { shape: y!.shape, values: y!.values as Float32Array };
        const [back] = run("RlptRope", { x: turned, ...tables }, { inverse: true });
        expect(back!.shape).toEqual(x.shape);
        expectClose(back!.values, x.values);
      }),
      { numRuns: 100 },
    );
  });

  it("SwiGLU and its gradient agree with float64, far from zero too", () => {
    const sample = fc.record({ size: sizes, spread: fc.constantFrom(1, 10, 60), seed: seeds });
    fc.assert(
      fc.property(sample, ({ size, spread, seed }) => {
        const gate = input([size], seed);
        gate.values = gate.values.map((value) => value * spread);
        const up = input([size], seed + 1);
        const dy = input([size], seed + 2);
        const s = Float64Array.from(gate.values, sigmoid);
        const y = s.map((value, i) => value * gate.values[i]! * up.values[i]!);
        const dgate = s.map(
          (value, i) => dy.values[i]! * up.values[i]! * value * (1 + gate.values[i]! * (1 - value)),
        );
        const dup = s.map((value, i) => dy.values[i]! * gate.values[i]! * value);
        expectClose(run("RlptSwiGlu", { gate, up })[0]!.values, y);
        const [first, second] = run("RlptSwiGluGrad", { gate, up, dy });
        expectClose(first!.values, dgate, { relative: 5e-6, absolute: 5e-6 });
        expectClose(second!.values, dup, { relative: 2e-6, absolute: 2e-6 });
      }),
      { numRuns: 100 },
    );
  });

  it("masked softmax and its gradient agree with float64", () => {
    const sample = fc.record({
      rows: fc.integer({ min: 0, max: 3 }),
      heads: fc.integer({ min: 1, max: 3 }),
      groups: fc.integer({ min: 1, max: 2 }),
      tokens: fc.integer({ min: 1, max: 5 }),
      keys: fc.integer({ min: 1, max: 21 }),
      mask: fc.constantFrom("none", "shared", "each"),
      scale: fc.constantFrom(1, 0.25, 12),
      seed: seeds,
    });
    fc.assert(
      fc.property(sample, ({ rows, heads, groups, tokens, keys, mask, scale, seed }) => {
        const scores = input([rows, heads, groups * tokens, keys], seed);
        const maskRows = mask === "each" ? rows : 1;
        // about half of the keys hidden, never all
        const hidden = noise(maskRows * tokens * keys, seed + 1).map((value, i) =>
          value > 0 && i % keys > 0 ? -1e30 : 0,
        );
        const dy = input(scores.shape, seed + 2);
        const p = new Float64Array(scores.values.length);
        const dscores = new Float64Array(p.length);
        for (const q of range(rows * heads * groups * tokens)) {
          const row = Math.floor(q / (heads * groups * tokens));
          const seen = ((maskRows === 1 ? 0 : row) * tokens + (q % tokens)) * keys;
          const z = range(keys).map(
            (s) => scale * scores.values[q * keys + s]! + (mask === "none" ? 0 : hidden[seen + s]!),
          );
          const top = Math.max(...z);
          const e = z.map((value) => Math.exp(value - top));
          const total = e.reduce((a, b) => a + b, 0);
          const mean = e.reduce((sum, value, s) => sum + (value / total) * dy.values[q * keys + s]!, 0);
          for (const s of range(keys)) {
            p[q * keys + s] = e[s]! / total;
            dscores[q * keys + s] = ((scale * e[s]!) / total) * (dy.values[q * keys + s]! - mean);
          }
        }
        const inputs: Values =
          mask === "none"
            ? { scores }
            : { scores, mask: { shape: [maskRows, tokens, keys], values: hidden } };
        const [got] = run("RlptMaskedSoftmax", inputs, { scale });
        expect(got!.shape).toEqual(scores.shape);
        expectClose(got!.values, p, { relative: 1e-5, absolute: 1e-7 });
        const [slope] = run(
          "RlptMaskedSoftmaxGrad",
          { p: { shape: scores.shape, values: got!.values as Float32Array }, dy },
          { scale },
        );
        expectClose(slope!.values, dscores, { relative: 1e-5, absolute: 4e-6 * scale });
      }),
      { numRuns: 150 },
    );
  });

  it("the embedding gradient sums equal ids, and refuses ids outside the table", () => {
    const sample = fc.record({
      count: sizes,
      rows: fc.integer({ min: 1, max: 9 }),
      width: fc.integer({ min: 1, max: 19 }),
      seed: seeds,
    });
    fc.assert(
      fc.property(sample, ({ count, rows, width, seed }) => {
        const values = Int32Array.from(noise(count, seed), (value) => Math.floor(((value + 2) / 4) * rows));
        const dy = input([count, width], seed + 1);
        const want = new Float64Array(rows * width);
        values.forEach((id, n) => {
          for (const i of range(width)) want[id * width + i]! += dy.values[n * width + i]!;
        });
        const [table] = run("RlptEmbeddingGrad", { ids: { shape: [count], values }, dy }, { rows });
        expect(table!.shape).toEqual([rows, width]);
        expectClose(table!.values, want, { relative: 1e-6, absolute: 1e-5 });
      }),
      { numRuns: 80 },
    );
    for (const id of [-1, 4]) {
      const ids = { shape: [2], values: Int32Array.of(0, id) };
      expect(() => run("RlptEmbeddingGrad", { ids, dy: input([2, 3], 1) }, { rows: 4 })).toThrow(
        `id ${id} at index 1 is outside [0, 4)`,
      );
    }
  });

  it("token statistics and their gradient agree with float64", () => {
    const sample = fc.record({
      tokens: fc.integer({ min: 0, max: 7 }),
      vocabulary: fc.oneof(fc.integer({ min: 1, max: 30 }), fc.constantFrom(1021, 2050)),
      temperature: fc.constantFrom(1, 0.7, 1.3),
      spread: fc.constantFrom(1, 30),
      seed: seeds,
    });
    fc.assert(
      fc.property(sample, ({ tokens, vocabulary, temperature, spread, seed }) => {
        const logits = input([tokens, vocabulary], seed);
        logits.values = logits.values.map((value) => value * spread);
        const targets = {
          shape: [tokens],
          values: Int32Array.from(noise(tokens, seed + 1), (v) => Math.floor(((v + 2) / 4) * vocabulary)),
        };
        const dy = input([tokens], seed + 2);
        const want = new Float64Array(3 * tokens);
        const slope = new Float64Array(tokens * vocabulary);
        for (const q of range(tokens)) {
          const z = range(vocabulary).map((v) => logits.values[q * vocabulary + v]! / temperature);
          const top = Math.max(...z);
          const lse = top + Math.log(z.reduce((sum, value) => sum + Math.exp(value - top), 0));
          const target = targets.values[q]!;
          want.set([z[target]! - lse, z.reduce((h, v) => h - Math.exp(v - lse) * (v - lse), 0), lse], 3 * q);
          z.forEach((value, v) => {
            slope[q * vocabulary + v] =
              (dy.values[q]! / temperature) * ((v === target ? 1 : 0) - Math.exp(value - lse));
          });
        }
        const [stats] = run("RlptTokenStats", { logits, targets }, { temperature });
        expect(stats!.shape).toEqual([tokens, 3]);
        expectClose(stats!.values, want, { relative: 2e-6, absolute: 2e-5 });
        const lse = { shape: [tokens], values: Float32Array.from(range(tokens), (q) => want[3 * q + 2]!) };
        const [dlogits] = run("RlptTokenLogprobGrad", { logits, targets, lse, dy }, { temperature });
        // z - lse is rounded at the size of z
        expectClose(dlogits!.values, slope, { relative: 1e-5, absolute: 2e-6 * (1 + spread) });
      }),
      { numRuns: 100 },
    );
    const bad = { logits: input([1, 4], 1), targets: { shape: [1], values: Int32Array.of(4) } };
    expect(() => run("RlptTokenStats", bad, { temperature: 1 })).toThrow("id 4 at index 0 is outside [0, 4)");
  });

  it("one AdamW update agrees with float64", () => {
    fc.assert(
      fc.property(sizes, seeds, fc.constantFrom(0, 0.1), (size, seed, weightDecay) => {
        const [w, m, v, g] = range(4).map((i) => input([size], seed + i)) as [
          ReturnType<typeof input>,
          ReturnType<typeof input>,
          ReturnType<typeof input>,
          ReturnType<typeof input>,
        ];
        v.values = v.values.map(Math.abs);
        const [rate, beta1, beta2, epsilon, step] = [0.01, 0.9, 0.999, 1e-8, 3];
        const attrs = {
          decay: 1 - rate * weightDecay,
          stepSize: rate / (1 - beta1 ** step),
          beta1,
          beta2,
          secondScale: 1 / Math.sqrt(1 - beta2 ** step),
          epsilon,
        };
        const first = Float64Array.from(m.values, (value, i) => beta1 * value + (1 - beta1) * g.values[i]!);
        const second = Float64Array.from(
          v.values,
          (value, i) => beta2 * value + (1 - beta2) * g.values[i]! ** 2,
        );
        const next = Float64Array.from(
          w.values,
          (value, i) =>
            value * (1 - rate * weightDecay) -
            (attrs.stepSize * first[i]!) / (Math.sqrt(second[i]!) * attrs.secondScale + epsilon),
        );
        const [gotW, gotM, gotV] = run("RlptAdamW", { w, m, v, g }, attrs);
        expectClose(gotW!.values, next);
        expectClose(gotM!.values, first);
        expectClose(gotV!.values, second);
      }),
      { numRuns: 60 },
    );
  });

  it("no kernel was left out", () => {
    const kernels = Object.keys(fusedKernels({} as WasmHeap));
    expect(kernels.filter((name) => !compared.has(name))).toEqual([]);
    expect(kernels.length).toBeGreaterThan(10);
  });
});
