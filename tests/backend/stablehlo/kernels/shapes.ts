import fc from "fast-check";
import { it } from "vitest";
import { type Case, check, given, input } from "./cases.ts";
import { at, indices, make, type Nd, sum } from "./reference.ts";

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

function concatenated(parts: readonly Nd[], axis: number): Nd {
  const shape = [...parts[0]!.shape];
  shape[axis] = sum(parts.map((part) => part.shape[axis]!));
  return make(shape, (index) => {
    let left = index[axis]!;
    const part = parts.find((one) => {
      if (left < one.shape[axis]!) return true;
      left -= one.shape[axis]!;
      return false;
    })!;
    return at(part, index.with(axis, left));
  });
}

const sliced = (x: Nd, begin: readonly number[], size: readonly number[]) =>
  make(size, (index) =>
    at(
      x,
      index.map((n, i) => n + begin[i]!),
    ),
  );

/** One case from a random shape and a few random numbers. */
const builders: ((shape: number[], numbers: number[], seed: number) => Case)[] = [
  (shape, [a], seed) => {
    const x = input(shape, seed);
    const order = range(shape.length).sort((i, j) => ((i * 7 + a!) % 5) - ((j * 7 + a!) % 5));
    const want = make(
      order.map((p) => shape[p]!),
      (index) => {
        const from: number[] = [];
        for (const [i, p] of order.entries()) from[p] = index[i]!;
        return at(x, from);
      },
    );
    return { kernel: "Transpose", inputs: { x }, attrs: { perm: order }, want };
  },
  (shape, numbers, seed) => {
    const x = input(shape, seed, "int32");
    const begin = shape.map((n, i) => numbers[i % 3]! % (n + 1));
    const size = shape.map((n, i) => (n - begin[i]!) % ((numbers[(i + 1) % 3]! % 4) + 1));
    return {
      kernel: "Slice",
      inputs: { x },
      attrs: { begin, size },
      want: sliced(x, begin, size),
      dtype: "int32",
    };
  },
  (shape, [a, b], seed) => {
    const axis = a! % shape.length;
    const parts = [shape, shape.with(axis, b! % 3), shape].map((one, i) => input(one, seed + i));
    return {
      kernel: "Concat",
      inputs: parts,
      attrs: { axis: a! % 2 ? axis : axis - shape.length },
      want: concatenated(parts, axis),
    };
  },
  (shape, [a], seed) => {
    const parts = [0, 1, 2].map((i) => input(shape, seed + i));
    const axis = a! % (shape.length + 1);
    const put = (x: Nd): Nd => ({ ...x, shape: shape.toSpliced(axis, 0, 1) });
    return { kernel: "Pack", inputs: parts, attrs: { axis }, want: concatenated(parts.map(put), axis) };
  },
  (shape, [a, b], seed) => {
    const axis = a! % shape.length;
    const x = input(shape, seed);
    const first = b! % (shape[axis]! + 1);
    const sizes = [first, shape[axis]! - first];
    const begin = (n: number) => shape.map((_, i) => (i === axis ? n : 0));
    return {
      kernel: "SplitV",
      inputs: { x },
      attrs: { numOrSizeSplits: sizes, axis },
      want: [
        sliced(x, begin(0), shape.with(axis, sizes[0]!)),
        sliced(x, begin(first), shape.with(axis, sizes[1]!)),
      ],
    };
  },
  (shape, [a], seed) => {
    const axis = a! % shape.length;
    const own = shape.with(axis, 2);
    const value = input(own, seed);
    return {
      kernel: "Unpack",
      inputs: { value },
      attrs: { axis: axis - own.length },
      want: [0, 1].map((n) => ({
        shape: own.toSpliced(axis, 1),
        values: sliced(
          value,
          own.map((_, i) => (i === axis ? n : 0)),
          own.with(axis, 1),
        ).values,
      })),
    };
  },
  (shape, numbers, seed) => {
    const x = input(shape, seed);
    const paddings = shape.map((_, i) => [numbers[i % 3]! % 3, numbers[(i + 1) % 3]! % 2] as const);
    const want = make(
      shape.map((n, i) => n + paddings[i]![0] + paddings[i]![1]),
      (index) => {
        const own = index.map((n, i) => n - paddings[i]![0]);
        return own.every((n, i) => n >= 0 && n < shape[i]!) ? at(x, own) : -1.5;
      },
    );
    return { kernel: "PadV2", inputs: { x }, attrs: { paddings, constantValue: -1.5 }, want };
  },
  (shape, [a], seed) => {
    const x = input(shape, seed);
    const dims = range(shape.length).filter((i) => (a! >> i) & 1);
    const want = make(shape, (index) =>
      at(
        x,
        index.map((n, i) => (dims.includes(i) ? shape[i]! - 1 - n : n)),
      ),
    );
    return { kernel: "Reverse", inputs: { x }, attrs: { dims }, want };
  },
  (shape, numbers, seed) => {
    const x = input(shape, seed);
    const reps = shape.map((_, i) => (numbers[i % 3]! % 3) + 1);
    const want = make(
      shape.map((n, i) => n * reps[i]!),
      (index) =>
        at(
          x,
          index.map((n, i) => n % shape[i]!),
        ),
    );
    return { kernel: "Tile", inputs: { x }, attrs: { reps }, want };
  },
  (shape, [a], seed) => {
    const x = input(
      shape.map((n, i) => ((a! >> i) & 1 ? 1 : n)),
      seed,
    );
    const to = [2, ...shape];
    return {
      kernel: "BroadcastTo",
      inputs: { x },
      attrs: { shape: to },
      want: make(to, (index) => at(x, index)),
      cpu: false, // tf.broadcastTo calls Tile
    };
  },
  (shape, [a, b], seed) => {
    const axis = a! % shape.length;
    const x = input(shape.with(axis, 3), seed);
    const ids = given([2, 0, b! % 3, 1, 2, 0], "int32", b! % 2 ? [2, 3] : [6]);
    const want = make([...x.shape.slice(0, axis), ...ids.shape, ...x.shape.slice(axis + 1)], (index) => {
      const row = at(ids, index.slice(axis, axis + ids.shape.length));
      return at(x, [...index.slice(0, axis), row, ...index.slice(axis + ids.shape.length)]);
    });
    return { kernel: "GatherV2", inputs: { x, indices: ids }, attrs: { axis, batchDims: 0 }, want };
  },
  (shape, [a], seed) => {
    const x = input(shape, seed);
    const dim = a! % (shape.length + 1);
    return {
      kernel: "ExpandDims",
      inputs: { input: x },
      attrs: { dim: a! % 2 ? dim : dim - shape.length - 1 },
      want: { shape: shape.toSpliced(dim, 0, 1), values: x.values },
    };
  },
  (shape, _, seed) => {
    const x = input(shape, seed, "bool");
    const rest = shape.slice(1).reduce((product, n) => product * n, 1);
    // -1 has no meaning where the rest is empty
    const to = rest === 0 ? [...shape].reverse() : [-1, rest];
    return {
      kernel: "Reshape",
      inputs: { x },
      attrs: { shape: to },
      want: { shape: to.map((n) => (n === -1 ? shape[0]! : n)), values: x.values },
      dtype: "bool",
    };
  },
];

