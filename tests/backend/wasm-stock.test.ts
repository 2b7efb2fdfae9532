import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { installWasmKernels, uninstallWasmKernels } from "../../src/backend/wasm/install.ts";
import { expectClose, noise, seeds, startWasm, tf } from "./wasm-support.ts";

beforeAll(startWasm);
beforeEach(() => {
  installWasmKernels({ cblas: null });
});
afterAll(uninstallWasmKernels);

const product = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const dims = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 4 });
const dtypes = fc.constantFrom<("float32" | "int32" | "bool")[]>("float32", "int32", "bool");

function tensorOf(shape: number[], dtype: "float32" | "int32" | "bool", seed: number): tf.Tensor {
  const values = noise(product(shape), seed);
  if (dtype === "float32") return tf.tensor(values, shape);
  if (dtype === "int32")
    return tf.tensor(
      Int32Array.from(values, (v) => Math.round(v * 100)),
      shape,
      "int32",
    );
  return tf.tensor(
    Uint8Array.from(values, (v) => (v > 0 ? 1 : 0)),
    shape,
    "bool",
  );
}

/** What tfjs's own kernels give for `fn` must be what ours give, to the bit. */
function expectLikeStock(fn: () => tf.Tensor): void {
  const read = () =>
    tf.tidy(() => {
      const result = fn();
      return { shape: result.shape, dtype: result.dtype, values: [...result.dataSync()] };
    });
  installWasmKernels({ cblas: null });
  const before = tf.memory().numDataBuffers;
  const ours = read();
  expect(tf.memory().numDataBuffers).toBe(before);
  uninstallWasmKernels();
  expect(ours).toEqual(read());
}

