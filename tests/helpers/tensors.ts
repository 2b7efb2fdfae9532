/** Small tools for tests on tensors: backends, seeded values, float64 derivatives. */
import * as tf from "@tensorflow/tfjs";
import "@tensorflow/tfjs-backend-wasm";
import { expect } from "vitest";
import { installWasmKernels, uninstallWasmKernels } from "../../src/backend/wasm/install.ts";
import { createRng } from "../../src/lib/rng.ts";

/** Backends that every tensor test runs on: wasm as tfjs ships it, and with our kernels installed. */
export const testBackends = ["cpu", "wasm", "wasm with our kernels"] as const;

export async function useBackend(name: (typeof testBackends)[number]): Promise<void> {
  const backend = name === "cpu" ? "cpu" : "wasm";
  if (!(await tf.setBackend(backend)) || tf.getBackend() !== backend) {
    throw new Error(`backend ${backend} did not start`);
  }
  await tf.ready();
  if (backend !== "wasm") return;
  // the kernels are process-wide
  uninstallWasmKernels();
  if (name === "wasm with our kernels") installWasmKernels({ cblas: null });
}

/** Normal draws, the same for the same (seed, size). */
export function normals(seed: number, size: number, scale = 1): Float32Array {
  const rng = createRng(seed);
  return Float32Array.from({ length: size }, (_, i) => scale * rng.normal(i));
}

/** max |a - b| over atol + rtol * max |b|; throws with the worst index. */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { atol = 1e-5, rtol = 1e-5, what = "values" } = {},
): void {
  if (actual.length !== expected.length) {
    throw new Error(`${what}: ${actual.length} values, expected ${expected.length}`);
  }
  let largest = 0;
  let worst = 0;
  let difference = -1;
  for (let i = 0; i < expected.length; i++) {
    largest = Math.max(largest, Math.abs(expected[i]!));
    const d = Math.abs(actual[i]! - expected[i]!);
    if (!(d <= difference)) {
      difference = d;
      worst = i;
    }
  }
  if (expected.length > 0 && !(difference <= atol + rtol * largest)) {
    throw new Error(
      `${what}[${worst}] = ${actual[worst]}, expected ${expected[worst]} ` +
        `(off by ${difference}, allowed ${atol + rtol * largest})`,
    );
  }
}

/** |actual - expected| <= tolerance * max(1, |expected|), element by element: goldens of several sizes in one list. */
export function expectEach(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-5): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    expect(
      Math.abs(actual[i]! - expected[i]!),
      `element ${i}: ${actual[i]} vs ${expected[i]}`,
    ).toBeLessThanOrEqual(tolerance * Math.max(1, Math.abs(expected[i]!)));
  }
}

/** Central differences of a float64 function, one input element at a time. */
export function numericalGradient(
  fn: (x: Float64Array) => number,
  x: ArrayLike<number>,
  h = 1e-5,
): Float64Array {
  const point = Float64Array.from(x);
  return point.map((value, i) => {
    point[i] = value + h;
    const above = fn(point);
    point[i] = value - h;
    const below = fn(point);
    point[i] = value;
    return (above - below) / (2 * h);
  });
}

/** Tensors alive after `fn` beyond those before it. */
export function newTensors(fn: () => void): number {
  const before = tf.memory().numTensors;
  fn();
  return tf.memory().numTensors - before;
}
