// RMSNorm and its gradients. x, y, dy, dx [rows, width]; w, dw [width].

import { loadTail, madd, nmadd, storeTail, sumLanes } from "./simd";

/** 1 / sqrt(mean(x^2) + epsilon) of one row. */
function inverse(x: usize, width: i32, epsilon: f64): f32 {
  let s = f32x4.splat(0), t = s;
  let i = 0;
  for (; i + 8 <= width; i += 8) {
    const a = v128.load(x), b = v128.load(x, 16);
    s = madd(a, a, s);
    t = madd(b, b, t);
    x += 32;
  }
  for (; i + 4 <= width; i += 4) {
    const a = v128.load(x);
    s = madd(a, a, s);
    x += 16;
  }
  if (i < width) {
    const a = loadTail(x, width - i, 0);
    t = madd(a, a, t);
  }
  return <f32>(1 / Math.sqrt(<f64>sumLanes(f32x4.add(s, t)) / <f64>width + epsilon));
}

export function rmsNorm(x: usize, w: usize, y: usize, rows: i32, width: i32, epsilon: f64): void {
  const bytes = <usize>width << 2, whole = bytes & ~15, rest = width & 3;
  for (let n = 0; n < rows; ++n) {
    const r = f32x4.splat(inverse(x, width, epsilon));
    let i: usize = 0;
    for (; i < whole; i += 16) v128.store(y + i, f32x4.mul(f32x4.mul(v128.load(x + i), r), v128.load(w + i)));
    if (rest) storeTail(y + i, rest, f32x4.mul(f32x4.mul(loadTail(x + i, rest, 0), r), loadTail(w + i, rest, 0)));
    x += bytes; y += bytes;
  }
}

export function rmsNormGrad(x: usize, w: usize, dy: usize, dx: usize, rows: i32, width: i32, epsilon: f64): void {
  const bytes = <usize>width << 2, whole = bytes & ~15, rest = width & 3;
  for (let n = 0; n < rows; ++n) {
    const inv = inverse(x, width, epsilon);
    let s = f32x4.splat(0);
    let i: usize = 0;
    for (; i < whole; i += 16) s = madd(f32x4.mul(v128.load(dy + i), v128.load(w + i)), v128.load(x + i), s);
    if (rest) s = madd(f32x4.mul(loadTail(dy + i, rest, 0), loadTail(w + i, rest, 0)), loadTail(x + i, rest, 0), s);
    const r = f32x4.splat(inv), slope = f32x4.splat(sumLanes(s) / <f32>width * inv * inv * inv);
    for (i = 0; i < whole; i += 16) {
      v128.store(dx + i, nmadd(v128.load(x + i), slope, f32x4.mul(f32x4.mul(v128.load(dy + i), v128.load(w + i)), r)));
    }
    if (rest) {
      const e = f32x4.mul(loadTail(dy + i, rest, 0), loadTail(w + i, rest, 0));
      storeTail(dx + i, rest, nmadd(loadTail(x + i, rest, 0), slope, f32x4.mul(e, r)));
    }
    x += bytes; dy += bytes; dx += bytes;
  }
}

/** Sums run over blocks of 64 rows in `partial` [width], which keeps rounding errors small. */
export function rmsNormWeightGrad(x: usize, dy: usize, dw: usize, partial: usize, rows: i32, width: i32, epsilon: f64): void {
  const bytes = <usize>width << 2, whole = bytes & ~15;
  memory.fill(dw, 0, bytes);
  for (let from = 0; from < rows; from += 64) {
    const to = min(rows, from + 64);
    memory.fill(partial, 0, bytes);
    for (let n = from; n < to; ++n) {
      const inv = inverse(x, width, epsilon), r = f32x4.splat(inv);
      let i: usize = 0;
      for (; i < whole; i += 16) v128.store(partial + i, madd(v128.load(dy + i), f32x4.mul(v128.load(x + i), r), v128.load(partial + i)));
      for (; i < bytes; i += 4) store<f32>(partial + i, load<f32>(partial + i) + load<f32>(dy + i) * (load<f32>(x + i) * inv));
      x += bytes; dy += bytes;
    }
    let i: usize = 0;
    for (; i < whole; i += 16) v128.store(dw + i, f32x4.add(v128.load(dw + i), v128.load(partial + i)));
    for (; i < bytes; i += 4) store<f32>(dw + i, load<f32>(dw + i) + load<f32>(partial + i));
  }
}