describe("kernels that replace tfjs's own", () => {
  it("slice, transpose, concat, gather and clone move the same values", () => {
    const sample = fc.record({ shape: dims, dtype: dtypes, seed: seeds });
    fc.assert(
      fc.property(sample, fc.infiniteStream(fc.nat(1000)), ({ shape, dtype, seed }, stream) => {
        const pick = (bound: number) => (stream.next().value as number) % bound;
        const begin = shape.map((size) => pick(size + 1));
        const size = shape.map((extent, axis) => (pick(4) === 0 ? -1 : pick(extent - begin[axis]! + 1)));
        const order = shape.map((_, axis) => axis);
        for (let i = order.length - 1; i > 0; i--) {
          const j = pick(i + 1);
          [order[i], order[j]] = [order[j]!, order[i]!];
        }
        const axis = pick(shape.length);
        const other = shape.map((extent, i) => (i === axis ? pick(4) : extent));
        expectLikeStock(() => tf.slice(tensorOf(shape, dtype, seed), begin, size));
        expectLikeStock(() => tf.clone(tensorOf(shape, dtype, seed)));
        expectLikeStock(() =>
          tf.concat([tensorOf(shape, dtype, seed), tensorOf(other, dtype, seed + 1)], axis),
        );
        const cut = pick(shape[axis]! + 1);
        for (const part of [0, 1]) {
          expectLikeStock(() => {
            const parts = tf.split(tensorOf(shape, dtype, seed), [cut, shape[axis]! - cut], axis);
            return parts[part]!;
          });
        }
        if (product(shape) > 0) {
          // tfjs's own transposition and gather fail on empty tensors
          expectLikeStock(() => tf.transpose(tensorOf(shape, dtype, seed), order));
          const ids = Array.from({ length: pick(6) }, () => pick(shape[0]!));
          expectLikeStock(() => tf.gather(tensorOf(shape, dtype, seed), tf.tensor1d(ids, "int32")));
        }
      }),
      { numRuns: 150 },
    );
  });

  it("heads and tokens change places as in attention", () => {
    expectLikeStock(() => tf.transpose(tensorOf([3, 7, 4, 5], "float32", 1), [0, 2, 1, 3]));
    expectLikeStock(() => tf.transpose(tensorOf([3, 1, 4, 5], "float32", 1), [0, 2, 1, 3]));
    expectLikeStock(() => tf.transpose(tensorOf([130, 3, 200], "float32", 1), [1, 0, 2]));
    expectLikeStock(() => tf.slice(tensorOf([5, 3], "float32", 1), [0, 1], [-1, 1]));
  });

  it("empty tensors are transposed and gathered", () => {
    expect(tf.transpose(tf.zeros([2, 0, 3]), [2, 1, 0]).shape).toEqual([3, 0, 2]);
    expect(tf.gather(tf.zeros([2, 0]), tf.tensor1d([1, 0, 1], "int32")).shape).toEqual([3, 0]);
  });

  it("a clone shares its values and survives the original", () => {
    const x = tf.tensor1d([1, 2, 3]);
    const buffers = tf.memory().numDataBuffers;
    const copy = x.clone();
    const turned = tf.transpose(x.reshape([1, 3])) as tf.Tensor2D; // [3, 1]: no value moves
    expect(tf.memory().numDataBuffers).toBe(buffers);
    x.dispose();
    tf.zeros([3]).dispose();
    expect([...copy.dataSync()]).toEqual([1, 2, 3]);
    copy.dispose();
    expect([...turned.dataSync()]).toEqual([1, 2, 3]);
    turned.dispose();
  });

  it("a variable keeps its value while a clone of the old one lives", () => {
    const v = tf.variable(tf.tensor1d([1, 2, 3]));
    const old = v.clone();
    v.assign(tf.tensor1d([4, 5, 6]));
    expect([...old.dataSync()]).toEqual([1, 2, 3]);
    expect([...v.dataSync()]).toEqual([4, 5, 6]);
    tf.dispose([v, old]);
  });

  it("gather refuses an index outside", () => {
    expect(() => tf.gather(tf.zeros([3, 2]), tf.tensor1d([0, 3], "int32"))).toThrow(
      "index 3 at position 1 is outside [0, 3)",
    );
    expect(() => tf.gather(tf.zeros([3, 2]), tf.tensor1d([-1], "int32"))).toThrow("index -1");
  });

  it("add, subtract, multiply and divide broadcast as numpy does", () => {
    const shapes = fc.tuple(
      dims,
      fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
      fc.nat(4),
      fc.boolean(),
    );
    const operations = [
      { op: tf.add, want: (x: number, y: number) => x + y },
      { op: tf.sub, want: (x: number, y: number) => x - y },
      { op: tf.mul, want: (x: number, y: number) => x * y },
      { op: tf.div, want: (x: number, y: number) => x / y },
    ];
    fc.assert(
      fc.property(shapes, seeds, ([large, ones, drop, swap], seed) => {
        const small = large.map((size, axis) => (ones[axis] ? 1 : size)).slice(Math.min(drop, large.length));
        const at = (index: number) => {
          let rest = index;
          let stride = 1;
          let result = 0;
          for (let axis = 1; axis <= large.length; axis++) {
            const extent = large[large.length - axis]!;
            const own = small[small.length - axis] ?? 1;
            if (own > 1) result += (rest % extent) * stride;
            rest = Math.floor(rest / extent);
            stride *= own;
          }
          return result;
        };
        const x = noise(product(large), seed);
        const y = noise(product(small), seed + 1).map((value) => value + Math.sign(value)); // not near zero
        for (const { op, want } of operations) {
          const expected = Array.from(x, (value, i) =>
            swap ? want(y[at(i)]!, value) : want(value, y[at(i)]!),
          );
          const [left, right] = swap
            ? [tf.tensor(y, small), tf.tensor(x, large)]
            : [tf.tensor(x, large), tf.tensor(y, small)];
          const got = op(left, right);
          expectClose(got.dataSync(), Float32Array.from(expected), { relative: 2e-7, absolute: 0 });
          tf.dispose([left, right, got]);
        }
      }),
      { numRuns: 200 },
    );
    expectLikeStock(() => tf.add(tensorOf([3, 2], "int32", 1), tensorOf([2], "int32", 2)));
    expectLikeStock(() => tf.mul(tensorOf([3, 1, 2], "float32", 1), tensorOf([4, 1], "float32", 2)));
  });

  it("exp is within two units in the last place over the whole range", () => {
    const x = Float32Array.from({ length: 40_003 }, (_, i) => -90 + (180 * i) / 40_002);
    const y = tf.tidy(() => tf.exp(tf.tensor1d(x)).dataSync());
    const bits = (value: number) => new Int32Array(Float32Array.of(value).buffer)[0]!;
    for (let i = 0; i < x.length; i++) {
      const want = Math.fround(Math.exp(x[i]!));
      if (x[i]! < -86.9) expect(y[i]).toBe(0);
      else if (Math.abs(bits(y[i]!) - bits(want)) > 2) expect.fail(`exp(${x[i]}) = ${y[i]}, not ${want}`);
    }
    const special = tf.tidy(() => tf.exp(tf.tensor1d([0, Number.NaN, Infinity, -Infinity, 88.7])).dataSync());
    expect([...special.slice(0, 4)]).toEqual([1, Number.NaN, Infinity, 0]);
    expect(special[4]).toBeGreaterThan(3.3e38);
    expect(special[4]).toBeLessThan(3.4029e38);
  });

  it("sigmoid, square, softmax and sums agree with float64", () => {
    fc.assert(
      fc.property(dims, seeds, fc.nat(4), fc.boolean(), fc.boolean(), (shape, seed, count, leading, keep) => {
        const x = noise(product(shape), seed);
        const axes = shape.map((_, axis) => axis);
        const summed = leading ? axes.slice(0, count) : axes.slice(Math.max(0, axes.length - count));
        const results = tf.tidy(() => {
          const t = tf.tensor(x, shape);
          return {
            sigmoid: tf.sigmoid(t).dataSync(),
            square: tf.square(t).dataSync(),
            softmax: tf.softmax(t).dataSync(),
            sum: tf.sum(t, summed, keep),
            values: tf.sum(t, summed, keep).dataSync(),
          };
        });
        expectClose(
          results.sigmoid,
          Float64Array.from(x, (v) => 1 / (1 + Math.exp(-v))),
        );
        expectClose(
          results.square,
          Float64Array.from(x, (v) => v * v),
        );
        const width = shape[shape.length - 1]!;
        const e = Float64Array.from(x, (v) => Math.exp(v));
        const share = e.map((v, i) => {
          const from = i - (i % width);
          return v / e.slice(from, from + width).reduce((a, b) => a + b, 0);
        });
        expectClose(results.softmax, share);
        const keptSize = product(shape.filter((_, axis) => !summed.includes(axis)));
        const want = new Float64Array(keptSize);
        const inner = leading ? keptSize : 1;
        const outer = keptSize === 0 ? 0 : x.length / keptSize;
        x.forEach((value, i) => {
          want[leading ? i % inner : Math.floor(i / outer)]! += value;
        });
        expect(results.sum.shape).toEqual(
          keep
            ? shape.map((size, axis) => (summed.includes(axis) ? 1 : size))
            : shape.filter((_, axis) => !summed.includes(axis)),
        );
        expectClose(results.values, want, { relative: 2e-6, absolute: 1e-5 });
      }),
      { numRuns: 150 },
    );
    expectLikeStock(() => tf.sum(tensorOf([2, 3, 4], "float32", 3), [1]));
  });

  it("long sums do not drift", () => {
    const total = tf.tidy(() => tf.sum(tf.fill([300_001], 0.1)).dataSync()[0]!);
    expect(Math.abs(total / (300_001 * Math.fround(0.1)) - 1)).toBeLessThan(2e-6);
    const columns = tf.tidy(() => tf.sum(tf.fill([50_001, 3], 0.1), 0).dataSync());
    for (const value of columns) {
      expect(Math.abs(value / (50_001 * Math.fround(0.1)) - 1)).toBeLessThan(1e-5); // row by row: 5e-4
    }
  });

  it("a full heap is an error with the fix, not silent damage", () => {
    const { wasm } = tf.backend() as unknown as {
      wasm: { _malloc(bytes: number): number; _free(pointer: number): void };
    };
    const held: number[] = [];
    expect(() => {
      for (let i = 0; i < 3; i++) held.push(wasm._malloc(3 * 2 ** 29)); // 1.5 GiB each, never touched
    }).toThrow(/wasm heap: 1536.0 MiB could not be allocated.*smaller micro-batches/);
    for (const pointer of held) wasm._free(pointer);
    expect(() => wasm._malloc(2 ** 32)).toThrow(/4096.0 MiB could not be allocated/); // wraps to 0 in the module
    expect([...tf.tidy(() => tf.add([1, 2], [3, 4]).dataSync())]).toEqual([4, 6]);
  });
});
