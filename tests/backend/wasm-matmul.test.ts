import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { rmsNorm } from "../../src/backend/ops.ts";
import { installWasmKernels, uninstallWasmKernels } from "../../src/backend/wasm/install.ts";
import { cblasForTests, expectClose, noise, seeds, sizes, startWasm, tf } from "./wasm-support.ts";

const cblas = cblasForTests();
cblas?.setThreads(1);

/** Batch shapes that broadcast: both sides and the result. */
const batches = fc.constantFrom<{ a: number[]; b: number[]; out: number[] }[]>(
  { a: [], b: [], out: [] },
  { a: [3], b: [3], out: [3] },
  { a: [2, 3], b: [2, 3], out: [2, 3] },
  { a: [1], b: [4], out: [4] },
  { a: [4], b: [1], out: [4] },
  { a: [], b: [3], out: [3] },
  { a: [3], b: [], out: [3] },
  { a: [2, 1], b: [1, 3], out: [2, 3] },
  { a: [3, 1, 2], b: [2, 2], out: [3, 2, 2] },
  { a: [0], b: [1], out: [0] },
);

const product = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** Index of a broadcast operand's matrix for result matrix `index`. */
function operandIndex(index: number, own: readonly number[], out: readonly number[]): number {
  let rest = index;
  let result = 0;
  let stride = 1;
  for (let axis = 1; axis <= out.length; axis++) {
    const at = rest % out[out.length - axis]!;
    rest = Math.floor(rest / out[out.length - axis]!);
    const size = own[own.length - axis] ?? 1;
    if (size > 1) result += at * stride;
    stride *= size;
  }
  return result;
}

interface Case {
  batch: { a: number[]; b: number[]; out: number[] };
  m: number;
  n: number;
  k: number;
  transA: boolean;
  transB: boolean;
  seed: number;
}

/** The product in float64, and what tfjs gives for it. */
function bothProducts({ batch, m, n, k, transA, transB, seed }: Case) {
  const x = noise(product(batch.a) * m * k, seed);
  const y = noise(product(batch.b) * k * n, seed + 1);
  const want = new Float64Array(product(batch.out) * m * n);
  for (let q = 0; q < product(batch.out); q++) {
    const xAt = operandIndex(q, batch.a, batch.out) * m * k;
    const yAt = operandIndex(q, batch.b, batch.out) * k * n;
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let p = 0; p < k; p++) {
          sum += x[xAt + (transA ? p * m + i : i * k + p)]! * y[yAt + (transB ? j * k + p : p * n + j)]!;
        }
        want[(q * m + i) * n + j] = sum;
      }
    }
  }
  const got = tf.tidy(() => {
    const a = tf.tensor(x, [...batch.a, ...(transA ? [k, m] : [m, k])]);
    const b = tf.tensor(y, [...batch.b, ...(transB ? [n, k] : [k, n])]);
    const c = tf.matMul(a, b, transA, transB);
    return { shape: c.shape, values: c.dataSync() };
  });
  return { want, got };
}

function check(sample: Case): void {
  const { want, got } = bothProducts(sample);
  expect(got.shape).toEqual([...sample.batch.out, sample.m, sample.n]);
  expectClose(got.values, want, { relative: 1e-6, absolute: 1e-6 * (4 + sample.k) });
}

const engines = [
  { name: "own kernel with fused multiply-add", options: { cblas: null } },
  { name: "own kernel, plain SIMD", options: { cblas: null, relaxed: false } },
  ...(cblas ? [{ name: "CBLAS", options: { cblas } }] : []),
];

beforeAll(startWasm);
afterAll(uninstallWasmKernels);

