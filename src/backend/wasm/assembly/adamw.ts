// One AdamW update of `size` weights into new arrays.

import { loadTail, madd, nmadd, storeTail } from "./simd";

export function adamw(
  w: usize, m: usize, v: usize, g: usize, wOut: usize, mOut: usize, vOut: usize, size: i32,
  decay: f32, stepSize: f32, beta1: f64, beta2: f64, secondScale: f32, epsilon: f32,
): void {
  const b1 = f32x4.splat(<f32>beta1), c1 = f32x4.splat(<f32>(1 - beta1));
  const b2 = f32x4.splat(<f32>beta2), c2 = f32x4.splat(<f32>(1 - beta2));
  const keep = f32x4.splat(decay), rate = f32x4.splat(stepSize), scale = f32x4.splat(secondScale), eps = f32x4.splat(epsilon);
  for (let i = 0; i < size; i += 4) {
    const n = size - i, whole = n >= 4;
    const gradient = whole ? v128.load(g) : loadTail(g, n, 0);
    const first = madd(gradient, c1, f32x4.mul(whole ? v128.load(m) : loadTail(m, n, 0), b1));
    const second = madd(f32x4.mul(gradient, gradient), c2, f32x4.mul(whole ? v128.load(v) : loadTail(v, n, 0), b2));
    const change = f32x4.div(first, madd(f32x4.sqrt(second), scale, eps));
    const next = nmadd(change, rate, f32x4.mul(whole ? v128.load(w) : loadTail(w, n, 0), keep));
    if (whole) {
      v128.store(wOut, next); v128.store(mOut, first); v128.store(vOut, second);
    } else {
      storeTail(wOut, n, next); storeTail(mOut, n, first); storeTail(vOut, n, second);
    }
    w += 16; m += 16; v += 16; g += 16; wOut += 16; mOut += 16; vOut += 16;
  }
}
