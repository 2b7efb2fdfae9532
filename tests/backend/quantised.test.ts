/** Matrices held as codes and scales: programs compute what they would with the float32 that these stand for. */
import * as tf from "@tensorflow/tfjs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { frozenTensor, heldBytes } from "../../src/backend/frozen.ts";
import { type QuantisedForm, quantisedBytes, quantisedTensor } from "../../src/backend/quantised.ts";
import * as hlo from "../../src/backend/stablehlo/hlo.ts";
import type { LazyBackend } from "../../src/backend/stablehlo/lazy-backend.ts";
import { startLazyBackend } from "../../src/backend/xla/start.ts";
import { dequantised, quantised } from "../../src/policy/quantised.ts";
import { optionalPart } from "../helpers/optional.ts";
import { normals } from "../helpers/tensors.ts";
import { openTestExecutor, type Watched, watched, xlaHere, xlaMissing } from "../helpers/xla.ts";

let watch: Watched | null = null;
let backend: LazyBackend;
afterAll(() => watch?.executor.close());

/** A quantised matrix [rows, columns], and the same numbers. */
function pair(form: QuantisedForm, rows: number, columns: number) {
  const matrix = quantised(form, normals(rows, rows * columns), rows, columns);
  return { matrix, values: dequantised(matrix), held: quantisedTensor(matrix, false) as tf.Tensor2D };
}

/** Largest difference, in parts of the largest number. */
function gap(got: tf.Tensor, want: tf.Tensor): number {
  return tf.tidy(() => tf.div(tf.max(tf.abs(tf.sub(got, want))), tf.max(tf.abs(want))).dataSync()[0]!);
}

