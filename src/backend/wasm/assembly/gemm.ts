// Single-precision matrix product on 128-bit SIMD: C[M,N] = op(A)[M,K] . op(B)[K,N], all row-major.
//
// Tiles of 4 x 8 stay in registers: 8 accumulators, 2 vectors of B and 4 of A, which the compiler loads
// all at once, are 14 of the 15 it has on x86 (6 x 8 spills accumulators and halves the speed).
// B is packed into panels [k][8] for blocks of KC x NC; A is read in place, or packed panel by panel
// when it is transposed. Every element of C is the same sequence of operations whatever M, N, the
// batch, or the path taken: blocks of KC products summed in order of k, blocks added in order.
// Structure after Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008.

import { madd } from "./simd";

const MR: i32 = 4;
const NR: i32 = 8;
const KC: i32 = 256;
const NC: i32 = 512;

/** Bytes of scratch that `gemm` needs: a block of B, a panel of A, a tile of C. */
export function gemmScratchBytes(): i32 {
  return (KC * NC + KC * MR + MR * NR) * 4 + 64;
}

// @ts-ignore: decorator
@inline
function put(c: usize, lo: v128, hi: v128, accumulate: bool): void {
  if (accumulate) {
    lo = f32x4.add(v128.load(c), lo);
    hi = f32x4.add(v128.load(c, 16), hi);
  }
  v128.store(c, lo);
  v128.store(c, hi, 16);
}

// 4 x 8 tile. Strides in bytes. T = i32: A steps by 4 bytes in k (rows `ars` apart);
// T = f32: A's 4 rows lie side by side (4 bytes apart), k steps by `ars`.
function tile4<T>(k: i32, a: usize, ars: usize, b: usize, bs: usize, c: usize, cs: usize, accumulate: bool): void {
  let p0 = f32x4.splat(0), q0 = p0, p1 = p0, q1 = p0, p2 = p0, q2 = p0, p3 = p0, q3 = p0;
  if (isInteger<T>()) {
    let a1 = a + ars, a2 = a1 + ars, a3 = a2 + ars;
    for (let i = k; i > 0; --i) {
      const x = v128.load(b), y = v128.load(b, 16);
      let s = v128.load32_splat(a);
      p0 = madd(s, x, p0); q0 = madd(s, y, q0);
      s = v128.load32_splat(a1);
      p1 = madd(s, x, p1); q1 = madd(s, y, q1);
      s = v128.load32_splat(a2);
      p2 = madd(s, x, p2); q2 = madd(s, y, q2);
      s = v128.load32_splat(a3);
      p3 = madd(s, x, p3); q3 = madd(s, y, q3);
      a += 4; a1 += 4; a2 += 4; a3 += 4;
      b += bs;
    }
  } else {
    for (let i = k; i > 0; --i) {
      const x = v128.load(b), y = v128.load(b, 16);
      let s = v128.load32_splat(a);
      p0 = madd(s, x, p0); q0 = madd(s, y, q0);
      s = v128.load32_splat(a, 4);
      p1 = madd(s, x, p1); q1 = madd(s, y, q1);
      s = v128.load32_splat(a, 8);
      p2 = madd(s, x, p2); q2 = madd(s, y, q2);
      s = v128.load32_splat(a, 12);
      p3 = madd(s, x, p3); q3 = madd(s, y, q3);
      a += ars;
      b += bs;
    }
  }
  put(c, p0, q0, accumulate); c += cs;
  put(c, p1, q1, accumulate); c += cs;
  put(c, p2, q2, accumulate); c += cs;
  put(c, p3, q3, accumulate);
}

// 2 x 8 and 1 x 8 tiles for the last rows; A by row stride `ars` and k stride `aks`, bytes.
function tile2(k: i32, a: usize, ars: usize, aks: usize, b: usize, bs: usize, c: usize, cs: usize, accumulate: bool): void {
  let p0 = f32x4.splat(0), q0 = p0, p1 = p0, q1 = p0;
  let a1 = a + ars;
  for (let i = k; i > 0; --i) {
    const x = v128.load(b), y = v128.load(b, 16);
    let s = v128.load32_splat(a);
    p0 = madd(s, x, p0); q0 = madd(s, y, q0);
    s = v128.load32_splat(a1);
    p1 = madd(s, x, p1); q1 = madd(s, y, q1);
    a += aks; a1 += aks; b += bs;
  }
  put(c, p0, q0, accumulate);
  put(c + cs, p1, q1, accumulate);
}

