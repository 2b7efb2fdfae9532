import * as tf from "@tensorflow/tfjs";
import { beforeAll, describe, expect, it } from "vitest";
import { withoutFused } from "../../src/backend/fused.ts";
import {
  adamwUpdate,
  embedding,
  maskedSoftmax,
  rematerialise,
  rmsNorm,
  rope,
  swiglu,
  tokenLogprobs,
} from "../../src/backend/ops.ts";
import {
  expectClose,
  newTensors,
  normals,
  numericalGradient,
  testBackends,
  useBackend,
} from "../helpers/tensors.ts";

type Reference = (...inputs: Float64Array[]) => number[] | Float64Array;

/** Value and every gradient of sum(op * weights) against a float64 reference and its central differences. */
function checkOp(
  op: (...inputs: tf.Tensor[]) => tf.Tensor,
  shapes: number[][],
  reference: Reference,
  { atol = 2e-5, seed = 1 } = {},
): void {
  const values = shapes.map((shape, i) => normals(seed + i, tf.util.sizeFromShape(shape)));
  const inputs = values.map((value, i) => tf.tensor(value, shapes[i]!));
  const doubles = values.map((value) => Float64Array.from(value));
  const expected = reference(...doubles);
  const weights = normals(99, expected.length);
  const output = op(...inputs);
  expectClose(output.dataSync(), expected, { atol, what: "value" });
  const gradients = tf.grads((...xs: tf.Tensor[]) =>
    tf.sum(tf.mul(op(...xs), tf.tensor(weights, output.shape))),
  );
  for (const [i, gradient] of gradients(inputs).entries()) {
    const numerical = numericalGradient((x) => {
      const at = doubles.map((value, j) => (j === i ? x : value));
      return Array.from(reference(...at)).reduce((sum, y, k) => sum + y * weights[k]!, 0);
    }, doubles[i]!);
    expectClose(gradient.dataSync(), numerical, { atol: 5 * atol, rtol: 2e-5, what: `gradient ${i}` });
  }
}

const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));

function softmax64(z: number[]): number[] {
  const top = Math.max(...z);
  const mass = z.map((value) => Math.exp(value - top));
  const total = mass.reduce((a, b) => a + b, 0);
  return mass.map((value) => value / total);
}