export function shapeTests(): void {
  it("elements are moved as said, on any shape", async () => {
    const one = fc.record({
      shape: fc.array(fc.constantFrom(1, 2, 3, 4, 0), { minLength: 1, maxLength: 4 }),
      numbers: fc.array(fc.nat(100), { minLength: 3, maxLength: 3 }),
      seed: fc.nat(10000),
    });
    const size = 3 * builders.length;
    await fc.assert(
      fc.asyncProperty(fc.array(one, { minLength: size, maxLength: size }), (draws) =>
        check(
          draws.map(({ shape, numbers, seed }, i) => builders[i % builders.length]!(shape, numbers, seed)),
        ),
      ),
      { numRuns: 3, seed: 7, endOnFailure: true },
    );
  });

  it("the edges: rank 0, nothing at all, one part", async () => {
    const scalar = given([3], "float32", []);
    const empty = input([0, 3], 1);
    await check([
      { kernel: "Transpose", inputs: { x: scalar }, attrs: { perm: [] }, want: scalar },
      { kernel: "ExpandDims", inputs: { input: scalar }, attrs: { dim: 0 }, want: given([3]) },
      { kernel: "Reverse", inputs: { x: scalar }, attrs: { dims: [] }, want: scalar },
      { kernel: "Tile", inputs: { x: scalar }, attrs: { reps: [] }, want: scalar },
      {
        kernel: "Reshape",
        inputs: { x: scalar },
        attrs: { shape: [1, 1] },
        want: given([3], "float32", [1, 1]),
      },
      { kernel: "Concat", inputs: [empty, empty], attrs: { axis: 0 }, want: empty },
      { kernel: "Concat", inputs: [empty, empty], attrs: { axis: 1 }, want: { shape: [0, 6], values: [] } },
      { kernel: "Concat", inputs: [input([2], 4)], attrs: { axis: 0 }, want: input([2], 4) },
      {
        kernel: "GatherV2",
        inputs: { x: input([4, 2], 3), indices: given([2], "int32", []) },
        attrs: { axis: 0, batchDims: 0 },
        want: sliced({ shape: [8], values: input([4, 2], 3).values }, [4], [2]),
      },
      {
        kernel: "PadV2",
        inputs: { x: given([1, 2], "int32") },
        attrs: { paddings: [[1, 0]], constantValue: 7 },
        want: given([7, 1, 2]),
        dtype: "int32",
      },
      {
        kernel: "PadV2",
        inputs: { x: given([1]) },
        attrs: { paddings: [[0, 1]], constantValue: -Infinity },
        want: given([1, -Infinity]),
      },
    ]);
  });

  it("elements are made: fills, ranges, one-hot rows, bands", async () => {
    const ids = given([2, 0, -1, 4, 3, 1], "int32", [2, 3]);
    const square = input([2, 3, 4], 5);
    const band = (lower: number, upper: number): Case => ({
      kernel: "MatrixBandPart",
      inputs: {
        input: square,
        numLower: given([lower], "int32", []),
        numUpper: given([upper], "int32", []),
      },
      want: make(square.shape, (index) => {
        const [i, j] = [index[1]!, index[2]!];
        return (lower < 0 || i - j <= lower) && (upper < 0 || j - i <= upper) ? at(square, index) : 0;
      }),
      cpu: false, // tf.linalg.bandPart is composed
    });
    const steps: [number, number, number, "float32" | "int32"][] = [
      [0, 5, 1, "int32"],
      [3, -4, -2, "int32"],
      [0, 1, 0.25, "float32"],
      [2, 2, 1, "float32"],
      [10, 0, -2.5, "float32"],
    ];
    await check([
      {
        kernel: "Fill",
        inputs: {},
        attrs: { shape: [2, 2], value: 1.5, dtype: "float32" },
        want: given([1.5, 1.5, 1.5, 1.5], "float32", [2, 2]),
      },
      {
        kernel: "Fill",
        inputs: {},
        attrs: { shape: [], value: -3, dtype: "int32" },
        want: given([-3], "int32", []),
        dtype: "int32",
      },
      {
        kernel: "Fill",
        inputs: {},
        attrs: { shape: [2], value: true, dtype: "bool" },
        want: given([1, 1]),
        dtype: "bool",
      },
      ...steps.map(([start, stop, step, dtype]): Case => {
        const count = Math.max(0, Math.ceil((stop - start) / step));
        return {
          kernel: "Range",
          inputs: {},
          attrs: { start, stop, step, dtype },
          want: given(range(count).map((i) => start + i * step)),
          dtype,
        };
      }),
      {
        kernel: "OneHot",
        inputs: { indices: ids },
        attrs: { depth: 4, onValue: 2, offValue: -1, dtype: "float32" },
        want: make([2, 3, 4], (index) => (at(ids, index.slice(0, 2)) === index[2] ? 2 : -1)),
      },
      {
        kernel: "OneHot",
        inputs: { indices: ids },
        attrs: { depth: 2, onValue: 1, offValue: 0, dtype: "int32" },
        want: make([2, 3, 2], (index) => Number(at(ids, index.slice(0, 2)) === index[2])),
        dtype: "int32",
      },
      band(1, 0),
      band(-1, 1),
      band(0, -1),
    ]);
  });

  it("sums by index: equal ids add up, ids outside leave nothing", async () => {
    const x = input([5, 3], 9);
    const ids = given([1, 0, 1, 3, 1], "int32");
    const summed = (rows: number, of: Nd, index: Nd) =>
      make([rows, ...of.shape.slice(1)], ([row, ...rest]) =>
        sum(indices([of.shape[0]!]).map(([n]) => (index.values[n!] === row ? at(of, [n!, ...rest]) : 0))),
      );
    const flat = input([2, 3], 10);
    const grid = given([0, 2, 2, 1, 0, 0], "int32", [2, 3]);
    const outside = given([1, -1, 0, 7, 1], "int32");
    await check([
      {
        kernel: "UnsortedSegmentSum",
        inputs: { x, segmentIds: ids },
        attrs: { numSegments: 4 },
        want: summed(4, x, ids),
      },
      {
        kernel: "UnsortedSegmentSum",
        inputs: { x: flat, segmentIds: grid },
        attrs: { numSegments: 3 },
        want: summed(3, { shape: [6], values: flat.values }, grid),
        cpu: false, // flattened before
      },
      {
        kernel: "UnsortedSegmentSum",
        inputs: { x, segmentIds: outside },
        attrs: { numSegments: 2 },
        want: summed(2, x, outside),
      },
      {
        kernel: "ScatterNd",
        inputs: { indices: { ...ids, shape: [5, 1] }, updates: x },
        attrs: { shape: [4, 3] },
        want: summed(4, x, ids),
      },
      {
        kernel: "ScatterNd",
        inputs: { indices: given([2, 2], "int32", [2, 1]), updates: given([3, 4], "int32") },
        attrs: { shape: [3] },
        want: given([0, 0, 7]),
        dtype: "int32",
      },
    ]);
  });
}
