import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { createRng } from "../../src/lib/rng.ts";
import { decodePicture } from "../../src/pictures/decode.ts";
import { THUMBNAIL_SIDE, thumbnail } from "../../src/pictures/thumbnail.ts";
import { writePng } from "../../src/pictures/write-png.ts";
import type { RgbPixels } from "../../src/types.ts";

const rng = createRng(4);
const drawn = (width: number, height: number, value: (i: number) => number): RgbPixels => ({
  width,
  height,
  data: Uint8Array.from({ length: width * height * 3 }, (_, i) => value(i)),
});
const noise = (width: number, height: number) => drawn(width, height, (i) => rng.integer(256, i));

it.each([
  ["noise", noise(31, 17)],
  ["one pixel", noise(1, 1)],
  ["a column", noise(1, 40)],
  ["a row", noise(40, 1)],
  ["one colour", drawn(50, 50, (i) => [10, 200, 30][i % 3]!)],
  ["a slope", drawn(64, 64, (i) => ((i / 3) % 64) * 3 + Math.floor(i / 192))],
])("a written PNG is read as it was: %s", (_, pixels) => {
  expect(decodePicture(writePng(pixels), "written")).toEqual(pixels);
});

it("rows are filtered: a slope takes a small part of its pixels", () => {
  const slope = drawn(96, 96, (i) => (((i / 3) % 96) * 2 + Math.floor(i / 288)) & 255);
  expect(writePng(slope).length).toBeLessThan(1500);
});

const named = (pixels: RgbPixels | Uint8Array) => ({ id: "a", name: "a picture", load: () => pixels });

it("thumbnails have at most 96 pixels a side, and the picture's own size beside them", () => {
  const sizes: [[number, number], [number, number]][] = [
    [
      [200, 100],
      [96, 48],
    ],
    [
      [100, 300],
      [32, 96],
    ],
    [
      [3000, 2],
      [96, 1],
    ],
    [
      [96, 96],
      [96, 96],
    ],
    [
      [8, 5],
      [8, 5],
    ],
  ];
  for (const [size, small] of sizes) {
    const { width, height, png } = thumbnail(named(noise(...size)));
    expect([width, height]).toEqual(size);
    const read = decodePicture(png, "thumbnail");
    expect([read.width, read.height]).toEqual(small);
  }
});

it("nothing takes more than 28 KiB", () => {
  expect(thumbnail(named(noise(THUMBNAIL_SIDE, THUMBNAIL_SIDE))).png.length).toBeLessThan(28 * 1024);
});

it("pictures stand upright, as a model sees them", () => {
  const [upright, turned] = [1, 6].map((n) =>
    thumbnail(named(new Uint8Array(readFileSync(`tests/golden/pictures/orientation-${n}.png`)))),
  );
  const { width, height } = decodePicture(
    new Uint8Array(readFileSync("tests/golden/pictures/orientation-1.png")),
    "as it lies",
  );
  expect([upright!.width, upright!.height]).toEqual([width, height]);
  expect([turned!.width, turned!.height]).toEqual([height, width]);
});

it("a file that is no picture is named", () => {
  expect(() => thumbnail(named(new Uint8Array([1, 2, 3])))).toThrow(/^a picture: .*it is no PNG/);
});
