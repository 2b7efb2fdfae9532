/** Drawing of 32 x 32 pictures: objects on a grey ground under noise, collages, and enlarged real ones. Pure functions. */
import type { Rng } from "../lib/rng.ts";
import type { RgbPixels } from "../types.ts";
import type { COLOURS, SHAPES, TEXTURES } from "./pictures-world.ts";

export const SIDE = 32;
const QUADRANT = 16;
/** Standard deviation of the noise on each channel of each pixel; colours lie in 0..1. */
const NOISE = 0.15;

type Rgb = readonly [number, number, number];
export type Colour = (typeof COLOURS)[number];
export type Shape = (typeof SHAPES)[number];

const RGB: Readonly<Record<Colour, Rgb>> = {
  red: [1, 0.1, 0.1],
  green: [0.1, 0.8, 0.1],
  blue: [0.2, 0.3, 1],
  yellow: [1, 1, 0.1],
  pink: [1, 0.3, 0.8],
  cyan: [0.1, 0.9, 0.9],
  white: [1, 1, 1],
  orange: [1, 0.55, 0.1],
};

/** What a drawn picture shows. All its objects are alike. */
export interface Look {
  colour: Colour;
  shape: Shape;
  texture: (typeof TEXTURES)[number];
  /** Objects, 1 to 4. */
  count: number;
}

/** Does a shape of radius r hold the pixel at (dx, dy) from its centre? */
function holds(shape: Shape, dx: number, dy: number, r: number): boolean {
  const [x, y] = [Math.abs(dx), Math.abs(dy)];
  const m = Math.max(x, y);
  const q = dx * dx + dy * dy;
  switch (shape) {
    case "disc":
      return q <= r * r;
    case "square":
      return m <= r - 1;
    case "diamond":
      return x + y <= r;
    case "ring":
      return (r - 3) ** 2 < q && q <= r * r;
    case "plus":
      return m <= r && Math.min(x, y) <= 1;
    case "ex":
      return m <= r && Math.abs(x - y) <= 1;
    case "triangle":
      return y <= r && x <= (dy + r) / 2;
    case "frame":
      return r - 3 < m && m <= r;
  }
}

/** 1 where the texture is bright, else 0. */
function weave(texture: Look["texture"], x: number, y: number): number {
  switch (texture) {
    case "solid":
      return 1;
    case "rows":
      return y % 4 < 2 ? 1 : 0;
    case "columns":
      return x % 4 < 2 ? 1 : 0;
    case "checks":
      return ((x >> 1) + (y >> 1)) % 2;
  }
}

/** A grey ground, uniform in 0..0.3. [32, 32, 3] */
function ground(rng: Rng): Float64Array {
  return new Float64Array(SIDE * SIDE * 3).fill(0.3 * rng.uniform(0));
}

function paint(canvas: Float64Array, x: number, y: number, colour: Colour, brightness: number): void {
  for (let c = 0; c < 3; c++) canvas[(y * SIDE + x) * 3 + c] = RGB[colour][c]! * brightness;
}

/** Adds the noise, clips, and truncates to 8 bits. */
function develop(canvas: Float64Array, rng: Rng): RgbPixels {
  const data = new Uint8Array(canvas.length);
  for (let i = 0; i < canvas.length; i += 2) {
    // a Box-Muller pair of one draw's halves: noise is what drawing takes its time for, and 16 bits are enough for it
    const bits = rng.uint32(i / 2);
    const radius = NOISE * Math.sqrt(-2 * Math.log(((bits >>> 16) + 1) / 2 ** 16));
    const angle = (2 * Math.PI * (bits & 0xffff)) / 2 ** 16;
    data[i] = toByte(canvas[i]! + radius * Math.cos(angle));
    data[i + 1] = toByte(canvas[i + 1]! + radius * Math.sin(angle));
  }
  return { width: SIDE, height: SIDE, data };
}

const toByte = (value: number): number => Math.trunc(Math.min(1, Math.max(0, value)) * 255);

