import { deflateSync } from "node:zlib";
import { expect, it } from "vitest";
import { DataError } from "../../src/lib/errors.ts";
import { createRng } from "../../src/lib/rng.ts";
import { decodePicture, pictureSize } from "../../src/pictures/decode.ts";
import type { RgbPixels } from "../../src/types.ts";
import { goldenFile, largestDifference } from "./golden.ts";

/** Files of every kind of coding. */
const WHOLE = [
  "rgba.png",
  "palette-alpha.png",
  "interlaced-29x21.png",
  "rgb-48-bits.png",
  "420-sequential-67x50.jpg",
  "444-progressive-67x50.jpg",
  "422-sequential-17x33.jpg",
  "cmyk.jpg",
  "orientation-6.jpg",
  "lossy.webp",
  "lossy-alpha.webp",
  "lossless-alpha.webp",
  "animated.webp",
  "long.gif",
  "interlaced.gif",
  "transparent.gif",
];
const rng = createRng(15).fork("hostile");

const bytesOf = (...parts: (string | Uint8Array | number[])[]) =>
  new Uint8Array(
    Buffer.concat(
      parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : Buffer.from(part))),
    ),
  );
const le = (value: number, bytes: number) =>
  Array.from({ length: bytes }, (_, i) => Math.floor(value / 256 ** i) & 255);
const be = (value: number, bytes: number) => le(value, bytes).reverse();

function crc(bytes: Uint8Array): number[] {
  let sum = -1;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return be(~sum >>> 0, 4);
}
const chunk = (type: string, data: Uint8Array) => {
  const body = bytesOf(type, data);
  return bytesOf(be(data.length, 4), body, crc(body));
};
const PNG = "\x89PNG\r\n\x1a\n";
const ihdr = (width: number, height: number, depth = 8, colour = 2, interlace = 0) =>
  chunk("IHDR", bytesOf(be(width, 4), be(height, 4), [depth, colour, 0, 0, interlace]));
const end = chunk("IEND", new Uint8Array());
const png = (head: Uint8Array, idat: Uint8Array, ...more: Uint8Array[]) =>
  bytesOf(PNG, head, ...more, chunk("IDAT", idat), end);
const riff = (...parts: (string | Uint8Array | number[])[]) => {
  const body = bytesOf("WEBP", ...parts);
  return bytesOf("RIFF", le(body.length, 4), body);
};
const segment = (marker: number, data: Uint8Array | number[] | string) => {
  const body = bytesOf(data);
  return bytesOf([0xff, marker], be(body.length + 2, 2), body);
};

/** A file with one byte changed; of a PNG the checksums are made right again, so that what is behind them is met. */
function flipped(name: string, draw: number): Uint8Array {
  const bytes = goldenFile(name);
  const own = rng.fork("flip", name, draw);
  const at = 8 + own.integer(bytes.length - 8, 0);
  bytes[at] = bytes[at]! ^ (1 + own.integer(255, 1));
  if (!name.endsWith("png")) return bytes;
  const view = new DataView(bytes.buffer);
  for (let position = 8; position + 12 <= bytes.length; ) {
    const length = view.getUint32(position);
    if (length > bytes.length - position - 12) break;
    bytes.set(crc(bytes.subarray(position + 4, position + 8 + length)), position + 8 + length);
    position += 12 + length;
  }
  return bytes;
}