optionalPart(
  "quantised matrices",
  xlaHere,
  xlaMissing,
)(() => {
  beforeAll(async () => {
    watch = watched(openTestExecutor());
    backend = await startLazyBackend(watch.executor);
  });

  it.each(["q8_0", "q4_0", "nf4"] as const)(
    "%s reads, copies and gathers as the numbers it stands for",
    (form) => {
      const { values, held } = pair(form, 40, 64);
      const before = watch!.live();
      expect(held.dtype).toBe("float32");
      expect(held.dataSync()).toEqual(values);
      const copy = tf.clone(held);
      expect(quantisedBytes(copy)).toBe(quantisedBytes(held));
      expect(copy.dataSync()).toEqual(values);
      copy.dispose();
      const ids = [3, 39, 3, 0, 20, 19];
      const rows = tf.tidy(() => tf.gather(held, tf.tensor1d(ids, "int32")).arraySync()) as number[][];
      expect(rows).toEqual(ids.map((id) => [...values.slice(64 * id, 64 * id + 64)]));
      const doubled = tf.tidy(() => tf.mul(held, 2).dataSync());
      expect(doubled).toEqual(values.map((x) => 2 * x));
      const bits = form === "q8_0" ? 8 : 4;
      const scales = form === "nf4" ? 4 / 64 : 2 / 32;
      expect(heldBytes(held)).toBe(40 * 64 * (bits / 8 + scales));
      expect(watch!.live()).toBe(before);
      held.dispose();
      expect(watch!.live()).toBe(before - 2);
    },
  );

  it("reads without waiting", async () => {
    const { values, held } = pair("q4_0", 40, 64);
    const before = watch!.live();
    expect(await held.data()).toEqual(values);
    expect(watch!.live()).toBe(before);
    held.dispose();
  });

  // 2^19 numbers a tile: one tile; several; and rows that no number of tiles divides, so that the last two overlap
  it.each([
    ["q8_0", 48, 64],
    ["q4_0", 48, 64],
    ["nf4", 48, 64],
    ["q8_0", 1501, 512],
    ["q4_0", 3002, 512],
    ["nf4", 3002, 512],
  ] as const)("%s [%i, %i]: products from both sides, and their gradients", (form, rows, columns) => {
    const { matrix, values, held } = pair(form, rows, columns);
    const turned = quantisedTensor(matrix, true) as tf.Tensor2D;
    expect(turned.shape).toEqual([columns, rows]);
    const whole = tf.tensor2d(values, [rows, columns]);
    const flipped = tf.transpose(whole) as tf.Tensor2D;
    const x = tf.tensor2d(normals(5, 3 * columns), [3, columns]);
    const y = tf.tensor2d(normals(6, 3 * rows), [3, rows]);
    tf.tidy(() => tf.add(flipped, tf.add(tf.sum(x), tf.sum(y))).dataSync());
    const from = watch!.modules.length;
    const products = (w: tf.Tensor2D, t: tf.Tensor2D) =>
      tf.tidy(() => {
        const upright = tf.transpose(x) as tf.Tensor2D;
        const results = [
          tf.matMul(y, w),
          tf.matMul(x, w, false, true),
          tf.matMul(x, t),
          tf.matMul(y, t, false, true),
          tf.matMul(upright, w, true, true),
          tf.grad((a: tf.Tensor) => tf.sum(tf.square(tf.matMul(a as tf.Tensor2D, t))))(x),
        ];
        for (const result of results) result.dataSync();
        return results;
      });
    const got = products(held, turned);
    const texts = watch!.modules.slice(from).join("\n");
    const want = products(whole, flipped);
    for (const [i, result] of got.entries()) expect(gap(result, want[i]!)).toBeLessThan(1e-5);
    // no program takes the matrix in float32, nor makes all of a large one
    expect(texts.includes("stablehlo.while")).toBe(true);
    if (rows > 48) expect(texts.includes(`tensor<${rows}x${columns}xf32>`)).toBe(false);
    tf.dispose([held, turned, whole, flipped, x, y, got, want]);
  });

  it("where products round to bf16 both round the same numbers", () => {
    const { values, held } = pair("q4_0", 96, 64);
    const whole = tf.tensor2d(values, [96, 64]);
    const x = tf.tensor2d(normals(7, 3 * 64), [3, 64]);
    backend.withPrecision("bf16", () => {
      const [got, want] = tf.tidy(() => [tf.matMul(x, held, false, true), tf.matMul(x, whole, false, true)]);
      expect(gap(got!, want!)).toBeLessThan(1e-6);
      tf.dispose([got!, want!]);
    });
    tf.dispose([held, whole, x]);
  });

  // 512: a matrix would fit into one tile, and a loop of one turn is none; 1024: it would not
  it.each([
    ["q8_0", 512, 3],
    ["nf4", 512, 3],
    ["q8_0", 1024, 1],
    ["q4_0", 1024, 1],
    ["nf4", 1024, 1],
  ] as const)(
    "%s: a loop over tokens holds a tile and not the six matrices [%i, ...] in float32",
    (form, rows, most) => {
      const columns = rows;
      const matrices = Array.from({ length: 6 }, () => pair(form, rows, columns).held);
      const x = backend.take(tf.ones([2, columns]));
      const turns = backend.changing(3, "tokens");
      const [, state] = hlo.whileLoop(
        [hlo.constant("f32", 0), x],
        ([turn]) => hlo.compare("LT", turn!, turns),
        ([turn, before]) => {
          let next = before!;
          tf.tidy(() => {
            for (const matrix of matrices)
              next = backend.take(tf.mul(tf.matMul(backend.tensor(next) as tf.Tensor2D, matrix), 1e-2));
          });
          return [hlo.shift(turn!, 1), next];
        },
      );
      const result = backend.tensor(state!);
      result.dataSync();
      const { memory } = watch!.last();
      // the library of TensorFlow does not say
      if (memory !== null) expect(memory.temporary).toBeLessThan(most * 4 * rows * columns);
      tf.dispose([...matrices, result]);
    },
  );

  it("a plain frozen tensor has no codes", () => {
    const plain = frozenTensor(normals(1, 64), [8, 8]);
    expect(quantisedBytes(plain)).toBeNull();
    expect(heldBytes(plain)).toBe(256);
    plain.dispose();
  });
});