function tile1(k: i32, a: usize, aks: usize, b: usize, bs: usize, c: usize, accumulate: bool): void {
  let p0 = f32x4.splat(0), q0 = p0;
  for (let i = k; i > 0; --i) {
    const s = v128.load32_splat(a);
    p0 = madd(s, v128.load(b), p0);
    q0 = madd(s, v128.load(b, 16), q0);
    a += aks; b += bs;
  }
  put(c, p0, q0, accumulate);
}

// One panel of at most 4 rows times one panel of 8 columns.
// @ts-ignore: decorator
@inline
function tile(rows: i32, k: i32, a: usize, ars: usize, aks: usize, b: usize, bs: usize, c: usize, cs: usize, accumulate: bool): void {
  if (rows == MR) {
    if (aks == 4) tile4<i32>(k, a, ars, b, bs, c, cs, accumulate);
    else tile4<f32>(k, a, aks, b, bs, c, cs, accumulate);
    return;
  }
  while (rows >= 2) {
    tile2(k, a, ars, aks, b, bs, c, cs, accumulate);
    a += ars << 1; c += cs << 1; rows -= 2;
  }
  if (rows) tile1(k, a, aks, b, bs, c, accumulate);
}

// B[k][j..j+8] of a row-major block into a panel [k][8]; columns past `width` are zero.
function packPanel(k: i32, width: i32, b: usize, bs: usize, to: usize): void {
  if (width == NR) {
    for (; k > 0; --k) {
      v128.store(to, v128.load(b));
      v128.store(to, v128.load(b, 16), 16);
      b += bs; to += 32;
    }
    return;
  }
  const zero = f32x4.splat(0);
  for (; k > 0; --k) {
    v128.store(to, zero);
    v128.store(to, zero, 16);
    for (let j = 0; j < width; ++j) store<f32>(to + (<usize>j << 2), load<f32>(b + (<usize>j << 2)));
    b += bs; to += 32;
  }
}

// @ts-ignore: decorator
@inline
function transpose4(from: usize, stride: usize, to: usize): void {
  const r0 = v128.load(from), r1 = v128.load(from + stride);
  const r2 = v128.load(from + stride * 2), r3 = v128.load(from + stride * 3);
  const t0 = i32x4.shuffle(r0, r1, 0, 4, 1, 5), t1 = i32x4.shuffle(r2, r3, 0, 4, 1, 5);
  const t2 = i32x4.shuffle(r0, r1, 2, 6, 3, 7), t3 = i32x4.shuffle(r2, r3, 2, 6, 3, 7);
  v128.store(to, i64x2.shuffle(t0, t1, 0, 2));
  v128.store(to, i64x2.shuffle(t0, t1, 1, 3), 32);
  v128.store(to, i64x2.shuffle(t2, t3, 0, 2), 64);
  v128.store(to, i64x2.shuffle(t2, t3, 1, 3), 96);
}

// The same from B stored [N,K]: rows of k, `stride` bytes apart.
function packPanelTransposed(k: i32, width: i32, b: usize, stride: usize, to: usize): void {
  if (width == NR) {
    let i = 0;
    for (; i + 4 <= k; i += 4) {
      transpose4(b, stride, to);
      transpose4(b + stride * 4, stride, to + 16);
      b += 16; to += 128;
    }
    for (; i < k; ++i) {
      for (let j = 0; j < NR; ++j) store<f32>(to + (<usize>j << 2), load<f32>(b + <usize>j * stride));
      b += 4; to += 32;
    }
    return;
  }
  const zero = f32x4.splat(0);
  for (let i = 0; i < k; ++i) {
    v128.store(to, zero);
    v128.store(to, zero, 16);
    for (let j = 0; j < width; ++j) store<f32>(to + (<usize>j << 2), load<f32>(b + <usize>j * stride));
    b += 4; to += 32;
  }
}

