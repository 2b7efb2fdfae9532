// Element-wise operations, sums, and moves of blocks: replacements of tfjs's scalar loops.

import { exp4, loadTail, sigmoid4, storeTail, sumLanes } from "./simd";

// The operation is a compile-time choice by the size of a type: i8 add, i16 subtract, i32 multiply, i64 divide.
// @ts-ignore: decorator
@inline
function apply<T>(x: v128, y: v128): v128 {
  if (sizeof<T>() == 1) return f32x4.add(x, y);
  if (sizeof<T>() == 2) return f32x4.sub(x, y);
  if (sizeof<T>() == 4) return f32x4.mul(x, y);
  return f32x4.div(x, y);
}

// One row; `aVaries` and `bVaries` say whether an operand has a value for each column or one for all.
// @ts-ignore: decorator
@inline
function binaryRow<T>(a: usize, aVaries: bool, b: usize, bVaries: bool, out: usize, columns: i32): void {
  const x = v128.load32_splat(a), y = v128.load32_splat(b), end = out + (<usize>(columns & ~3) << 2), rest = columns & 3;
  if (aVaries && bVaries) {
    for (; out < end; out += 16) {
      v128.store(out, apply<T>(v128.load(a), v128.load(b)));
      a += 16; b += 16;
    }
    if (rest) storeTail(out, rest, apply<T>(loadTail(a, rest, 1), loadTail(b, rest, 1)));
  } else if (aVaries) {
    for (; out < end; out += 16) {
      v128.store(out, apply<T>(v128.load(a), y));
      a += 16;
    }
    if (rest) storeTail(out, rest, apply<T>(loadTail(a, rest, 1), y));
  } else {
    for (; out < end; out += 16) {
      v128.store(out, apply<T>(x, bVaries ? v128.load(b) : y));
      b += 16;
    }
    if (rest) storeTail(out, rest, apply<T>(x, bVaries ? loadTail(b, rest, 1) : y));
  }
}

/**
 * out[r, c] = a op b over [rows, columns > 0]. `aRow`, `bRow`: bytes from one row of an operand to the next (0: the
 * same row). `operation`: 0 add, 1 subtract, 2 multiply, 3 divide.
 */
export function binary(
  operation: i32, a: usize, aRow: usize, aVaries: bool, b: usize, bRow: usize, bVaries: bool, out: usize, rows: i32, columns: i32,
): void {
  for (let r = 0; r < rows; ++r) {
    if (operation == 0) binaryRow<i8>(a, aVaries, b, bVaries, out, columns);
    else if (operation == 1) binaryRow<i16>(a, aVaries, b, bVaries, out, columns);
    else if (operation == 2) binaryRow<i32>(a, aVaries, b, bVaries, out, columns);
    else binaryRow<i64>(a, aVaries, b, bVaries, out, columns);
    a += aRow; b += bRow; out += <usize>columns << 2;
  }
}

// i8 exp, i16 sigmoid, i32 square
// @ts-ignore: decorator
@inline
function unaryLoop<T>(x: usize, y: usize, size: i32): void {
  for (let i = 0; i < size; i += 4) {
    const rest = size - i;
    const v = rest >= 4 ? v128.load(x) : loadTail(x, rest, 0);
    const w = sizeof<T>() == 1 ? exp4(v) : sizeof<T>() == 2 ? sigmoid4(v) : f32x4.mul(v, v);
    if (rest >= 4) v128.store(y, w);
    else storeTail(y, rest, w);
    x += 16; y += 16;
  }
}

export function exp(x: usize, y: usize, size: i32): void {
  unaryLoop<i8>(x, y, size);
}

export function sigmoid(x: usize, y: usize, size: i32): void {
  unaryLoop<i16>(x, y, size);
}

export function square(x: usize, y: usize, size: i32): void {
  unaryLoop<i32>(x, y, size);
}

/** out[r] = sum of row r; floats over 1,024 entries at a time, float64 over these. */
export function sumRows(x: usize, out: usize, rows: i32, columns: i32): void {
  for (let r = 0; r < rows; ++r) {
    let total: f64 = 0;
    let left = columns;
    while (left > 0) {
      const part = min(left, 1024);
      let s = f32x4.splat(0), t = s;
      let i = 0;
      for (; i + 8 <= part; i += 8) {
        s = f32x4.add(s, v128.load(x));
        t = f32x4.add(t, v128.load(x, 16));
        x += 32;
      }
      for (; i < part; ++i) {
        total += <f64>load<f32>(x);
        x += 4;
      }
      total += <f64>sumLanes(f32x4.add(s, t));
      left -= part;
    }
    store<f32>(out + (<usize>r << 2), <f32>total);
  }
}

/** out[c] = sum over rows, in blocks of 256 rows through `partial` [columns], which keeps rounding errors small. */
export function sumColumns(x: usize, out: usize, partial: usize, rows: i32, columns: i32): void {
  const bytes = <usize>columns << 2;
  memory.fill(out, 0, bytes);
  for (let from = 0; from < rows; from += 256) {
    const to = min(rows, from + 256);
    memory.fill(partial, 0, bytes);
    for (let r = from; r < to; ++r) {
      binaryRow<i8>(partial, true, x, true, partial, columns);
      x += bytes;
    }
    binaryRow<i8>(out, true, partial, true, out, columns);
  }
}

// @ts-ignore: decorator
@inline
function copyBlock(from: usize, to: usize, bytes: usize): void {
  if (bytes > 512) {
    memory.copy(to, from, bytes);
    return;
  }
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) v128.store(to + i, v128.load(from + i));
  for (; i + 4 <= bytes; i += 4) store<u32>(to + i, load<u32>(from + i));
  for (; i < bytes; ++i) store<u8>(to + i, load<u8>(from + i));
}

/** `count` blocks, which lie `fromStride` and `toStride` bytes apart. */
export function copyBlocks(from: usize, fromStride: usize, to: usize, toStride: usize, count: i32, bytes: usize): void {
  for (let i = 0; i < count; ++i) {
    copyBlock(from, to, bytes);
    from += fromStride; to += toStride;
  }
}

/** [outer, first, second] blocks of `bytes` -> [outer, second, first]. */
export function swapAxes(from: usize, to: usize, outer: i32, first: i32, second: i32, bytes: usize): void {
  for (let o = 0; o < outer; ++o) {
    for (let j = 0; j < second; ++j) {
      copyBlocks(from + <usize>j * bytes, <usize>second * bytes, to, bytes, first, bytes);
      to += <usize>first * bytes;
    }
    from += <usize>first * <usize>second * bytes;
  }
}

/** out[n] = table[ids[n]], rows of `bytes`. @returns 0, or 1 + the first n whose id is outside [0, rows) */
export function gatherRows(table: usize, ids: usize, out: usize, count: i32, rows: i32, bytes: usize): i32 {
  for (let n = 0; n < count; ++n) {
    const id = load<u32>(ids + (<usize>n << 2));
    if (id >= <u32>rows) return n + 1;
    copyBlock(table + <usize>id * bytes, out, bytes);
    out += bytes;
  }
  return 0;
}