/** `count` of the four quadrants hold one object each. */
export function drawLook({ colour, shape, texture, count }: Look, rng: Rng): RgbPixels {
  const canvas = ground(rng.fork("ground"));
  const factor = 0.7 + 0.3 * rng.fork("brightness").uniform(0);
  for (const quadrant of rng.fork("quadrants").permutation(4).slice(0, count)) {
    const draw = rng.fork("object", quadrant);
    const [cx, cy, r] = [7 + draw.integer(3, 0), 7 + draw.integer(3, 1), 5 + draw.integer(2, 2)];
    for (let y = 0; y < QUADRANT; y++) {
      for (let x = 0; x < QUADRANT; x++) {
        if (!holds(shape, x - cx, y - cy, r)) continue;
        const [px, py] = [x + QUADRANT * (quadrant % 2), y + QUADRANT * (quadrant >> 1)];
        paint(canvas, px, py, colour, (0.25 + 0.75 * weave(texture, x, y)) * factor);
      }
    }
  }
  return develop(canvas, rng.fork("noise"));
}

export const sceneShapes = ["disc", "square", "diamond", "frame"] as const satisfies readonly Shape[];

/** An object that fills a box of cells, end exclusive: [x0, y0, x1, y1]. */
export interface SceneObject {
  colour: Colour;
  shape: (typeof sceneShapes)[number];
  box: readonly [number, number, number, number];
}

/** Pixels per cell of a scene's 8 x 8 grid. */
const CELL = 4;

function fills(shape: SceneObject["shape"], x: number, y: number, width: number, height: number): boolean {
  // from the middle, in halves of the box
  const u = Math.abs(x + 0.5 - width / 2) / (width / 2);
  const v = Math.abs(y + 0.5 - height / 2) / (height / 2);
  switch (shape) {
    case "disc":
      return u * u + v * v <= 1;
    case "square":
      return true;
    case "diamond":
      return u + v <= 1;
    case "frame":
      return Math.min(x, y, width - 1 - x, height - 1 - y) < 2;
  }
}

export function drawScene(objects: readonly SceneObject[], rng: Rng): RgbPixels {
  const canvas = ground(rng.fork("ground"));
  for (const { colour, shape, box } of objects) {
    const [x0, y0, x1, y1] = box.map((place) => place * CELL) as [number, number, number, number];
    for (let y = y0; y < y1; y++) {
      for (let x = x0; x < x1; x++) {
        if (fills(shape, x - x0, y - y0, x1 - x0, y1 - y0)) paint(canvas, x, y, colour, 1);
      }
    }
  }
  return develop(canvas, rng.fork("noise"));
}

/** Each quadrant from another picture: what shows nothing of one class. @param pictures four, in the order of quadrants */
export function collage(pictures: readonly RgbPixels[]): RgbPixels {
  const data = new Uint8Array(SIDE * SIDE * 3);
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const from = pictures[(y < QUADRANT ? 0 : 2) + (x < QUADRANT ? 0 : 1)]!;
      const at = (y * SIDE + x) * 3;
      data.set(from.data.subarray(at, at + 3), at);
    }
  }
  return { width: SIDE, height: SIDE, data };
}

/** Three equal channels of a grey picture, in which each value becomes `scale` x `scale` pixels, in the middle of black. */
export function fromGrey(values: ArrayLike<number>, side: number, scale: number): RgbPixels {
  const data = new Uint8Array(SIDE * SIDE * 3);
  const margin = (SIDE - side * scale) / 2;
  for (let y = 0; y < side * scale; y++) {
    for (let x = 0; x < side * scale; x++) {
      const value = values[Math.floor(y / scale) * side + Math.floor(x / scale)]!;
      data.fill(value, ((y + margin) * SIDE + x + margin) * 3, ((y + margin) * SIDE + x + margin + 1) * 3);
    }
  }
  return { width: SIDE, height: SIDE, data };
}

/** A picture of nothing. */
export function plainGrey(): RgbPixels {
  return { width: SIDE, height: SIDE, data: new Uint8Array(SIDE * SIDE * 3).fill(127) };
}
