/**
 * A reader of drawn pictures that knows the rules and looks at pixels alone: for each quadrant the shape, place and texture whose best
 * colour explains it best. Shapes are kept as drawings, so that nothing is shared with what draws them.
 */
import type { RgbPixels } from "../../src/types.ts";

/** Upper left quarters of each shape with radius 6, centre last; `-` is empty. Triangles are whole, as they have no such quarters. */
const QUARTERS: Record<string, string[]> = {
  disc: ["------#", "---####", "--#####", "-######", "-######", "-######", "#######"],
  square: ["-------", "-######", "-######", "-######", "-######", "-######", "-######"],
  diamond: ["------#", "-----##", "----###", "---####", "--#####", "-######", "#######"],
  ring: ["------#", "---####", "--#####", "-#####-", "-###---", "-###---", "###----"],
  plus: ["-----##", "-----##", "-----##", "-----##", "-----##", "#######", "#######"],
  ex: ["##-----", "###----", "-###---", "--###--", "---###-", "----###", "-----##"],
  frame: ["#######", "#######", "#######", "###----", "###----", "###----", "###----"],
};
const SMALL: Record<string, string[]> = {
  disc: ["-----#", "--####", "-#####", "-#####", "-#####", "######"],
  square: ["------", "-#####", "-#####", "-#####", "-#####", "-#####"],
  diamond: ["-----#", "----##", "---###", "--####", "-#####", "######"],
  ring: ["-----#", "--####", "-#####", "-####-", "-###--", "###---"],
  plus: ["----##", "----##", "----##", "----##", "######", "######"],
  ex: ["##----", "###---", "-###--", "--###-", "---###", "----##"],
  frame: ["######", "######", "######", "###---", "###---", "###---"],
};

type Point = readonly [number, number];

/** Pixels of a shape, from its centre. */
export function points(shape: string, r: number): Point[] {
  const all: Point[] = [];
  for (let y = -r; y <= r; y++) {
    for (let x = -r; x <= r; x++) {
      const inside =
        shape === "triangle"
          ? 2 * Math.abs(x) <= y + r
          : (r === 6 ? QUARTERS : SMALL)[shape]![r - Math.abs(y)]![r - Math.abs(x)] === "#";
      if (inside) all.push([x, y]);
    }
  }
  return all;
}

const BRIGHT: Record<string, (x: number, y: number) => boolean> = {
  solid: () => true,
  rows: (_, y) => y % 4 === 0 || y % 4 === 1,
  columns: (x) => x % 4 === 0 || x % 4 === 1,
  checks: (x, y) => Math.floor(x / 2) % 2 !== Math.floor(y / 2) % 2,
};

const TINTS: Record<string, readonly number[]> = {
  red: [1, 0.1, 0.1],
  green: [0.1, 0.8, 0.1],
  blue: [0.2, 0.3, 1],
  yellow: [1, 1, 0.1],
  pink: [1, 0.3, 0.8],
  cyan: [0.1, 0.9, 0.9],
  white: [1, 1, 1],
  orange: [1, 0.55, 0.1],
};

interface Template {
  shape: string;
  texture: string;
  place: string;
  bright: number[];
  dark: number[];
}

const templates: Template[] = [...Object.keys(QUARTERS), "triangle"].flatMap((shape) =>
  Object.keys(BRIGHT).flatMap((texture) =>
    [5, 6].flatMap((r) =>
      [7, 8, 9].flatMap((cx) =>
        [7, 8, 9].map((cy) => {
          const pixels = points(shape, r).map(([x, y]): Point => [x + cx, y + cy]);
          const at = (lit: boolean) =>
            pixels.filter(([x, y]) => BRIGHT[texture]!(x, y) === lit).map(([x, y]) => y * 16 + x);
          return { shape, texture, place: `${cx} ${cy} ${r}`, bright: at(true), dark: at(false) };
        }),
      ),
    ),
  ),
);

/** Values 0..1 of quadrant q. [256, 3] */
function quadrant({ data }: RgbPixels, q: number): Float64Array {
  const values = new Float64Array(256 * 3);
  for (let y = 0; y < 16; y++) {
    for (let x = 0; x < 16; x++) {
      for (let c = 0; c < 3; c++) {
        const from = ((y + 16 * (q >> 1)) * 32 + x + 16 * (q % 2)) * 3 + c;
        values[(y * 16 + x) * 3 + c] = (data[from]! + 0.5) / 255;
      }
    }
  }
  return values;
}

export interface Seen {
  colour: string;
  shape: string;
  texture: string;
  count: number;
  /** "cx cy r" of each object. */
  places: string[];
}

