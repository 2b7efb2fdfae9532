import { deflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { DataError } from "../../src/lib/errors.ts";
import { overWhite } from "../../src/pictures/colour.ts";
import { decodePicture, MAX_PIXELS, pictureSize } from "../../src/pictures/decode.ts";
import { golden, goldenFile, largestDifference, unpacked } from "./golden.ts";

describe("pixels are Pillow's", () => {
  it.each(Object.entries(golden.decoded))("%s", (name, { width, height, rgb }) => {
    const bytes = goldenFile(name);
    const pixels = decodePicture(bytes, name);
    expect([pixels.width, pixels.height]).toEqual([width, height]);
    // not one grey level: libjpeg-turbo's and libwebp's numbers are met to the bit
    expect(largestDifference(pixels.data, unpacked(rgb))).toBe(0);
    expect(pictureSize(bytes, name)).toEqual({ width, height });
  });

  it("of every kind that was asked for", () => {
    const names = Object.keys(golden.decoded);
    expect(names.length).toBeGreaterThan(100);
    for (const kind of ["png", "jpg", "webp", "gif"])
      expect(names.filter((name) => name.endsWith(kind)).length).toBeGreaterThan(5);
    const modes = new Set(Object.values(golden.decoded).map(({ mode }) => mode));
    for (const mode of ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK"]) expect(modes).toContain(mode);
  });

  it("the same bytes twice, and the file is left as it was", () => {
    for (const name of ["rgba.png", "420-progressive-67x50.jpg", "lossy-alpha.webp", "interlaced.gif"]) {
      const bytes = goldenFile(name);
      const before = bytes.slice();
      expect(decodePicture(bytes, name)).toEqual(decodePicture(bytes, name));
      expect(bytes).toEqual(before);
    }
  });
});

it("blends over white as Pillow's alpha_composite does", () => {
  // calculated by hand: (100*128 + 255*127)/255 = 177.2, and Pillow's own values of another alpha
  const rgba = Uint8Array.from([100, 50, 25, 0, 100, 50, 25, 128, 7, 77, 177, 200, 1, 2, 3, 255]);
  expect([...overWhite(rgba)]).toEqual([255, 255, 255, 177, 152, 140, 60, 115, 194, 1, 2, 3]);
});

const error = (act: () => unknown): string => {
  try {
    act();
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(DataError);
    return (thrown as Error).message;
  }
  throw new Error("nothing was thrown");
};
const fault = (bytes: Uint8Array, limits = {}) => error(() => decodePicture(bytes, "photos/cat.png", limits));
const text = (value: string) => new Uint8Array(Buffer.from(value, "latin1"));

describe("faults name the picture, what is wrong and what to do", () => {
  it("empty, no picture, cut off, without a frame", () => {
    expect(fault(new Uint8Array())).toBe(
      "photos/cat.png: this picture cannot be used: the file is empty. Put the picture there, or take the row out.",
    );
    expect(fault(text("hello"))).toContain("it is no PNG, JPEG, WebP, GIF file");
    expect(fault(text("<!DOCTYPE html><p>404"))).toContain(
      "looks like a web page, as a failed download leaves behind",
    );
    expect(fault(text("version https://git-lfs.github.com/spec/v1"))).toContain("git lfs pull");
    expect(fault(text("II*\0aaaa"))).toContain("a TIFF");
    for (const name of [
      "rgb.png",
      "420-sequential-67x50.jpg",
      "420-progressive-67x50.jpg",
      "lossy.webp",
      "long.gif",
    ])
      expect(fault(goldenFile(name).slice(0, -40)), name).toMatch(
        /the file is (cut off|damaged: a scan ends early)\./,
      );
    expect(fault(text("GIF89a\x05\0\x05\0\0\0\0;"))).toContain("it has no frame");
  });

  it("a picture that unpacks to more than the bound, from its header alone", () => {
    const png = goldenFile("rgb.png");
    new DataView(png.buffer).setUint32(16, 65535);
    new DataView(png.buffer).setUint32(20, 65535);
    expect(fault(png)).toContain(`its header says 65535 x 65535 pixels, more than ${MAX_PIXELS} in all`);
    expect(error(() => pictureSize(png, "x"))).toContain("65535 x 65535");
    const jpeg = goldenFile("grey.jpg");
    const at = Buffer.from(jpeg).indexOf(Buffer.from([0xff, 0xc0]));
    jpeg.fill(0xff, at + 5, at + 9);
    expect(fault(jpeg)).toContain("65535 x 65535");
    expect(fault(goldenFile("rgb.png"), { pixels: 29 * 21 - 1 })).toContain("29 x 21 pixels, more than 608");
    expect(decodePicture(goldenFile("rgb.png"), "x", { pixels: 29 * 21 }).width).toBe(29);
    expect(fault(goldenFile("rgb.png"), { bytes: 100 })).toMatch(/the file has \d+ bytes, more than 100/);
  });

  it("pixels that unpack to more than the header says", () => {
    const png = Buffer.from(goldenFile("rgb.png"));
    const idat = Buffer.concat([Buffer.from("IDAT"), deflateSync(Buffer.alloc(50_000_000))]);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(idat.length - 4);
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE(crc32(idat));
    const bomb = Buffer.concat([png.subarray(0, 33), length, idat, sum, png.subarray(-12)]);
    expect(fault(new Uint8Array(bomb))).toContain("its pixels unpack to more than its header says");
  });

  it("a header that promises more pixels than the file has bytes for is refused before memory is taken", () => {
    for (const [name, marker] of [
      ["420-sequential-17x33.jpg", 0xc0],
      ["420-progressive-17x33.jpg", 0xc2],
    ] as const) {
      const jpeg = goldenFile(name);
      const at = Buffer.from(jpeg).indexOf(Buffer.from([0xff, marker]));
      new DataView(jpeg.buffer).setUint16(at + 5, 9000);
      new DataView(jpeg.buffer).setUint16(at + 7, 9000);
      const before = process.memoryUsage().arrayBuffers;
      expect(fault(jpeg)).toContain("the file is cut off");
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20e6);
    }
  });

  it("what is not read, by its name", () => {
    const jpeg = goldenFile("grey.jpg");
    const at = Buffer.from(jpeg).indexOf(Buffer.from([0xff, 0xc0]));
    jpeg[at + 1] = 0xc9;
    expect(fault(jpeg)).toContain(
      "JPEG with arithmetic coding is not read. Save the picture as PNG or as an ordinary JPEG.",
    );
    jpeg[at + 1] = 0xc1;
    jpeg[at + 4] = 12;
    expect(fault(jpeg)).toContain("JPEG with 12 bits of a colour is not read");
  });

  it("pixels that do not fit their size", () => {
    expect(error(() => decodePicture({ width: 2, height: 2, data: new Uint8Array(11) }, "row 3"))).toBe(
      "row 3: 2 x 2 pixels need 12 bytes of red, green and blue, and there are 11. Give three bytes for each pixel, row by row.",
    );
    const pixels = { width: 2, height: 2, data: new Uint8Array(12) };
    expect(decodePicture(pixels, "x")).toBe(pixels);
    expect(pictureSize(pixels, "x")).toEqual({ width: 2, height: 2 });
  });
});

function crc32(bytes: Uint8Array): number {
  let sum = -1;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}
