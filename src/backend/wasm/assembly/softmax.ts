// Softmax over rows: attention weights, their gradient, and statistics of next-token distributions.

import { exp4, loadTail, madd, maxLanes, storeTail, sumLanes } from "./simd";

// @ts-ignore: decorator
@external("env", "log")
declare function log(x: f64): f64;

/**
 * p[q, :] = softmax(scale * scores[q, :] + mask), rows q = ((r * heads) + k) * tokens + t:
 * `perRow` rows of scores share row r of the mask [maskRows, tokens, keys]; mask 0 when there is none.
 */
export function maskedSoftmax(
  scores: usize, mask: usize, p: usize, rows: i32, perRow: i32, tokens: i32, keys: i32, maskRows: i32, scale: f32,
): void {
  const bytes = <usize>keys << 2, whole = bytes & ~15, rest = keys & 3, factor = f32x4.splat(scale);
  if (keys == 0) return;
  for (let r = 0; r < rows; ++r) {
    const block = mask + (maskRows == 1 ? 0 : <usize>r * tokens * bytes);
    let t = 0;
    for (let q = 0; q < perRow; ++q) {
      const m = block + <usize>t * bytes;
      if (++t == tokens) t = 0;
      let top = f32x4.splat(-Infinity);
      let i: usize = 0;
      for (; i < whole; i += 16) {
        let z = f32x4.mul(v128.load(scores + i), factor);
        if (mask) z = f32x4.add(z, v128.load(m + i));
        v128.store(p + i, z);
        top = f32x4.pmax(top, z);
      }
      if (rest) {
        let z = f32x4.mul(loadTail(scores + i, rest, 0), factor);
        if (mask) z = f32x4.add(z, loadTail(m + i, rest, 0));
        storeTail(p + i, rest, z);
        top = f32x4.pmax(top, loadTail(p + i, rest, -Infinity));
      }
      const highest = f32x4.splat(maxLanes(top));
      let sum = f32x4.splat(0);
      for (i = 0; i < whole; i += 16) {
        const e = exp4(f32x4.sub(v128.load(p + i), highest));
        v128.store(p + i, e);
        sum = f32x4.add(sum, e);
      }
      if (rest) {
        const e = exp4(f32x4.sub(loadTail(p + i, rest, -Infinity), highest));
        storeTail(p + i, rest, e);
        sum = f32x4.add(sum, e);
      }
      const share = f32x4.splat(1 / sumLanes(sum));
      for (i = 0; i < whole; i += 16) v128.store(p + i, f32x4.mul(v128.load(p + i), share));
      if (rest) storeTail(p + i, rest, f32x4.mul(loadTail(p + i, rest, 0), share));
      scores += bytes; p += bytes;
    }
  }
}

/** dscores = scale * p * (dy - sum(dy * p)) in each of `rows` rows of `keys`. */
export function maskedSoftmaxGrad(p: usize, dy: usize, dx: usize, rows: i32, keys: i32, scale: f32): void {
  const bytes = <usize>keys << 2, whole = bytes & ~15, rest = keys & 3, factor = f32x4.splat(scale);
  for (let q = 0; q < rows; ++q) {
    let s = f32x4.splat(0);
    let i: usize = 0;
    for (; i < whole; i += 16) s = madd(v128.load(p + i), v128.load(dy + i), s);
    if (rest) s = madd(loadTail(p + i, rest, 0), loadTail(dy + i, rest, 0), s);
    const mean = f32x4.splat(sumLanes(s));
    for (i = 0; i < whole; i += 16) {
      v128.store(dx + i, f32x4.mul(f32x4.mul(factor, v128.load(p + i)), f32x4.sub(v128.load(dy + i), mean)));
    }
    if (rest) {
      storeTail(dx + i, rest, f32x4.mul(f32x4.mul(factor, loadTail(p + i, rest, 0)), f32x4.sub(loadTail(dy + i, rest, 0), mean)));
    }
    p += bytes; dy += bytes; dx += bytes;
  }
}

