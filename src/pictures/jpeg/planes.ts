import { inkToLight } from "../colour.ts";
import type { Component, Frame } from "./frame.ts";

/** Samples of a component. [8 * paddedDown, 8 * paddedAcross] */
export type Plane = Uint8ClampedArray;

export const strideOf = ({ paddedAcross }: Component) => 8 * paddedAcross;

/** What the components are. Source: libjpeg's guess, which Pillow follows. */
export type ColourSpace = "grey" | "YCbCr" | "RGB" | "CMYK" | "YCCK";

export function colourSpace(frame: Frame, jfif: boolean, adobe: number | null): ColourSpace {
  const ids = frame.components.map(({ id }) => id);
  if (ids.length === 1) return "grey";
  if (ids.length === 4) return adobe === 2 ? "YCCK" : "CMYK";
  if (jfif) return "YCbCr";
  if (adobe !== null) return adobe === 0 ? "RGB" : "YCbCr";
  return String.fromCharCode(...ids) === "RGB" ? "RGB" : "YCbCr";
}

/** Writes row `y` of the picture at full width. */
type RowReader = (y: number, out: Uint8Array) => void;

/** A component at the size of the picture; factors of 2 by libjpeg's triangle filter, others by repetition. */
function rowReader(plane: Plane, component: Component, frame: Frame): RowReader {
  const stride = strideOf(component);
  const { width, height } = component;
  const [sx, sy] = [frame.across / component.across, frame.down / component.down];
  if (sx === 1 && sy === 1) return (y, out) => out.set(plane.subarray(y * stride, y * stride + width));
  const rowAt = (row: number) => Math.min(height - 1, Math.max(0, row)) * stride;
  // the row that is nearer than all but the own one
  const neighbour = (y: number) => (y >> 1) + (y & 1 ? 1 : -1);
  if (sx === 2 && sy === 1 && width > 2)
    return (y, out) => {
      const at = y * stride;
      out[0] = plane[at]!;
      out[1] = (plane[at]! * 3 + plane[at + 1]! + 2) >> 2;
      for (let x = 1; x < width - 1; x++) {
        const value = plane[at + x]! * 3;
        out[2 * x] = (value + plane[at + x - 1]! + 1) >> 2;
        out[2 * x + 1] = (value + plane[at + x + 1]! + 2) >> 2;
      }
      out[2 * width - 2] = (plane[at + width - 1]! * 3 + plane[at + width - 2]! + 1) >> 2;
      out[2 * width - 1] = plane[at + width - 1]!;
    };
  if (sx === 2 && sy === 2 && width > 2) {
    const sums = new Int32Array(width);
    return (y, out) => {
      const [own, other] = [rowAt(y >> 1), rowAt(neighbour(y))];
      for (let x = 0; x < width; x++) sums[x] = plane[own + x]! * 3 + plane[other + x]!;
      out[0] = (sums[0]! * 4 + 8) >> 4;
      out[1] = (sums[0]! * 3 + sums[1]! + 7) >> 4;
      for (let x = 1; x < width - 1; x++) {
        const value = sums[x]! * 3;
        out[2 * x] = (value + sums[x - 1]! + 8) >> 4;
        out[2 * x + 1] = (value + sums[x + 1]! + 7) >> 4;
      }
      out[2 * width - 2] = (sums[width - 1]! * 3 + sums[width - 2]! + 8) >> 4;
      out[2 * width - 1] = (sums[width - 1]! * 4 + 7) >> 4;
    };
  }
  if (sx === 1 && sy === 2)
    return (y, out) => {
      const [own, other, bias] = [rowAt(y >> 1), rowAt(neighbour(y)), y & 1 ? 2 : 1];
      for (let x = 0; x < width; x++) out[x] = (plane[own + x]! * 3 + plane[other + x]! + bias) >> 2;
    };
  return (y, out) => {
    const at = Math.floor(y / sy) * stride;
    for (let x = 0; x < width; x++) out.fill(plane[at + x]!, x * sx, (x + 1) * sx);
  };
}

const fixed = (value: number) => Math.round(value * 65536);
const HALF = 32768;
const [RED_OF_CR, BLUE_OF_CB, GREEN_OF_CR, GREEN_OF_CB] = [1.402, 1.772, 0.71414, 0.34414].map(fixed) as [
  number,
  number,
  number,
  number,
];

/** @returns red, green and blue. [height, width, 3] */
export function planesToRgb(planes: readonly Plane[], frame: Frame, space: ColourSpace): Uint8Array {
  const { width, height } = frame;
  const readers = frame.components.map((component, i) => rowReader(planes[i]!, component, frame));
  const rows = readers.map(() => new Uint8Array(width + 8 * frame.across));
  const [a, b, c, d] = rows as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  const rgb = new Uint8ClampedArray(width * height * 3);
  for (let y = 0, to = 0; y < height; y++, to += 3 * width) {
    readers.forEach((read, i) => {
      read(y, rows[i]!);
    });
    if (space === "grey") interleave(a, a, a, width, rgb, to);
    else if (space === "YCbCr" || space === "YCCK") fromLuma(a, b, c, width, rgb, to);
    else interleave(a, b, c, width, rgb, to);
    if (rows.length === 4) inksToLight(d, space === "YCCK", width, rgb, to);
  }
  return new Uint8Array(rgb.buffer);
}

function interleave(
  a: Uint8Array,
  b: Uint8Array,
  c: Uint8Array,
  width: number,
  rgb: Uint8ClampedArray,
  to: number,
) {
  for (let x = 0, at = to; x < width; x++, at += 3) {
    rgb[at] = a[x]!;
    rgb[at + 1] = b[x]!;
    rgb[at + 2] = c[x]!;
  }
}

/** In libjpeg's integers, 16 bits after the point. */
function fromLuma(
  luma: Uint8Array,
  blue: Uint8Array,
  red: Uint8Array,
  width: number,
  rgb: Uint8ClampedArray,
  to: number,
) {
  for (let x = 0, at = to; x < width; x++, at += 3) {
    const cb = blue[x]! - 128;
    const cr = red[x]! - 128;
    rgb[at] = luma[x]! + ((RED_OF_CR * cr + HALF) >> 16);
    rgb[at + 1] = luma[x]! + ((HALF - GREEN_OF_CB * cb - GREEN_OF_CR * cr) >> 16);
    rgb[at + 2] = luma[x]! + ((BLUE_OF_CB * cb + HALF) >> 16);
  }
}

/** In place. Adobe's files have inks the wrong way round, and Pillow takes every file to be one: 255 is no ink. */
function inksToLight(
  black: Uint8Array,
  inverted: boolean,
  width: number,
  rgb: Uint8ClampedArray,
  to: number,
) {
  for (let i = 0; i < 3 * width; i++) {
    const value = rgb[to + i]!;
    rgb[to + i] = inkToLight(inverted ? value : 255 - value, 255 - black[Math.floor(i / 3)]!);
  }
}