describe.each(testBackends)("operations on %s", (backend) => {
  beforeAll(() => useBackend(backend));

  const variants = [
    ["with fused kernels where there are any", <T>(fn: () => T) => fn()],
    ["on generic kernels", withoutFused],
  ] as const;

  describe.each(variants)("%s", (_name, run) => {
    it("rmsNorm: value and both gradients", () => {
      const width = 7;
      run(() =>
        checkOp(
          (x, w) => rmsNorm(x!, w!, 1e-3),
          [[5, width], [width]],
          (x, w) =>
            x!.map((value, i) => {
              const row = x!.subarray(i - (i % width), i - (i % width) + width);
              const square = row.reduce((sum, y) => sum + y * y, 0) / width;
              return (w![i % width]! * value) / Math.sqrt(square + 1e-3);
            }),
        ),
      );
    });

    it("rmsNorm puts epsilon inside the root and works over the last axis of any rank", () => {
      run(() => {
        const x = tf.fill([2, 3, 2, 4], 1e-3);
        const y = rmsNorm(x, tf.ones([4]), 1e-5);
        expect(y.shape).toEqual([2, 3, 2, 4]);
        expectClose(y.dataSync(), new Array(48).fill(1e-3 / Math.sqrt(1e-6 + 1e-5)));
      });
    });

    it.each([1, 2])("rope with tables for %i row(s): rotate-half, heads before tokens", (tableRows) => {
      const [R, T, heads, D] = [2, 3, 2, 6];
      const angles = normals(5, tableRows * T * (D / 2));
      const cos = tf.tensor3d(angles.map(Math.cos), [tableRows, T, D / 2]);
      const sin = tf.tensor3d(angles.map(Math.sin), [tableRows, T, D / 2]);
      run(() =>
        checkOp(
          (x) => rope(x as tf.Tensor4D, tf.mul(cos, 1), tf.mul(sin, 1)),
          [[R, T, heads, D]],
          (x) => {
            const y = new Float64Array(x!.length);
            for (let r = 0; r < R; r++) {
              for (let h = 0; h < heads; h++) {
                for (let t = 0; t < T; t++) {
                  for (let i = 0; i < D / 2; i++) {
                    const angle = angles[((tableRows === 1 ? 0 : r) * T + t) * (D / 2) + i]!;
                    const from = ((r * T + t) * heads + h) * D + i;
                    const to = ((r * heads + h) * T + t) * D + i;
                    y[to] = x![from]! * Math.cos(angle) - x![from + D / 2]! * Math.sin(angle);
                    y[to + D / 2] = x![from + D / 2]! * Math.cos(angle) + x![from]! * Math.sin(angle);
                  }
                }
              }
            }
            return y;
          },
        ),
      );
    });

    it("swiglu: value and both gradients", () => {
      run(() =>
        checkOp(
          (gate, up) => swiglu(gate!, up!),
          [
            [3, 5],
            [3, 5],
          ],
          (gate, up) => gate!.map((z, i) => z * sigmoid(z) * up![i]!),
        ),
      );
    });

    it.each([1, 2])(
      "maskedSoftmax: %i mask(s), grouped queries, hidden keys get exactly nothing",
      (masks) => {
        const [R, Nk, G, T, S] = [2, 2, 3, 3, 4];
        const mask = Float32Array.from({ length: masks * T * S }, (_, i) =>
          i % S > (i / S) % T ? -1e30 : 0,
        );
        const maskTensor = tf.tensor3d(mask, [masks, T, S]);
        run(() =>
          checkOp(
            (s) => maskedSoftmax(s as tf.Tensor4D, maskTensor, 0.7),
            [[R, Nk, G * T, S]],
            (s) => {
              const rows: number[] = [];
              for (let row = 0; row < R * Nk * G * T; row++) {
                const r = Math.floor(row / (Nk * G * T));
                const from = ((masks === 1 ? 0 : r) * T + (row % T)) * S;
                rows.push(
                  ...softmax64(Array.from({ length: S }, (_, i) => 0.7 * s![row * S + i]! + mask[from + i]!)),
                );
              }
              return rows;
            },
          ),
        );
      },
    );

    it("maskedSoftmax without a mask", () => {
      run(() =>
        checkOp(
          (s) => maskedSoftmax(s as tf.Tensor4D, null, 2),
          [[1, 1, 2, 3]],
          (s) => [
            ...softmax64(Array.from(s!.subarray(0, 3), (z) => 2 * z)),
            ...softmax64(Array.from(s!.subarray(3), (z) => 2 * z)),
          ],
        ),
      );
    });

    it("embedding: the gradient sums over equal ids and leaves other rows at zero", () => {
      const ids = [3, 1, 3, 0];
      run(() =>
        checkOp(
          (table) => embedding(table as tf.Tensor2D, tf.tensor1d(ids, "int32")),
          [[5, 2]],
          (table) => ids.flatMap((id) => [table![2 * id]!, table![2 * id + 1]!]),
        ),
      );
    });

    it.each([
      ["vh", 1, 16],
      ["vh", 0.7, 2],
      ["hv", 1.3, 3],
    ] as const)(
      "tokenLogprobs: layout %s, temperature %d, slices of %i",
      (layout, temperature, sliceTokens) => {
        const [K, H, V] = [5, 3, 7];
        const targets = [6, 0, 3, 3, 1];
        const logitsOf = (h: Float64Array, w: Float64Array, k: number) =>
          Array.from({ length: V }, (_, v) => {
            let sum = 0;
            for (let i = 0; i < H; i++) sum += h[k * H + i]! * w[layout === "vh" ? v * H + i : i * V + v]!;
            return sum / temperature;
          });
        const shapes = [[K, H], layout === "vh" ? [V, H] : [H, V]];
        const options = { layout, temperature, sliceTokens, weightGradient: true };
        const score = (h: tf.Tensor, w: tf.Tensor) =>
          tokenLogprobs(h as tf.Tensor2D, w as tf.Tensor2D, tf.tensor1d(targets, "int32"), options);
        run(() => {
          checkOp(
            (h, w) => score(h!, w!).logprobs,
            shapes,
            (h, w) => targets.map((target, k) => Math.log(softmax64(logitsOf(h!, w!, k))[target]!)),
          );
          const entropies = (h: Float64Array, w: Float64Array) =>
            targets.map((_, k) => softmax64(logitsOf(h, w, k)).reduce((s, p) => s - p * Math.log(p), 0));
          checkOp(
            (h, w) =>
              tokenLogprobs(h as tf.Tensor2D, w as tf.Tensor2D, tf.tensor1d(targets, "int32"), {
                ...options,
                entropyGradient: true,
              }).entropy,
            shapes,
            (h, w) => entropies(h!, w!),
          );
          const [h, w] = [normals(1, K * H), normals(2, V * H)];
          // a frozen output weight: hidden's gradient is made beside the logprobs
          const frozen = (x: tf.Tensor) =>
            tokenLogprobs(
              x as tf.Tensor2D,
              tf.tensor2d(w, shapes[1] as [number, number]),
              tf.tensor1d(targets, "int32"),
              {
                ...options,
                weightGradient: false,
              },
            );
          checkOp(
            (x) => frozen(x!).logprobs,
            shapes.slice(0, 1),
            (x) =>
              targets.map((target, k) => Math.log(softmax64(logitsOf(x!, Float64Array.from(w), k))[target]!)),
          );
          const entropy = entropies(Float64Array.from(h), Float64Array.from(w));
          expectClose(score(tf.tensor(h, shapes[0]), tf.tensor(w, shapes[1])).entropy.dataSync(), entropy);
        });
      },
    );

    it("tokenLogprobs keeps its precision for logits of size 1e4 and skips a frozen weight", () => {
      run(() => {
        const hidden = tf.tensor2d([[1e4], [-1e4]]);
        const weight = tf.variable(tf.tensor2d([[1], [0.9999]]));
        const score = () =>
          tokenLogprobs(hidden, weight as unknown as tf.Tensor2D, tf.tensor1d([1, 0], "int32"), {
            layout: "vh",
            temperature: 1,
            weightGradient: false,
          });
        const expected = -Math.log(1 + Math.E);
        expectClose(score().logprobs.dataSync(), [expected, expected], { atol: 2e-3 });
        const { grads } = tf.variableGrads(
          () => tf.sum(tf.add(score().logprobs, tf.sum(weight))) as tf.Scalar,
        );
        expectClose(Object.values(grads)[0]!.dataSync(), [2, 2]); // of the added sum alone
        weight.dispose();
      });
    });

    it("tokenLogprobs of no token is empty", () => {
      run(() => {
        const { logprobs } = tokenLogprobs(tf.zeros([0, 3]), tf.zeros([5, 3]), tf.zeros([0], "int32"), {
          layout: "vh",
          temperature: 1,
          weightGradient: true,
        });
        expect(logprobs.shape).toEqual([0]);
      });
    });

    it("adamwUpdate follows torch.optim.AdamW over three steps", () => {
      const options = { learningRate: 0.1, beta1: 0.9, beta2: 0.95, epsilon: 1e-3, weightDecay: 0.2 };
      const w0 = [0.5, -1.5, 2];
      run(() => {
        let state = { w: tf.tensor1d(w0), m: tf.zeros([3]) as tf.Tensor1D, v: tf.zeros([3]) as tf.Tensor1D };
        const expected = [...w0];
        const m = [0, 0, 0];
        const v = [0, 0, 0];
        for (let step = 1; step <= 3; step++) {
          const g = normals(step, 3);
          state = adamwUpdate(state.w, state.m, state.v, tf.tensor1d(g), { ...options, step });
          for (let i = 0; i < 3; i++) {
            expected[i]! *= 1 - 0.1 * 0.2;
            m[i] = 0.9 * m[i]! + 0.1 * g[i]!;
            v[i] = 0.95 * v[i]! + 0.05 * g[i]! ** 2;
            const denominator = Math.sqrt(v[i]!) / Math.sqrt(1 - 0.95 ** step) + 1e-3;
            expected[i]! -= ((0.1 / (1 - 0.9 ** step)) * m[i]!) / denominator;
          }
        }
        expectClose(state.w.dataSync(), expected, { atol: 1e-6 });
        expectClose(state.m.dataSync(), m, { atol: 1e-6 });
        expectClose(state.v.dataSync(), v, { atol: 1e-6 });
      });
    });
  });

  it("rematerialise gives the same value and gradients, also one inside another's chain", () => {
    const w = tf.tensor2d(normals(1, 16), [4, 4]);
    const x = tf.tensor2d(normals(2, 8), [2, 4]);
    const layer = (h: tf.Tensor, weight: tf.Tensor) => swiglu(tf.matMul(h, weight), tf.tanh(h));
    const wrap = (h: tf.Tensor, weight: tf.Tensor) => rematerialise(([a, b]) => layer(a!, b!), [h, weight]);
    const plain = tf.grads((a: tf.Tensor, b: tf.Tensor) => tf.sum(tf.square(layer(layer(a, b), b))))([x, w]);
    const again = tf.grads((a: tf.Tensor, b: tf.Tensor) => tf.sum(tf.square(wrap(wrap(a, b), b))))([x, w]);
    for (const i of [0, 1]) expectClose(again[i]!.dataSync(), plain[i]!.dataSync(), { atol: 1e-6 });
  });

  it("frees everything but results, taped or not", () => {
    const w = tf.variable(tf.tensor2d(normals(1, 16), [4, 4]));
    const x = tf.tensor2d(normals(2, 8), [2, 4]);
    const loss = () => {
      const h = rematerialise(
        ([a, b], [ones]) => swiglu(tf.matMul(a!, b!), rmsNorm(a!, ones!, 1e-5)),
        [x, w],
        [tf.ones([4])],
      );
      const { logprobs } = tokenLogprobs(
        h as tf.Tensor2D,
        w as unknown as tf.Tensor2D,
        tf.tensor1d([1, 2], "int32"),
        {
          layout: "vh",
          temperature: 1,
          weightGradient: true,
          sliceTokens: 1,
        },
      );
      return tf.sum(logprobs) as tf.Scalar;
    };
    const step = () => tf.tidy(() => void tf.variableGrads(loss));
    step();
    expect(newTensors(step)).toBe(0);
    expect(newTensors(() => tf.tidy(() => void loss()))).toBe(0);
    w.dispose();
  });
});