// Four columns of A stored [K,M] into a panel [k][4].
function packRows(k: i32, a: usize, stride: usize, to: usize): void {
  for (; k > 0; --k) {
    v128.store(to, v128.load(a));
    a += stride; to += 16;
  }
}

/**
 * One product. Pointers in bytes, `lda` and `ldb` are the row lengths as stored, in floats.
 * C is overwritten; K = 0 gives zeros.
 */
export function gemm(
  a: usize, b: usize, c: usize, m: i32, n: i32, k: i32,
  lda: i32, ldb: i32, ldc: i32, transA: bool, transB: bool, scratch: usize,
): void {
  const block = (scratch + 15) & ~15;
  const panelA = block + KC * NC * 4;
  const corner = panelA + KC * MR * 4;
  const as: usize = <usize>lda << 2, bs: usize = <usize>ldb << 2, cs: usize = <usize>ldc << 2;
  if (k == 0) {
    for (let i = 0; i < m; ++i) memory.fill(c + <usize>i * cs, 0, <usize>n << 2);
    return;
  }
  const ars: usize = transA ? 4 : as, aks: usize = transA ? as : 4;
  // reading B where it lies pays while it is small or read once; far-apart rows miss the caches every time
  const direct = !transB && (m <= MR || (k <= 128 && ldb <= 128));
  for (let jc = 0; jc < n; jc += NC) {
    const nc = min(NC, n - jc);
    for (let pc = 0; pc < k; pc += KC) {
      const kc = min(KC, k - pc);
      const accumulate = pc > 0;
      const origin = b + (transB ? <usize>jc * bs + (<usize>pc << 2) : <usize>pc * bs + (<usize>jc << 2));
      for (let j = 0; j < nc; j += NR) {
        const width = min(NR, nc - j), to = block + <usize>j * kc * 4;
        if (transB) packPanelTransposed(kc, width, origin + <usize>j * bs, bs, to);
        else if (!direct || width < NR) packPanel(kc, width, origin + (<usize>j << 2), bs, to);
      }
      for (let i = 0; i < m; i += MR) {
        const rows = min(MR, m - i);
        let ap = a + <usize>i * ars + <usize>pc * aks, ks = aks;
        if (transA && rows == MR && nc > 2 * NR) {
          packRows(kc, ap, as, panelA);
          ap = panelA; ks = 16;
        }
        const row = c + <usize>i * cs + (<usize>jc << 2);
        let j = 0;
        if (direct) {
          for (; j + NR <= nc; j += NR) tile(rows, kc, ap, ars, ks, origin + (<usize>j << 2), bs, row + (<usize>j << 2), cs, accumulate);
        } else {
          for (; j + NR <= nc; j += NR) tile(rows, kc, ap, ars, ks, block + <usize>j * kc * 4, 32, row + (<usize>j << 2), cs, accumulate);
        }
        if (j < nc) {
          tile(rows, kc, ap, ars, ks, block + <usize>j * kc * 4, 32, corner, 32, false);
          for (let r = 0; r < rows; ++r) {
            const to = row + <usize>r * cs + (<usize>j << 2), from = corner + <usize>r * 32;
            for (let q = 0; q < nc - j; ++q) {
              let value = load<f32>(from + (<usize>q << 2));
              if (accumulate) value += load<f32>(to + (<usize>q << 2));
              store<f32>(to + (<usize>q << 2), value);
            }
          }
        }
      }
    }
  }
}

/** `count` products; operands `sa`, `sb`, `sc` floats apart (0: the same one each time). */
export function gemmBatch(
  count: i32, a: usize, sa: i32, b: usize, sb: i32, c: usize, sc: i32, m: i32, n: i32, k: i32,
  lda: i32, ldb: i32, ldc: i32, transA: bool, transB: bool, scratch: usize,
): void {
  for (let i = 0; i < count; ++i) {
    gemm(a, b, c, m, n, k, lda, ldb, ldc, transA, transB, scratch);
    a += <usize>sa << 2; b += <usize>sb << 2; c += <usize>sc << 2;
  }
}
