/** `BatchMatMul` of tfjs's wasm backend, by CBLAS or by our own SIMD kernel. */
import type { TensorInfo } from "@tensorflow/tfjs";
import { BackendError } from "../../lib/errors.ts";
import type { CblasLibrary } from "./cblas.ts";
import type { WasmHeap } from "./heap.ts";

/**
 * Smallest dimension from which a native library is called. Below it our own kernel is about as fast on one
 * core, and the library's threads, which spin while they wait, cost several times that where another process
 * wants a core (docs/decisions/0004).
 */
const cblasMinimum = 96;

interface BatchPlan {
  shape: number[];
  /** Index of each product's operands, in matrices. */
  a: Int32Array;
  b: Int32Array;
}

/** Numpy broadcasting of the batch dimensions. */
function broadcastBatch(a: readonly number[], b: readonly number[]): BatchPlan {
  const rank = Math.max(a.length, b.length);
  const shape: number[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const x = a[axis - rank + a.length] ?? 1;
    const y = b[axis - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1) {
      throw new BackendError(`matMul: batch shapes [${a}] and [${b}] do not broadcast`);
    }
    shape.push(x === 1 ? y : x);
  }
  const count = shape.reduce((product, size) => product * size, 1);
  const walk = (dims: readonly number[]): Int32Array => {
    const index = new Int32Array(count);
    let stride = 1;
    let repeat = 1;
    for (let axis = rank - 1; axis >= 0; axis--) {
      const own = dims[axis - rank + dims.length] ?? 1;
      const size = shape[axis]!;
      if (own > 1) {
        for (let i = 0; i < count; i++) index[i]! += (Math.floor(i / repeat) % size) * stride;
      }
      stride *= own;
      repeat *= size;
    }
    return index;
  };
  return { shape, a: walk(a), b: walk(b) };
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/**
 * op(a) [..., M, K] times op(b) [..., K, N]; batch dimensions broadcast as in numpy.
 * @returns [..., M, N], float32
 */
export function matmul(
  heap: WasmHeap,
  cblas: CblasLibrary | null,
  a: TensorInfo,
  b: TensorInfo,
  transposeA: boolean,
  transposeB: boolean,
): TensorInfo {
  if (a.dtype !== "float32" || b.dtype !== "float32") {
    throw new BackendError(`matMul: float32 operands only, got ${a.dtype} and ${b.dtype}; cast them first`);
  }
  const aRank = a.shape.length;
  const bRank = b.shape.length;
  const lda = a.shape[aRank - 1]!;
  const ldb = b.shape[bRank - 1]!;
  const aRows = a.shape[aRank - 2]!;
  const bRows = b.shape[bRank - 2]!;
  let m = transposeA ? lda : aRows;
  const k = transposeA ? aRows : lda;
  const n = transposeB ? bRows : ldb;
  if (k !== (transposeB ? ldb : bRows)) {
    throw new BackendError(
      `matMul: inner sizes of [${a.shape}] and [${b.shape}] (transposeA=${transposeA}, transposeB=${transposeB}) differ`,
    );
  }
  const aBatch = a.shape.slice(0, -2);
  const bBatch = b.shape.slice(0, -2);
  let aCount = sizeOf(aBatch);
  const bCount = sizeOf(bBatch);
  let plan: BatchPlan | null = null;
  let batch: readonly number[] = aBatch;
  if (aBatch.length !== bBatch.length || aBatch.some((size, axis) => size !== bBatch[axis])) {
    if (aCount === 1 && bBatch.length >= aBatch.length) batch = bBatch;
    else if (bCount === 1 && aBatch.length >= bBatch.length) batch = aBatch;
    else {
      plan = broadcastBatch(aBatch, bBatch);
      batch = plan.shape;
    }
  }
  const out = heap.output([...batch, m, n]);
  let count = sizeOf(batch);
  if (count === 0 || m === 0 || n === 0) return out;
  const aAt = heap.at(a);
  const bAt = heap.at(b);
  const cAt = heap.at(out);
  let aStep = aCount === 1 ? 0 : aRows * lda;
  const bStep = bCount === 1 ? 0 : bRows * ldb;
  if (plan === null && bStep === 0 && aStep > 0 && !transposeA) {
    // one matrix on the right: the batch is more rows
    m *= count;
    count = 1;
    aCount = 1;
    aStep = 0;
  }
  const native = cblas !== null && Math.min(m, n, k) >= cblasMinimum ? cblas : null;
  const { gemm, gemmBatch, gemmScratchBytes } = heap.kernels as Required<typeof heap.kernels>;
  if (native === null && plan === null) {
    const scratch = heap.scratch(gemmScratchBytes!());
    gemmBatch!(
      count,
      aAt,
      aStep,
      bAt,
      bStep,
      cAt,
      m * n,
      m,
      n,
      k,
      lda,
      ldb,
      n,
      transposeA,
      transposeB,
      scratch,
    );
    return out;
  }
  const scratch = native === null ? heap.scratch(gemmScratchBytes!()) : 0;
  const base = native === null ? 0 : native.addressOf(heap.buffer);
  for (let i = 0; i < count; i++) {
    const x = aAt + 4 * (plan === null ? i * aStep : plan.a[i]! * aRows * lda);
    const y = bAt + 4 * (plan === null ? i * bStep : plan.b[i]! * bRows * ldb);
    const z = cAt + 4 * i * m * n;
    if (native === null) gemm!(x, y, z, m, n, k, lda, ldb, n, transposeA, transposeB, scratch);
    else native.sgemm(transposeA, transposeB, m, n, k, base + x, lda, base + y, ldb, base + z, n);
  }
  return out;
}
