import type { RgbPixels } from "../types.ts";

/** Pillow's numbers for its filters, as `resample` of a processor's file has them. */
export const FILTERS = {
  1: { name: "Lanczos", support: 3, weight: (x: number) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
  2: { name: "bilinear", support: 1, weight: (x: number) => Math.max(0, 1 - Math.abs(x)) },
  3: { name: "bicubic", support: 2, weight: (x: number) => cubic(Math.abs(x)) },
  4: { name: "box", support: 0.5, weight: (x: number) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
} as const;

export type Filter = keyof typeof FILTERS;

export const isFilter = (value: unknown): value is Filter => typeof value === "number" && value in FILTERS;

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

/** Keys' cubic with a = -0.5. */
function cubic(x: number): number {
  const a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/** Weights are integers with as many bits after the point: 8 bits of a colour and 2 of headroom stay of 32. */
const PRECISION_BITS = 22;

/** For each place of the result: the first source sample that counts, how many do, and their weights. */
interface Taps {
  first: Int32Array;
  count: Int32Array;
  /** [size, stride] */
  weights: Int32Array;
  stride: number;
}

/** A smaller picture takes a wider filter, which is what antialiases it. */
function taps(from: number, size: number, filter: Filter): Taps {
  const { support: radius, weight } = FILTERS[filter];
  const scale = from / size;
  const stretch = Math.max(scale, 1);
  const support = radius * stretch;
  const stride = Math.ceil(support) * 2 + 1;
  const [first, count] = [new Int32Array(size), new Int32Array(size)];
  const weights = new Int32Array(size * stride);
  const exact = new Float64Array(stride);
  for (let i = 0; i < size; i++) {
    const center = (i + 0.5) * scale;
    const begin = Math.max(0, Math.trunc(center - support + 0.5));
    const taken = Math.min(from, Math.trunc(center + support + 0.5)) - begin;
    let sum = 0;
    for (let k = 0; k < taken; k++) {
      exact[k] = weight((k + begin - center + 0.5) * (1 / stretch));
      sum += exact[k]!;
    }
    for (let k = 0; k < taken; k++) {
      const share = (sum === 0 ? exact[k]! : exact[k]! / sum) * (1 << PRECISION_BITS);
      weights[i * stride + k] = Math.trunc(share < 0 ? share - 0.5 : share + 0.5);
    }
    first[i] = begin;
    count[i] = taken;
  }
  return { first, count, weights, stride };
}

const HALF = 1 << (PRECISION_BITS - 1);

const clamp = (value: number) => (value < 0 ? 0 : value > 255 ? 255 : value);

function resizeWidth({ width, height, data }: RgbPixels, size: number, filter: Filter): RgbPixels {
  const { first, count, weights, stride } = taps(width, size, filter);
  const out = new Uint8Array(size * height * 3);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < size; x++, to += 3) {
      let [red, green, blue] = [HALF, HALF, HALF];
      let from = (y * width + first[x]!) * 3;
      const end = x * stride + count[x]!;
      for (let k = x * stride; k < end; k++, from += 3) {
        const weight = weights[k]!;
        red += data[from]! * weight;
        green += data[from + 1]! * weight;
        blue += data[from + 2]! * weight;
      }
      out[to] = clamp(red >> PRECISION_BITS);
      out[to + 1] = clamp(green >> PRECISION_BITS);
      out[to + 2] = clamp(blue >> PRECISION_BITS);
    }
  }
  return { width: size, height, data: out };
}

function resizeHeight({ width, height, data }: RgbPixels, size: number, filter: Filter): RgbPixels {
  const { first, count, weights, stride } = taps(height, size, filter);
  const row = width * 3;
  const out = new Uint8Array(row * size);
  const sums = new Int32Array(row);
  for (let y = 0; y < size; y++) {
    sums.fill(HALF);
    for (let k = 0; k < count[y]!; k++) {
      const weight = weights[y * stride + k]!;
      const from = (first[y]! + k) * row;
      for (let i = 0; i < row; i++) sums[i] = sums[i]! + data[from + i]! * weight;
    }
    for (let i = 0; i < row; i++) out[y * row + i] = clamp(sums[i]! >> PRECISION_BITS);
  }
  return { width, height: size, data: out };
}

/**
 * As `Image.resize` of Pillow 13: one side after the other, rounded to 8 bits between; a side that keeps its size is left alone.
 * Columns go first, as in all older versions, unless the height shrinks by more than twice as many pixels as the width does.
 * @param width of the result, in pixels, at least 1
 */
export function resize(pixels: RgbPixels, width: number, height: number, filter: Filter): RgbPixels {
  const across = (one: RgbPixels) => (one.width === width ? one : resizeWidth(one, width, filter));
  const down = (one: RgbPixels) => (one.height === height ? one : resizeHeight(one, height, filter));
  const lost = { width: pixels.width - width, height: pixels.height - height };
  const rowsFirst = lost.height > 0 && lost.height > 2 * lost.width;
  return rowsFirst ? across(down(pixels)) : down(across(pixels));
}
