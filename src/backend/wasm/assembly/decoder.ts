// Rotary embedding, SwiGLU, embedding gradient.

import { loadTail, madd, nmadd, sigmoid4, storeTail } from "./simd";

/**
 * Rotate-half by (cos, sin) with the exchange of heads and tokens. cos and sin [cosRows, tokens, half],
 * cosRows 1 or `rows`. Forward: x [rows, tokens, heads, 2 half] -> y [rows, heads, tokens, 2 half];
 * inverse: the other way round, by the negative angle.
 */
export function rope(
  x: usize, cos: usize, sin: usize, y: usize, rows: i32, tokens: i32, heads: i32, half: i32, cosRows: i32, inverse: bool,
): void {
  const h: usize = <usize>half << 2, d = h << 1, whole = h & ~15, rest = half & 3;
  for (let r = 0; r < rows; ++r) {
    for (let t = 0; t < tokens; ++t) {
      const angle = (<usize>(cosRows == 1 ? 0 : r) * tokens + t) * h;
      const c = cos + angle, s = sin + angle;
      for (let k = 0; k < heads; ++k) {
        const tokenFirst = ((<usize>r * tokens + t) * heads + k) * d, headFirst = ((<usize>r * heads + k) * tokens + t) * d;
        const from = x + (inverse ? headFirst : tokenFirst), to = y + (inverse ? tokenFirst : headFirst);
        let i: usize = 0;
        for (; i < whole; i += 16) {
          const a = v128.load(from + i), b = v128.load(from + h + i), u = v128.load(c + i);
          let w = v128.load(s + i);
          if (inverse) w = f32x4.neg(w);
          v128.store(to + i, nmadd(b, w, f32x4.mul(a, u)));
          v128.store(to + h + i, madd(a, w, f32x4.mul(b, u)));
        }
        if (rest) {
          const a = loadTail(from + i, rest, 0), b = loadTail(from + h + i, rest, 0), u = loadTail(c + i, rest, 0);
          let w = loadTail(s + i, rest, 0);
          if (inverse) w = f32x4.neg(w);
          storeTail(to + i, rest, nmadd(b, w, f32x4.mul(a, u)));
          storeTail(to + h + i, rest, madd(a, w, f32x4.mul(b, u)));
        }
      }
    }
  }
}

/** y = silu(gate) * up over `size` floats. */
export function swiglu(gate: usize, up: usize, y: usize, size: i32): void {
  let i = 0;
  for (; i + 4 <= size; i += 4) {
    const g = v128.load(gate);
    v128.store(y, f32x4.mul(f32x4.mul(g, sigmoid4(g)), v128.load(up)));
    gate += 16; up += 16; y += 16;
  }
  if (i < size) {
    const g = loadTail(gate, size - i, 0);
    storeTail(y, size - i, f32x4.mul(f32x4.mul(g, sigmoid4(g)), loadTail(up, size - i, 0)));
  }
}

export function swigluGrad(gate: usize, up: usize, dy: usize, dgate: usize, dup: usize, size: i32): void {
  const one = f32x4.splat(1);
  let i = 0;
  for (; i + 4 <= size; i += 4) {
    const g = v128.load(gate), d = v128.load(dy), s = sigmoid4(g), silu = f32x4.mul(g, s);
    v128.store(dgate, f32x4.mul(f32x4.mul(d, v128.load(up)), madd(silu, f32x4.sub(one, s), s)));
    v128.store(dup, f32x4.mul(d, silu));
    gate += 16; up += 16; dy += 16; dgate += 16; dup += 16;
  }
  if (i < size) {
    const n = size - i;
    const g = loadTail(gate, n, 0), d = loadTail(dy, n, 0), s = sigmoid4(g), silu = f32x4.mul(g, s);
    storeTail(dgate, n, f32x4.mul(f32x4.mul(d, loadTail(up, n, 0)), madd(silu, f32x4.sub(one, s), s)));
    storeTail(dup, n, f32x4.mul(d, silu));
  }
}

/**
 * table[ids[n], :] += dy[n, :], from zero, in order of n. table [vocabulary, width].
 * @returns 0, or 1 + the first n whose id is outside the table
 */
export function embeddingGrad(ids: usize, dy: usize, table: usize, count: i32, vocabulary: i32, width: i32): i32 {
  const bytes = <usize>width << 2, whole = bytes & ~15;
  memory.fill(table, 0, <usize>vocabulary * bytes);
  for (let n = 0; n < count; ++n) {
    const id = load<u32>(ids + (<usize>n << 2));
    if (id >= <u32>vocabulary) return n + 1;
    const row = table + <usize>id * bytes;
    let i: usize = 0;
    for (; i < whole; i += 16) v128.store(row + i, f32x4.add(v128.load(row + i), v128.load(dy + i)));
    for (; i < bytes; i += 4) store<f32>(row + i, load<f32>(row + i) + load<f32>(dy + i));
    dy += bytes;
  }
  return 0;
}
