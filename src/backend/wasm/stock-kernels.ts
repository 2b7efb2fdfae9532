/**
 * Faster versions of kernels that tfjs's wasm backend has: its clones and slices copy whole tensors, its
 * element-wise loops are scalar. What a version here does not cover goes to the kernel it replaces.
 */
import type { KernelFunc, TensorInfo } from "@tensorflow/tfjs";
import { BackendError } from "../../lib/errors.ts";
import type { WasmHeap } from "./heap.ts";

type Inputs = Record<string, TensorInfo>;
type Arguments = Parameters<KernelFunc>[0];

const product = (shape: readonly number[]): number => shape.reduce((total, size) => total * size, 1);

const elementBytes = (tensor: TensorInfo): number => (tensor.dtype === "bool" ? 1 : 4);

/** How one operand of an element-wise operation walks over [rows, columns]. */
interface Walk {
  rowBytes: number;
  varies: boolean;
}

/** Same shape, one value, one row for all, or one column for all; null for any other broadcast. */
function broadcastPlan(
  a: readonly number[],
  b: readonly number[],
): { shape: readonly number[]; rows: number; columns: number; a: Walk; b: Walk } | null {
  const aSize = product(a);
  const bSize = product(b);
  if (a.length === b.length && a.every((size, axis) => size === b[axis])) {
    const whole = { rowBytes: 0, varies: true };
    return { shape: a, rows: 1, columns: aSize, a: whole, b: whole };
  }
  const one = { rowBytes: 0, varies: false };
  if (bSize === 1 && b.length <= a.length) {
    return { shape: a, rows: 1, columns: aSize, a: { rowBytes: 0, varies: true }, b: one };
  }
  if (aSize === 1 && a.length <= b.length) {
    return { shape: b, rows: 1, columns: bSize, a: one, b: { rowBytes: 0, varies: true } };
  }
  const small = against(a, b);
  if (small) return { shape: a, rows: small.rows, columns: small.columns, a: small.large, b: small.small };
  const other = against(b, a);
  if (other) return { shape: b, rows: other.rows, columns: other.columns, a: other.small, b: other.large };
  return null;
}

/** `small` repeated over the leading or over the trailing axes of `large`. */
function against(
  large: readonly number[],
  small: readonly number[],
): { rows: number; columns: number; large: Walk; small: Walk } | null {
  if (small.length > large.length) return null;
  const padded = [...new Array<number>(large.length - small.length).fill(1), ...small];
  let ones = 0;
  while (ones < padded.length && padded[ones] === 1) ones++;
  if (padded.slice(ones).every((size, axis) => size === large[ones + axis])) {
    const columns = product(large.slice(ones));
    const walk = { rowBytes: 4 * columns, varies: true };
    return {
      rows: product(large.slice(0, ones)),
      columns,
      large: walk,
      small: { rowBytes: 0, varies: true },
    };
  }
  let kept = padded.length;
  while (kept > 0 && padded[kept - 1] === 1) kept--;
  if (padded.slice(0, kept).every((size, axis) => size === large[axis])) {
    const columns = product(large.slice(kept));
    const walk = { rowBytes: 4 * columns, varies: true };
    return {
      rows: product(large.slice(0, kept)),
      columns,
      large: walk,
      small: { rowBytes: 4, varies: false },
    };
  }
  return null;
}

/** A permutation that exchanges two neighbouring groups of axes, as [outer, first, second, inner]. */
function exchange(shape: readonly number[], permutation: readonly number[]): number[] | null {
  const axes = permutation.filter((axis) => shape[axis] !== 1); // axes of size 1 may go anywhere
  const sorted = [...axes].sort((x, y) => x - y);
  let start = 0;
  while (start < axes.length && axes[start] === sorted[start]) start++;
  let end = axes.length;
  while (end > start && axes[end - 1] === sorted[end - 1]) end--;
  const moved = axes.slice(start, end);
  const split = moved.indexOf(sorted[start]!);
  const rotated = [...moved.slice(Math.max(0, split)), ...moved.slice(0, Math.max(0, split))];
  if (rotated.some((axis, i) => axis !== sorted[start + i])) return null;
  const size = (list: readonly number[]) => product(list.map((axis) => shape[axis]!));
  const second = moved.slice(0, Math.max(0, split));
  const first = moved.slice(Math.max(0, split));
  return [size(sorted.slice(0, start)), size(first), size(second), size(sorted.slice(end))];
}

/** begin and size of `Slice` made non-negative, or null for what tfjs's own kernel should judge. */
function sliceRange(x: TensorInfo, begin: number | number[], size: number | number[] | undefined) {
  const from = Array.isArray(begin) ? [...begin] : [begin];
  while (from.length < x.shape.length) from.push(0);
  const lengths = size === undefined ? [] : Array.isArray(size) ? [...size] : [size];
  const full = x.shape.map((extent, axis) => {
    const length = lengths[axis] ?? -1;
    return length < 0 ? extent - from[axis]! : length;
  });
  const inside = full.every(
    (length, axis) => from[axis]! >= 0 && length >= 0 && from[axis]! + length <= x.shape[axis]!,
  );
  return inside && from.length === x.shape.length ? { from, size: full } : null;
}

