import fc from "fast-check";
import { it } from "vitest";
import { type Case, check, given, type Input, input } from "./cases.ts";
import { at, make, matmul, type Nd, reduced, sum } from "./reference.ts";

const product = (values: readonly number[]) => values.reduce((a, b) => a * b, 1);
const largest = (values: readonly number[]) => values.reduce((a, b) => Math.max(a, b), -Infinity);
const smallest = (values: readonly number[]) => values.reduce((a, b) => Math.min(a, b), Infinity);

const folds: Record<string, { fn: (values: number[]) => number; axis: string; bool?: true }> = {
  Sum: { fn: sum, axis: "axis" },
  Mean: { fn: (values) => sum(values) / values.length, axis: "axis" },
  Prod: { fn: product, axis: "axis" },
  Max: { fn: largest, axis: "reductionIndices" },
  Min: { fn: smallest, axis: "axis" },
  All: { fn: (values) => Number(values.every(Boolean)), axis: "axis", bool: true },
  Any: { fn: (values) => Number(values.some(Boolean)), axis: "axis", bool: true },
};

function fold(kernel: string, x: Input, axes: readonly number[], keepDims: boolean): Case {
  const { fn, axis } = folds[kernel]!;
  return {
    kernel,
    inputs: { x },
    attrs: { [axis]: axes.map((a, i) => (i % 2 ? a - x.shape.length : a)), keepDims },
    want: reduced(x, axes, keepDims, fn),
    dtype: kernel === "Mean" ? "float32" : x.dtype === "bool" && kernel === "Sum" ? "int32" : x.dtype,
    absolute: 1e-5,
    // negative axes are resolved by tfjs's operations
    cpu: false,
  };
}

function softmaxOf(x: Nd, log: boolean): Nd {
  const axes = [x.shape.length - 1];
  const max = reduced(x, axes, true, largest);
  const shifted = make(x.shape, (index) => at(x, index) - at(max, index));
  const total = reduced(shifted, axes, true, (values) => sum(values.map(Math.exp)));
  return make(x.shape, (index) => {
    const logp = at(shifted, index) - Math.log(at(total, index));
    return log ? logp : Math.exp(logp);
  });
}

function prefixes(x: Nd, axis: number, exclusive: boolean, reverse: boolean): Nd {
  return make(x.shape, (index) => {
    const own = index[axis]!;
    const before = (i: number) =>
      reverse ? (exclusive ? i > own : i >= own) : exclusive ? i < own : i <= own;
    return sum(
      Array.from({ length: x.shape[axis]! }, (_, i) => (before(i) ? at(x, index.with(axis, i)) : 0)),
    );
  });
}

