/** Sums of rows by index in one order, as cards compute them, on the executor for the CPU. */
import * as tf from "@tensorflow/tfjs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { emitModule } from "../../../src/backend/stablehlo/emit.ts";
import type { LazyBackend } from "../../../src/backend/stablehlo/lazy-backend.ts";
import { orderedScatterAdd, sumByIndex } from "../../../src/backend/stablehlo/ordered-sums.ts";
import { startLazyBackend } from "../../../src/backend/xla/start.ts";
import { createRng } from "../../../src/lib/rng.ts";
import { optionalPart } from "../../helpers/optional.ts";
import { openTestExecutor, xlaHere, xlaMissing } from "../../helpers/xla.ts";

optionalPart(
  "ordered sums",
  xlaHere,
  xlaMissing,
)(() => {
  let backend: LazyBackend;
  beforeAll(async () => {
    backend = await startLazyBackend(openTestExecutor());
  });
  afterAll(() => tf.removeBackend("xla"));

  const sums = (rows: number, ids: readonly number[], x: Float32Array, width: number) => {
    const at = tf.tensor1d(ids as number[], "int32");
    const updates = tf.tensor2d(x, [ids.length, width]);
    const result = backend.tensor(orderedScatterAdd(backend, rows, backend.take(at), backend.take(updates)));
    const values = result.dataSync<"float32">();
    tf.dispose([at, updates, result]);
    return values;
  };

  it("agree with float64 at every size, with indices that come often, once, and from outside", () => {
    const rng = createRng(4).fork("ordered sums");
    const width = 3;
    for (const [n, count] of [1, 2, 3, 7, 8, 33, 100].entries()) {
      for (const rows of [1, 5, 600]) {
        const own = rng.fork(n, rows);
        const ids = Array.from({ length: count }, (_, i) => own.integer(rows + 2, i) - 1);
        const x = Float32Array.from({ length: count * width }, (_, i) => own.normal(1000 + i));
        const expected = new Float64Array(rows * width);
        for (const [i, id] of ids.entries()) {
          if (id < 0 || id >= rows) continue;
          for (let c = 0; c < width; c++) expected[id * width + c]! += x[i * width + c]!;
        }
        const got = sums(rows, ids, x, width);
        for (const [i, value] of expected.entries()) {
          expect(Math.abs(got[i]! - value), `${count} rows into ${rows}, element ${i}`).toBeLessThan(1e-5);
        }
      }
    }
  });

  it("add in pairs from the last: (a + b) + (c + d), a + (b + c)", () => {
    // in float32 1e8 + 1 is 1e8, so the order shows
    expect([...sums(2, [1, 1, 1, 1], Float32Array.of(1e8, 1, -1e8, 1), 1)]).toEqual([0, 0]);
    expect([...sums(2, [1, 0, 1, 1], Float32Array.of(1e8, 7, -1e8, 1), 1)]).toEqual([7, 0]);
    expect([...sums(2, [1, 0, 1, 1], Float32Array.of(1, 7, 1e8, -1e8), 1)]).toEqual([7, 1]);
  });

  it("are what cards use, and CPUs do without", () => {
    const card = Object.create(backend) as LazyBackend;
    Object.defineProperty(card, "executor", { value: { ...backend.executor, platform: "cuda" } });
    const sorts = (by: LazyBackend) => {
      const at = tf.tensor1d([1, 0, 1], "int32");
      const updates = tf.tensor2d([1, 2, 3], [3, 1]);
      const result = sumByIndex(by, 600, backend.take(at), backend.take(updates));
      tf.dispose([at, updates]);
      return emitModule([result], () => true).text.includes("stablehlo.sort");
    };
    expect([sorts(backend), sorts(card)]).toEqual([false, true]);
  });
});