/**
 * @param stock the function that a kernel had before, for the cases left to it
 * @returns kernel functions by registered name
 */
export function stockKernels(
  heap: WasmHeap,
  stock: (name: string, args: Arguments) => TensorInfo | TensorInfo[],
): Record<string, KernelFunc> {
  const { kernels } = heap;

  /** The same data under another shape; freed when the last user is. */
  const share = (x: TensorInfo, shape: readonly number[]): TensorInfo => {
    heap.backend.incRef(x.dataId);
    return { dataId: x.dataId, shape: [...shape], dtype: x.dtype };
  };

  const binary = (name: string, operation: number): KernelFunc => {
    return (args) => {
      const { a, b } = args.inputs as { a: TensorInfo; b: TensorInfo };
      if (a.dtype !== "float32" || b.dtype !== "float32") return stock(name, args);
      const plan = broadcastPlan(a.shape, b.shape);
      if (plan === null) return stock(name, args);
      const out = heap.output(plan.shape);
      if (plan.rows * plan.columns === 0) return out;
      kernels["binary"]!(
        operation,
        heap.at(a),
        plan.a.rowBytes,
        plan.a.varies,
        heap.at(b),
        plan.b.rowBytes,
        plan.b.varies,
        heap.at(out),
        plan.rows,
        plan.columns,
      );
      return out;
    };
  };

  const unary = (name: string, kernel: string): KernelFunc => {
    return (args) => {
      const { x } = args.inputs as { x: TensorInfo };
      if (x.dtype !== "float32") return stock(name, args);
      const y = heap.output(x.shape);
      kernels[kernel]!(heap.at(x), heap.at(y), product(x.shape));
      return y;
    };
  };

  return {
    Add: binary("Add", 0),
    Sub: binary("Sub", 1),
    Multiply: binary("Multiply", 2),
    RealDiv: binary("RealDiv", 3),
    Exp: unary("Exp", "exp"),
    Sigmoid: unary("Sigmoid", "sigmoid"),
    Square: unary("Square", "square"),

    Identity: (args) => {
      const { x } = args.inputs as { x: TensorInfo };
      return x.dtype === "string" ? stock("Identity", args) : share(x, x.shape);
    },

    Transpose: (args) => {
      const { x } = args.inputs as { x: TensorInfo };
      const permutation = args.attrs!["perm"] as number[];
      const shape = permutation.map((axis) => x.shape[axis]!);
      if (x.dtype !== "string" && product(shape) === 0) return heap.output(shape, x.dtype);
      const plan = x.dtype === "string" ? null : exchange(x.shape, permutation);
      if (plan === null) return stock("Transpose", args);
      const [outer, first, second, inner] = plan as [number, number, number, number];
      if (first === 1 || second === 1) return share(x, shape);
      const out = heap.output(shape, x.dtype);
      kernels["swapAxes"]!(heap.at(x), heap.at(out), outer, first, second, inner * elementBytes(x));
      return out;
    },

    Slice: (args) => {
      const { x } = args.inputs as { x: TensorInfo };
      const range =
        x.dtype === "string"
          ? null
          : sliceRange(x, args.attrs!["begin"] as number[], args.attrs!["size"] as number[]);
      if (range === null) return stock("Slice", args);
      const { from, size } = range;
      const out = heap.output(size, x.dtype);
      if (product(size) === 0) return out;
      const width = elementBytes(x);
      // trailing whole axes are one block with the axis before them; whole axes before that join too
      let axis = x.shape.length - 1;
      let block = width;
      while (axis >= 0 && size[axis] === x.shape[axis]) block *= size[axis--]!;
      const strides = new Array<number>(x.shape.length);
      for (let i = x.shape.length - 1, stride = width; i >= 0; stride *= x.shape[i--]!) strides[i] = stride;
      let source = heap.at(x);
      for (let i = 0; i < from.length; i++) source += from[i]! * strides[i]!;
      if (axis >= 0) block *= size[axis--]!;
      let count = 1;
      let step = block;
      if (axis >= 0) {
        step = strides[axis]!;
        count = size[axis]!;
        axis--;
        while (axis >= 0 && size[axis + 1] === x.shape[axis + 1]) count *= size[axis--]!;
      }
      const groups = product(size.slice(0, axis + 1));
      const target = heap.at(out);
      for (let g = 0; g < groups; g++) {
        let offset = 0;
        for (let i = axis, rest = g; i >= 0; i--) {
          offset += (rest % size[i]!) * strides[i]!;
          rest = Math.floor(rest / size[i]!);
        }
        kernels["copyBlocks"]!(source + offset, step, target + g * count * block, block, count, block);
      }
      return out;
    },

    Concat: (args) => {
      const inputs = Object.values(args.inputs as Inputs);
      const first = inputs[0]!;
      const rank = first.shape.length;
      const axis = args.attrs!["axis"] as number;
      const along = axis < 0 ? axis + rank : axis;
      const alike = inputs.every(
        (x) =>
          x.dtype === first.dtype &&
          x.shape.length === rank &&
          x.shape.every((size, i) => i === along || size === first.shape[i]),
      );
      if (!alike || first.dtype === "string") return stock("Concat", args);
      const shape = [...first.shape];
      shape[along] = inputs.reduce((total, x) => total + x.shape[along]!, 0);
      const out = heap.output(shape, first.dtype);
      const rows = product(shape.slice(0, along));
      const rowBytes = product(shape.slice(along)) * elementBytes(first);
      let to = heap.at(out);
      for (const x of inputs) {
        const bytes = product(x.shape.slice(along)) * elementBytes(first);
        kernels["copyBlocks"]!(heap.at(x), bytes, to, rowBytes, rows, bytes);
        to += bytes;
      }
      return out;
    },

    SplitV: (args) => {
      const { x } = args.inputs as { x: TensorInfo };
      const { numOrSizeSplits, axis } = args.attrs as unknown as {
        numOrSizeSplits: number | number[];
        axis: number;
      };
      const along = axis < 0 ? axis + x.shape.length : axis;
      const sizes = Array.isArray(numOrSizeSplits)
        ? numOrSizeSplits
        : new Array<number>(numOrSizeSplits).fill(x.shape[along]! / numOrSizeSplits);
      const covered =
        sizes.every((size) => size >= 0 && Number.isInteger(size)) &&
        sizes.reduce((a, b) => a + b, 0) === x.shape[along];
      if (!covered || x.dtype === "string") return stock("SplitV", args);
      const rows = product(x.shape.slice(0, along));
      const inner = product(x.shape.slice(along + 1)) * elementBytes(x);
      const rowBytes = x.shape[along]! * inner;
      let offset = 0;
      return sizes.map((size) => {
        const part = heap.output(
          x.shape.map((extent, i) => (i === along ? size : extent)),
          x.dtype,
        );
        const bytes = size * inner;
        kernels["copyBlocks"]!(heap.at(x) + offset, rowBytes, heap.at(part), bytes, rows, bytes);
        offset += bytes;
        return part;
      });
    },

    GatherV2: (args) => {
      const { x, indices } = args.inputs as { x: TensorInfo; indices: TensorInfo };
      const { axis, batchDims } = args.attrs as unknown as { axis: number; batchDims: number };
      if (axis !== 0 || batchDims !== 0 || x.dtype === "string" || indices.dtype !== "int32") {
        return stock("GatherV2", args);
      }
      const rest = x.shape.slice(1);
      const out = heap.output([...indices.shape, ...rest], x.dtype);
      const bytes = product(rest) * elementBytes(x);
      const count = product(indices.shape);
      const bad = kernels["gatherRows"]!(
        heap.at(x),
        heap.at(indices),
        heap.at(out),
        count,
        x.shape[0]!,
        bytes,
      );
      if (bad !== 0) {
        const id = heap.ints()[heap.at(indices) / 4 + bad - 1];
        heap.backend.disposeData(out.dataId);
        throw new BackendError(`gather: index ${id} at position ${bad - 1} is outside [0, ${x.shape[0]})`);
      }
      return out;
    },

    Sum: (args) => {
      const { x } = args.inputs as { x: TensorInfo };
      const { axis, keepDims } = args.attrs as unknown as {
        axis: number | number[] | null;
        keepDims: boolean;
      };
      const rank = x.shape.length;
      const list = axis === null || axis === undefined ? x.shape.map((_, i) => i) : [axis].flat();
      const axes = [...new Set(list.map((i) => (i < 0 ? i + rank : i)))].sort((i, j) => i - j);
      const trailing = axes.every((value, i) => value === rank - axes.length + i);
      const leading = axes.every((value, i) => value === i);
      if (x.dtype !== "float32" || !(trailing || leading)) return stock("Sum", args);
      const shape = keepDims
        ? x.shape.map((size, i) => (axes.includes(i) ? 1 : size))
        : x.shape.filter((_, i) => !axes.includes(i));
      const out = heap.output(shape);
      const kept = product(shape);
      const summed = product(axes.map((i) => x.shape[i]!));
      if (kept === 0) return out;
      if (trailing) kernels["sumRows"]!(heap.at(x), heap.at(out), kept, summed);
      else {
        const partial = heap.scratch(4 * kept);
        kernels["sumColumns"]!(heap.at(x), heap.at(out), partial, summed, kept);
      }
      return out;
    },

    Softmax: (args) => {
      const { logits } = args.inputs as { logits: TensorInfo };
      const dim = args.attrs!["dim"] as number;
      const rank = logits.shape.length;
      if (logits.dtype !== "float32" || (dim !== -1 && dim !== rank - 1)) return stock("Softmax", args);
      const keys = logits.shape[rank - 1] ?? 1;
      const rows = keys === 0 ? 0 : product(logits.shape) / keys;
      const out = heap.output(logits.shape);
      kernels["maskedSoftmax"]!(heap.at(logits), 0, heap.at(out), 1, rows, 1, keys, 1, 1);
      return out;
    },
  };
}