/** Squared error that an object explains beyond the ground, with the colour that explains most of it. */
function explained(values: Float64Array, { bright, dark }: Template, squares: Float64Array) {
  const colour = [0, 0, 0];
  let gain = 0;
  for (let c = 0; c < 3; c++) {
    let [b, d, error] = [0, 0, 0];
    for (const i of bright) {
      b += values[i * 3 + c]!;
      error += squares[i * 3 + c]!;
    }
    for (const i of dark) {
      d += values[i * 3 + c]!;
      error += squares[i * 3 + c]!;
    }
    const weight = bright.length + dark.length / 16;
    colour[c] = (b + d / 4) / weight;
    let raw = 0;
    for (const i of bright) raw += values[i * 3 + c]! ** 2;
    for (const i of dark) raw += values[i * 3 + c]! ** 2;
    gain += error - raw + (b + d / 4) ** 2 / weight;
  }
  return { gain, colour };
}

export function seeLook(pixels: RgbPixels): Seen {
  const quadrants = [0, 1, 2, 3].map((q) => quadrant(pixels, q));
  // the first row and column of a quadrant are never an object's
  const edge = quadrants.flatMap((values) =>
    Array.from({ length: 256 }, (_, i) => i)
      .filter((i) => i < 16 || i % 16 === 0)
      .flatMap((i) => [values[i * 3]!, values[i * 3 + 1]!, values[i * 3 + 2]!]),
  );
  const ground = edge.reduce((sum, one) => sum + one, 0) / edge.length;
  const found = quadrants.map((values) => {
    const squares = values.map((one) => (one - ground) ** 2);
    const best = new Map<string, { gain: number; colour: number[]; place: string; key: string }>();
    for (const template of templates) {
      const { gain, colour } = explained(values, template, squares);
      const key = `${template.shape} ${template.texture}`;
      if (gain > (best.get(key)?.gain ?? Number.NEGATIVE_INFINITY))
        best.set(key, { gain, colour, place: template.place, key });
    }
    return best;
  });
  const strongest = found.map((best) => Math.max(...[...best.values()].map(({ gain }) => gain)));
  const occupied = found.filter((_, q) => strongest[q]! > 2);
  const keys = [...found[0]!.keys()];
  const total = (key: string) => occupied.reduce((sum, best) => sum + best.get(key)!.gain, 0);
  const key = keys.reduce((a, b) => (total(b) > total(a) ? b : a));
  const objects = occupied.map((best) => best.get(key)!);
  const mean = [0, 1, 2].map(
    (c) => objects.reduce((sum, { colour }) => sum + colour[c]!, 0) / objects.length,
  );
  const distance = (tint: readonly number[]) => {
    const factors = Array.from({ length: 31 }, (_, i) => 0.7 + i / 100);
    return Math.min(...factors.map((f) => tint.reduce((sum, one, c) => sum + (one * f - mean[c]!) ** 2, 0)));
  };
  const colours = Object.keys(TINTS);
  const colour = colours.reduce((a, b) => (distance(TINTS[b]!) < distance(TINTS[a]!) ? b : a));
  const [shape, texture] = key.split(" ") as [string, string];
  return { colour, shape, texture, count: occupied.length, places: objects.map(({ place }) => place) };
}

/** Does an object that fills w x h cells have the pixel at (x, y) of its box? */
export function inBox(shape: string, w: number, h: number, x: number, y: number): boolean {
  const [u, v] = [(2 * x + 1) / (4 * w) - 1, (2 * y + 1) / (4 * h) - 1];
  if (shape === "disc") return Math.hypot(u, v) <= 1;
  if (shape === "diamond") return Math.abs(u) + Math.abs(v) <= 1;
  return shape === "square" || x < 2 || y < 2 || x >= 4 * w - 2 || y >= 4 * h - 2;
}

/** Box of cells, end exclusive, that an object of this colour and shape fills best. */
export function seeBox({ data }: RgbPixels, colour: string, shape: string): number[] {
  const tint = TINTS[colour]!;
  const values = Array.from(data, (one) => (one + 0.5) / 255);
  const sorted = [...values].sort((a, b) => a - b);
  const ground = sorted[Math.floor(sorted.length / 2)]!;
  // how much better this colour explains a pixel than the ground and the other colours do
  const better = new Float64Array(32 * 32);
  const others = [[ground, ground, ground], ...Object.values(TINTS).filter((one) => one !== tint)];
  for (let i = 0; i < better.length; i++) {
    const error = (to: readonly number[]) =>
      to.reduce((sum, one, c) => sum + (values[i * 3 + c]! - one) ** 2, 0);
    better[i] = Math.min(...others.map(error)) - error(tint);
  }
  let best = { gain: Number.NEGATIVE_INFINITY, box: [0, 0, 0, 0] };
  for (let w = 2; w <= 4; w++) {
    for (let h = 2; h <= 4; h++) {
      for (let x0 = 0; x0 + w <= 8; x0++) {
        for (let y0 = 0; y0 + h <= 8; y0++) {
          let gain = 0;
          for (let y = 0; y < 4 * h; y++) {
            for (let x = 0; x < 4 * w; x++) {
              if (inBox(shape, w, h, x, y)) gain += better[(y + 4 * y0) * 32 + x + 4 * x0]!;
            }
          }
          if (gain > best.gain) best = { gain, box: [x0, y0, x0 + w, y0 + h] };
        }
      }
    }
  }
  return best.box;
}