describe.each(engines)("BatchMatMul by $name", ({ options }) => {
  beforeAll(() => {
    const { matmul } = installWasmKernels(options);
    expect(matmul).toBe(options.cblas ? "cblas" : "simd");
  });

  it("agrees with float64 over random shapes, transpositions and batches", () => {
    const sample = fc.record({
      batch: batches,
      m: sizes,
      n: sizes,
      k: sizes,
      transA: fc.boolean(),
      transB: fc.boolean(),
      seed: seeds,
    });
    fc.assert(fc.property(sample, check), { numRuns: 250 });
  });

  it("agrees with float64 where products are split into blocks of k and n", () => {
    for (const [m, n, k] of [
      [70, 81, 77],
      [37, 530, 300],
      [130, 24, 600],
      [5, 1030, 257],
    ] as const) {
      for (const transA of [false, true]) {
        for (const transB of [false, true]) {
          check({ batch: { a: [], b: [], out: [] }, m, n, k, transA, transB, seed: m + n });
        }
      }
    }
  });

  it("gives zeros for an empty inner dimension, whatever lay there before", () => {
    tf.fill([7, 9], 5).dispose();
    const c = tf.tidy(() => tf.matMul(tf.zeros([7, 0]), tf.zeros([0, 9])).dataSync());
    expect([...c]).toEqual(new Array(63).fill(0));
  });

  it("survives growth of the heap between inputs and output", () => {
    const big = tf.zeros([20, 1024, 1024]); // 80 MiB: more than the heap starts with
    check({ batch: { a: [2], b: [2], out: [2] }, m: 90, n: 70, k: 80, transA: false, transB: true, seed: 5 });
    const left = tf.ones([3000, 64]);
    const right = tf.ones([64, 3000]);
    const sum = tf.tidy(() => tf.matMul(left, right).sum().dataSync()[0]); // output of 36 MB
    expect(sum).toBe(3000 * 3000 * 64);
    tf.dispose([big, left, right]);
  });

  it("refuses what it cannot multiply", () => {
    expect(() => tf.matMul(tf.zeros([2, 3], "int32"), tf.zeros([3, 2], "int32"))).toThrow(/float32/);
    expect(() => tf.matMul(tf.zeros([2, 3]), tf.zeros([4, 2]))).toThrow(/inner sizes of \[2,3\] and \[4,2/);
  });

  it("leaves no tensors behind", () => {
    tf.disposeVariables();
    const before = tf.memory();
    for (let i = 0; i < 20; i++) tf.tidy(() => tf.matMul(tf.ones([3, 5, 7]), tf.ones([1, 7, 4])).dataSync());
    expect(tf.memory().numTensors).toBe(before.numTensors);
    expect(tf.memory().numBytes).toBe(before.numBytes);
  });
});

describe("own kernel", () => {
  it("gives a row the same bits whatever the rows around it, and whatever the batch", () => {
    installWasmKernels({ cblas: null });
    const shapes = fc.record({
      n: fc.integer({ min: 1, max: 90 }),
      k: fc.integer({ min: 1, max: 600 }),
      transB: fc.boolean(),
      row: fc.integer({ min: 0, max: 39 }),
      seed: seeds,
    });
    fc.assert(
      fc.property(shapes, ({ n, k, transB, row, seed }) => {
        const x = noise(40 * k, seed);
        const y = noise(k * n, seed + 1);
        tf.tidy(() => {
          const b = tf.tensor(y, transB ? [n, k] : [k, n]);
          const all = tf.matMul(tf.tensor(x, [40, k]), b, false, transB).dataSync();
          const alone = tf.matMul(tf.tensor(x.slice(row * k, (row + 1) * k), [1, k]), b, false, transB);
          expect([...alone.dataSync()]).toEqual([...all.slice(row * n, (row + 1) * n)]);
        });
      }),
      { numRuns: 60 },
    );
  });

  it("gives tfjs its kernels back, and takes its own away", () => {
    const kernels = () =>
      new Map(tf.getKernelsForBackend("wasm").map(({ kernelName, kernelFunc }) => [kernelName, kernelFunc]));
    uninstallWasmKernels();
    const stock = kernels();
    installWasmKernels({ cblas: null });
    const ours = kernels();
    const added = [...ours.keys()].filter((name) => !stock.has(name));
    expect(added).toContain("RlptRmsNorm");
    expect(added.filter((name) => !name.startsWith("Rlpt"))).toEqual([]);
    expect([...stock.keys()].filter((name) => ours.get(name) !== stock.get(name))).toContain("BatchMatMul");
    const x = tf.tensor2d([3, 4], [1, 2]);
    // 3 and 4 over the root of their mean square, 12.5
    const normal = rmsNorm(x, tf.tensor1d([1, 2]), 0).dataSync();
    expect([...normal]).toEqual([
      expect.closeTo(3 / Math.sqrt(12.5), 6),
      expect.closeTo(8 / Math.sqrt(12.5), 6),
    ]);
    uninstallWasmKernels();
    expect(kernels()).toEqual(stock);
  });

  it("wants the wasm backend", async () => {
    await tf.setBackend("cpu");
    try {
      expect(() => installWasmKernels({ cblas: null })).toThrow(/current backend is cpu/);
    } finally {
      await startWasm();
    }
  });
});
