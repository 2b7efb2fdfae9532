import * as tf from "@tensorflow/tfjs";
import "@tensorflow/tfjs-backend-wasm";
import fc from "fast-check";
import { expect } from "vitest";
import { findCblas } from "../../src/backend/wasm/cblas.ts";
import { createRng } from "../../src/lib/rng.ts";

export async function startWasm(): Promise<void> {
  if (!(await tf.setBackend("wasm"))) throw new Error("the wasm backend did not start");
}

/** The machine's CBLAS, or null with the reason printed: tests that need one skip. */
export function cblasForTests() {
  const { library, tried } = findCblas();
  // a library that opens and computes wrongly is our fault until shown otherwise, no reason to skip
  const wrong = tried.find(({ reason }) => reason.includes("sgemm is wrong"));
  if (wrong) throw new Error(`${wrong.path}: ${wrong.reason}`);
  if (!library) {
    process.stderr.write(
      `no CBLAS here, its tests are skipped: ${tried.map(({ path, reason }) => `${path}: ${reason}`).join("; ")}\n`,
    );
  }
  return library;
}

/** Numbers in (-2, 2), the same for one seed. */
export function noise(size: number, seed: number): Float32Array {
  const rng = createRng(seed);
  return Float32Array.from({ length: size }, (_, i) => 4 * rng.uniform(i) - 2);
}

export const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });
/** Mostly small, with 0, odd sizes and multiples of the vector width. */
export const sizes = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constantFrom(12, 16, 17, 31, 33, 40));

/** |got - want| <= relative * |want| + absolute, element by element. */
export function expectClose(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  { relative = 2e-6, absolute = 2e-6 } = {},
): void {
  expect(got.length).toBe(want.length);
  for (let i = 0; i < want.length; i++) {
    const error = Math.abs(got[i]! - want[i]!);
    if (!(error <= relative * Math.abs(want[i]!) + absolute)) {
      expect.fail(`element ${i} of ${want.length}: ${got[i]} instead of ${want[i]}`);
    }
  }
}

export { tf };