/** What people who mean harm write. */
function made(): [string, Uint8Array][] {
  const jpeg = goldenFile("444-progressive-67x50.jpg");
  const scan = Buffer.from(jpeg).indexOf(Buffer.from([0xff, 0xda]));
  // the first scan and its data, up to the table that comes next: the same again changes nothing
  const first = jpeg.subarray(scan, Buffer.from(jpeg).indexOf(Buffer.from([0xff, 0xc4]), scan));
  const refine = segment(0xda, [1, 1, 0, 1, 63, 0]);
  const noise = (name: string, length: number) =>
    Uint8Array.from({ length }, (_, i) => rng.fork("noise", name).integer(256, i));
  const exif = (tiff: string) => segment(0xe1, `Exif\0\0${tiff}`);
  const behindStart = (extra: Uint8Array) => bytesOf([0xff, 0xd8], extra, jpeg.subarray(2));
  return [
    ["nothing", new Uint8Array()],
    ["one byte", new Uint8Array(1)],
    ["text", bytesOf("a,b\n1,2\n")],
    ["zeros", new Uint8Array(10_000)],
    ["noise", noise("plain", 5000)],
    ...[PNG, "\xff\xd8\xff", "GIF89a", "GIF87a", "RIFF\x20\0\0\0WEBP"].flatMap(
      (signature): [string, Uint8Array][] => [
        [`only ${JSON.stringify(signature)}`, bytesOf(signature)],
        [`zeros after ${JSON.stringify(signature)}`, bytesOf(signature, new Uint8Array(500))],
        [`noise after ${JSON.stringify(signature)}`, bytesOf(signature, noise(signature, 5000))],
      ],
    ),
    ["PNG of 65535 x 65535", png(ihdr(65535, 65535), deflateSync(Buffer.alloc(9)))],
    ["PNG of 2^32 - 1 a side", png(ihdr(0xffffffff, 0xffffffff), deflateSync(Buffer.alloc(9)))],
    ["PNG of 0 x 5", png(ihdr(0, 5), deflateSync(Buffer.alloc(9)))],
    ["PNG just below the bound, without its pixels", png(ihdr(9000, 9000), deflateSync(Buffer.alloc(9)))],
    ["PNG that unpacks to 100 MB", png(ihdr(5, 5), deflateSync(Buffer.alloc(100_000_000)))],
    ["PNG of depth 3", png(ihdr(5, 5, 3), deflateSync(Buffer.alloc(99)))],
    ["PNG with a palette that is missing", png(ihdr(5, 5, 8, 3), deflateSync(Buffer.alloc(99)))],
    ["PNG with filter 9", png(ihdr(5, 5), deflateSync(Buffer.alloc(99, 9)))],
    [
      "PNG that needs an unknown chunk",
      png(ihdr(5, 5), deflateSync(Buffer.alloc(99)), chunk("ABCD", bytesOf("x"))),
    ],
    ["PNG with a chunk of 4 GB", bytesOf(PNG, ihdr(5, 5), be(0xffffffff, 4), "tEXt", "x")],
    [
      "PNG with 4 MB of text",
      png(ihdr(5, 5), deflateSync(Buffer.alloc(80)), chunk("tEXt", new Uint8Array(4_000_000))),
    ],
    [
      "PNG with text that unpacks",
      png(ihdr(5, 5), deflateSync(Buffer.alloc(80)), chunk("zTXt", deflateSync(Buffer.alloc(1e7)))),
    ],
    [
      "PNG with 20,000 empty chunks",
      png(
        ihdr(5, 5),
        deflateSync(Buffer.alloc(80)),
        ...new Array(20_000).fill(chunk("tEXt", new Uint8Array())),
      ),
    ],
    [
      "JPEG with 300 scans, each of them right",
      bytesOf(jpeg.subarray(0, scan), ...new Array(300).fill(first), jpeg.subarray(scan)),
    ],
    ["JPEG with a scan before its frame", bytesOf([0xff, 0xd8], refine, jpeg.subarray(scan))],
    [
      "JPEG with two frames",
      bytesOf(jpeg.subarray(0, scan), segment(0xc2, [8, 0, 9, 0, 9, 1, 1, 0x11, 0]), jpeg.subarray(scan)),
    ],
    [
      "JPEG whose factors are 0",
      bytesOf([0xff, 0xd8], segment(0xc0, [8, 0, 9, 0, 9, 1, 1, 0, 0]), jpeg.subarray(scan)),
    ],
    [
      "JPEG with a Huffman table of 16 x 255",
      behindStart(segment(0xc4, bytesOf([0], new Uint8Array(16).fill(255), new Uint8Array(4080)))),
    ],
    ["JPEG with a segment of length 0", behindStart(bytesOf([0xff, 0xe5, 0, 0]))],
    [
      "JPEG with 300 segments of 65 kB",
      behindStart(bytesOf(...new Array(300).fill(segment(0xe2, new Uint8Array(65_000))))),
    ],
    ["JPEG with EXIF that points at itself", behindStart(exif("II*\0\x08\0\0\0\xff\xff"))],
    ["JPEG with EXIF that points outside", behindStart(exif("MM\0*\xff\xff\xff\xff"))],
    [
      "JPEG with orientation 99",
      behindStart(exif("II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0")),
    ],
    ["JPEG of 0xff", bytesOf([0xff, 0xd8], new Uint8Array(100_000).fill(0xff))],
    [
      "GIF of 65535 x 65535",
      bytesOf(
        "GIF89a",
        le(65535, 2),
        le(65535, 2),
        [0, 0, 0, 0x2c],
        le(0, 4),
        le(5, 2),
        le(5, 2),
        [0, 2, 1, 0, 0],
      ),
    ],
    [
      "GIF whose frame is 65535 x 65535",
      bytesOf(
        "GIF89a",
        le(5, 2),
        le(5, 2),
        [0, 0, 0, 0x2c],
        le(0, 4),
        le(65535, 2),
        le(65535, 2),
        [0, 2, 1, 0, 0],
      ),
    ],
    ["GIF without a frame", bytesOf("GIF89a", le(5, 2), le(5, 2), [0, 0, 0], ";")],
    [
      "GIF with a frame of no pixels",
      bytesOf("GIF89a", le(5, 2), le(5, 2), [0, 0, 0, 0x2c], le(0, 8), [0, 2, 0], ";"),
    ],
    [
      "GIF with codes of 200 bits",
      bytesOf("GIF89a", le(5, 2), le(5, 2), [0, 0, 0, 0x2c], le(0, 4), le(5, 2), le(5, 2), [0, 200, 1, 0, 0]),
    ],
    [
      "GIF with 100,000 comments",
      bytesOf("GIF89a", le(5, 2), le(5, 2), [0, 0, 0], ...new Array(100_000).fill("!\xfe\0"), ";"),
    ],
    [
      "GIF that clears for ever",
      bytesOf(
        "GIF89a",
        le(5, 2),
        le(5, 2),
        [0, 0, 0, 0x2c],
        le(0, 4),
        le(5, 2),
        le(5, 2),
        [0, 2],
        ...new Array(4000).fill(
          bytesOf(
            [255],
            Uint8Array.from({ length: 255 }, (_, i) => [0x24, 0x49, 0x92][i % 3]!),
          ),
        ),
      ),
    ],
    [
      "WebP of 16777216 a side",
      riff("VP8X", le(10, 4), le(0, 4), le(0xffffff, 3), le(0xffffff, 3), "VP8L", le(5, 4), [0x2f], le(0, 4)),
    ],
    ["WebP without a picture", riff("EXIF", le(4, 4), "II*\0")],
    ["WebP with a chunk of 4 GB", riff("VP8L", le(0xfffffff0, 4), "x")],
    [
      "WebP whose frame leaves its canvas",
      riff("VP8X", le(10, 4), le(0, 4), le(0, 3), le(0, 3), "VP8L", le(6, 4), [0x2f], le(0x01000100, 4), [0]),
    ],
    ["WebP of 16384 x 5000 and no data", riff("VP8L", le(6, 4), [0x2f], le(16383 + 4999 * 16384, 4), [0])],
    ["WebP with 50,000 empty chunks", riff(...new Array(50_000).fill(bytesOf("XYZ ", le(0, 4))))],
  ];
}