export function reductionTests(): void {
  it("reductions over any axes of any shape", async () => {
    const one = fc.record({
      shape: fc.array(fc.constantFrom(1, 2, 3, 4), { maxLength: 4 }),
      axes: fc.nat(15),
      keep: fc.boolean(),
      pick: fc.nat(1000),
      whole: fc.boolean(),
      seed: fc.nat(10000),
    });
    const names = Object.keys(folds);
    await fc.assert(
      fc.asyncProperty(fc.array(one, { minLength: 28, maxLength: 28 }), (draws) =>
        check(
          draws.map(({ shape, axes, keep, whole, seed }, n) => {
            const kernel = names[n % names.length]!;
            const dtype = folds[kernel]!.bool ? "bool" : whole ? "int32" : "float32";
            return fold(
              kernel,
              input(shape, seed, dtype),
              shape.map((_, i) => i).filter((i) => (axes >> i) & 1),
              keep,
            );
          }),
        ),
      ),
      { numRuns: 3, seed: 3, endOnFailure: true },
    );
  });

  it("reductions at their edges: NaN, infinities, bools, nothing to reduce", async () => {
    const odd = given([1, NaN, 3, -Infinity, Infinity, 2, -1, -5, 4, NaN, NaN, NaN], "float32", [4, 3]);
    const bits = given([0, 0, 1, 0, 1, 1], "bool", [3, 2]);
    const none = input([0, 3], 1);
    await check([
      ...["Sum", "Max", "Min", "Mean", "Prod"].map((kernel) => ({
        ...fold(kernel, odd, [1], false),
        cpu: true,
      })),
      ...["All", "Any"].map((kernel) => ({ ...fold(kernel, bits, [1], false), cpu: true })),
      { ...fold("Sum", bits, [0], false), cpu: true },
      // whatever tfjs makes of them, they stay bools
      fold("Max", bits, [1], false),
      fold("Min", bits, [1], true),
      { ...fold("Prod", bits, [1], false), dtype: "int32" as const },
      fold("Mean", bits, [1], false),
      { ...fold("Sum", none, [0], false) },
      fold("Max", none, [0], false),
      fold("Prod", none, [0], true),
      ...(["ArgMax", "ArgMin"] as const).flatMap((kernel): Case[] => {
        const better = kernel === "ArgMax" ? largest : smallest;
        const first = (values: number[]) => {
          const missing = values.findIndex(Number.isNaN);
          return missing >= 0 ? missing : values.indexOf(better(values));
        };
        const ties = given([2, 5, 5, 1, 1, 3], "int32", [2, 3]);
        return [
          {
            kernel,
            inputs: { x: odd },
            attrs: { axis: 1 },
            want: reduced(odd, [1], false, first),
            dtype: "int32",
            cpu: false,
          },
          {
            kernel,
            inputs: { x: ties },
            attrs: { axis: 1 },
            want: reduced(ties, [1], false, first),
            dtype: "int32",
          },
          {
            kernel,
            inputs: { x: input([3, 1, 4], 8) },
            attrs: { axis: 0 },
            want: reduced(input([3, 1, 4], 8), [0], false, first),
            dtype: "int32",
          },
        ];
      }),
    ]);
  });

  it("softmax and log-softmax, far from zero and with excluded entries", async () => {
    const rows = [
      input([2, 3, 5], 4),
      given([1000, 1001, -1000, 0, -Infinity, 0], "float32", [2, 3]),
      input([4, 1], 2),
    ];
    await check(
      rows.flatMap((logits): Case[] => [
        {
          kernel: "Softmax",
          inputs: { logits },
          attrs: { dim: -1 },
          want: softmaxOf(logits, false),
          cpu: false,
        },
        {
          kernel: "LogSoftmax",
          inputs: { logits },
          attrs: { axis: logits.shape.length - 1 },
          want: softmaxOf(logits, true),
          cpu: false,
        },
      ]),
    );
  });

  it("matrix products: batched, broadcast, transposed, of integers, of nothing", async () => {
    const flags = [0, 1, 2, 3].map((n) => [n % 2 === 1, n >= 2] as const);
    const shaped = (batch: number[], rows: number, columns: number, flipped: boolean) =>
      flipped ? [...batch, columns, rows] : [...batch, rows, columns];
    const batches: [number[], number[]][] = [
      [[], []],
      [[2], [2]],
      [
        [2, 3],
        [2, 3],
      ],
      [[1], [3]],
      [
        [2, 1],
        [1, 3],
      ],
    ];
    const products = batches.flatMap(([left, right], n) =>
      flags.map(([transposeA, transposeB]): Case => {
        const a = input(shaped(left, 4, 5, transposeA), n);
        const b = input(shaped(right, 5, 3, transposeB), n + 20);
        return {
          kernel: "BatchMatMul",
          inputs: { a, b },
          attrs: { transposeA, transposeB },
          want: matmul(a, b, transposeA, transposeB),
          absolute: 1e-5,
          // tfjs's own has rank 3 and more, and is wrong where both sides are broadcast
          cpu: left.length > 0 && !(left.includes(1) && right.includes(1)),
        };
      }),
    );
    const [a, b, bias] = [input([3, 5], 30), input([5, 4], 31), input([4], 32)];
    const plain = matmul(a, b, false, false);
    const whole = [input([1, 3, 4], 40, "int32"), input([1, 4, 2], 41, "int32")] as const;
    const none = [input([1, 3, 0], 1), input([1, 0, 2], 2)] as const;
    const attrs = { transposeA: false, transposeB: false };
    await check([
      ...products,
      {
        kernel: "BatchMatMul",
        inputs: { a: whole[0], b: whole[1] },
        attrs,
        want: matmul(...whole, false, false),
        dtype: "int32",
      },
      {
        kernel: "BatchMatMul",
        inputs: { a: none[0], b: none[1] },
        attrs,
        want: matmul(...none, false, false),
      },
      {
        kernel: "_FusedMatMul",
        inputs: { a, b, bias },
        attrs: { ...attrs, activation: "linear" },
        want: make([3, 4], (index) => at(plain, index) + bias.values[index[1]!]!),
        absolute: 1e-5,
      },
      { kernel: "_FusedMatMul", inputs: { a, b }, attrs, want: plain, absolute: 1e-5, cpu: false },
    ]);
  });

  it("sums of prefixes, also beside infinities", async () => {
    const x = input([3, 7], 6);
    const flags = [0, 1, 2, 3].map((n) => ({ exclusive: n % 2 === 1, reverse: n >= 2 }));
    const edge = given([1, 2, Infinity, 1]);
    const whole = given([5, -2, 2 ** 30, 3], "int32");
    await check([
      ...flags.map(
        ({ exclusive, reverse }): Case => ({
          kernel: "Cumsum",
          inputs: { x },
          attrs: { axis: 1, exclusive, reverse },
          want: prefixes(x, 1, exclusive, reverse),
          absolute: 1e-5,
        }),
      ),
      {
        kernel: "Cumsum",
        inputs: { x },
        attrs: { axis: 0, exclusive: false, reverse: false },
        want: prefixes(x, 0, false, false),
        absolute: 1e-5,
      },
      {
        kernel: "Cumsum",
        inputs: { x: edge },
        attrs: { axis: 0, exclusive: true, reverse: false },
        want: given([0, 1, 3, Infinity]),
      },
      {
        kernel: "Cumsum",
        inputs: { x: whole },
        attrs: { axis: 0, exclusive: false, reverse: false },
        want: prefixes(whole, 0, false, false),
        dtype: "int32",
      },
    ]);
  });
}