/**
 * Of z = logits / temperature, rows of `vocabulary`: z[target] - lse, entropy, lse. out [rows, 3].
 * @returns 0, or 1 + the first row whose target is outside the vocabulary
 */
export function tokenStats(logits: usize, targets: usize, out: usize, rows: i32, vocabulary: i32, temperature: f64): i32 {
  const bytes = <usize>vocabulary << 2, whole = bytes & ~15, rest = vocabulary & 3;
  const inverse = <f32>(1 / temperature), factor = f32x4.splat(inverse);
  for (let q = 0; q < rows; ++q) {
    if (load<u32>(targets) >= <u32>vocabulary) return q + 1;
    let top = f32x4.splat(-Infinity);
    let i: usize = 0;
    for (; i < whole; i += 16) top = f32x4.pmax(top, f32x4.mul(v128.load(logits + i), factor));
    if (rest) top = f32x4.pmax(top, f32x4.mul(loadTail(logits + i, rest, load<f32>(logits + i)), factor));
    const highest = maxLanes(top), shift = f32x4.splat(highest);
    let total: f64 = 0, weighted: f64 = 0;
    i = 0;
    while (i < whole) {
      // float sums over 1,024 entries at a time, float64 over these
      const stop = min(whole, i + 4096);
      let s = f32x4.splat(0), w = s;
      for (; i < stop; i += 16) {
        const d = f32x4.sub(f32x4.mul(v128.load(logits + i), factor), shift), e = exp4(d);
        s = f32x4.add(s, e);
        w = madd(e, f32x4.pmax(d, f32x4.splat(-1e30)), w);
      }
      total += <f64>sumLanes(s);
      weighted += <f64>sumLanes(w);
    }
    if (rest) {
      const d = f32x4.sub(f32x4.mul(loadTail(logits + i, rest, -Infinity), factor), shift), e = exp4(d);
      total += <f64>sumLanes(e);
      weighted += <f64>sumLanes(f32x4.mul(e, f32x4.pmax(d, f32x4.splat(-1e30))));
    }
    const rise = log(total);
    const z = load<f32>(logits + (<usize>load<i32>(targets) << 2)) * inverse;
    store<f32>(out, <f32>(<f64>(z - highest) - rise));
    store<f32>(out, <f32>(rise - weighted / total), 4);
    store<f32>(out, <f32>(<f64>highest + rise), 8);
    logits += bytes; targets += 4; out += 12;
  }
  return 0;
}

/** dlogits = dy / temperature * (1[v = target] - exp(logits / temperature - lse)). @returns as tokenStats */
export function tokenLogprobGrad(
  logits: usize, targets: usize, lse: usize, dy: usize, dlogits: usize, rows: i32, vocabulary: i32, temperature: f64,
): i32 {
  const bytes = <usize>vocabulary << 2, whole = bytes & ~15, rest = vocabulary & 3;
  const inverse = <f32>(1 / temperature), factor = f32x4.splat(inverse);
  for (let q = 0; q < rows; ++q) {
    if (load<u32>(targets) >= <u32>vocabulary) return q + 1;
    const slope = load<f32>(dy) * inverse, minus = f32x4.splat(-slope), shift = f32x4.splat(load<f32>(lse));
    let i: usize = 0;
    for (; i < whole; i += 16) {
      v128.store(dlogits + i, f32x4.mul(minus, exp4(f32x4.sub(f32x4.mul(v128.load(logits + i), factor), shift))));
    }
    if (rest) storeTail(dlogits + i, rest, f32x4.mul(minus, exp4(f32x4.sub(f32x4.mul(loadTail(logits + i, rest, 0), factor), shift))));
    const at = dlogits + (<usize>load<i32>(targets) << 2);
    store<f32>(at, load<f32>(at) + slope);
    logits += bytes; dlogits += bytes; targets += 4; lse += 4; dy += 4;
  }
  return 0;
}