/** Milliseconds that a file may take, on a machine that has other work to do. */
const DEADLINE = 4000;

/** The pixels, or null where they were refused as they should be. */
function attempt(bytes: Uint8Array, what: string): RgbPixels | null {
  const name = `hostile/${what}`;
  const begin = performance.now();
  let pixels: RgbPixels | null = null;
  try {
    pixels = decodePicture(bytes, name);
    expect(pixels.data.length, what).toBe(pixels.width * pixels.height * 3);
    expect(pictureSize(bytes, name), what).toEqual({ width: pixels.width, height: pixels.height });
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    expect(error.message.startsWith(`${name}: this picture cannot be used: `), error.message).toBe(true);
    expect(error.message).toMatch(/\. [A-Z][^.]+\.$/);
    expect(error.message.length).toBeLessThan(name.length + 400);
  }
  expect(performance.now() - begin, what).toBeLessThan(DEADLINE);
  return pixels;
}

it("128 files that were cut off: refused, or whole because only the end marker was lost", () => {
  let [refused, count] = [0, 0];
  for (const name of WHOLE) {
    const bytes = goldenFile(name);
    const whole = decodePicture(bytes, name);
    const places = [
      4,
      30,
      ...[0.1, 0.3, 0.5, 0.8].map((part) => Math.floor(bytes.length * part)),
      bytes.length - 20,
      bytes.length - 1,
    ];
    for (const place of places) {
      const pixels = attempt(bytes.slice(0, place), `${name} cut at ${place}`);
      count++;
      if (pixels === null) refused++;
      else expect(largestDifference(pixels.data, whole.data), `${name} at ${place}`).toBe(0);
    }
  }
  expect(count).toBe(128);
  expect(refused).toBeGreaterThan(115);
});

it("160 files with a byte changed: pixels or an error, and nothing else", () => {
  let refused = 0;
  for (const name of WHOLE)
    for (let draw = 0; draw < 10; draw++)
      if (attempt(flipped(name, draw), `${name} changed ${draw}`) === null) refused++;
  expect(refused).toBeGreaterThan(40);
});

it.each(made())("made: %s", (what, bytes) => {
  const pixels = attempt(bytes, what);
  // what is only odd around its pixels is read
  const harmless =
    /of text|text that|empty chunks$|segments of|EXIF that|orientation 99/.test(what) &&
    !what.startsWith("WebP");
  expect(pixels !== null, what).toBe(harmless);
});

it("a progressive JPEG that repeats its scans is refused for that", () => {
  const [, bytes] = made().find(([what]) => what.startsWith("JPEG with 300 scans"))!;
  expect(() => decodePicture(bytes, "x")).toThrow("it has more than 200 scans");
});

it("memory does not grow with what a header promises", () => {
  const before = process.memoryUsage().arrayBuffers;
  for (const [what, bytes] of made()) if (/65535|16777216|bound|16384/.test(what)) attempt(bytes, what);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100e6);
});
