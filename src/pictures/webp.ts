import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { ByteReader, startsWith } from "./byte-reader.ts";
import { overWhite } from "./colour.ts";
import { cutOff, damaged } from "./fault.ts";
import type { PictureFormat, PictureHeader } from "./format.ts";
import { exifOrientation, xmpOrientation } from "./orientation.ts";

interface Chunk {
  type: string;
  data: Uint8Array;
}

/** The picture of a file, or the first of an animation, on its canvas. */
interface Still extends PictureHeader {
  left: number;
  top: number;
  /** What `bitstream` says of its size. */
  frameWidth: number;
  frameHeight: number;
  alpha: Chunk | null;
  bitstream: Chunk;
}

/** WebP, lossy and lossless, with alpha, and the first frame of an animation; decoded by libwebp. Source: RFC 9649. */
export const webp: PictureFormat = {
  name: "WebP",
  matches: (bytes) => startsWith(bytes, "RIFF") && startsWith(bytes, "WEBP", 8),
  header: readStill,
  decode: (bytes) => {
    const still = readStill(bytes);
    const frame = overWhite(decodeStill(wrapped(still), still));
    const { width, height, left, top, frameWidth, frameHeight } = still;
    if (width === frameWidth && height === frameHeight) return { width, height, data: frame };
    const data = new Uint8Array(width * height * 3).fill(255);
    for (let y = 0; y < frameHeight; y++)
      data.set(frame.subarray(3 * y * frameWidth, 3 * (y + 1) * frameWidth), 3 * ((top + y) * width + left));
    return { width, height, data };
  },
};

/** Chunks of a RIFF list; of what is cut off at the end, none. */
function* chunksOf(bytes: Uint8Array, from: number): Generator<Chunk> {
  const reader = new ByteReader(bytes, from);
  while (reader.left >= 8) {
    const [type, length] = [reader.text(4), reader.u32le()];
    if (length > reader.left) throw cutOff();
    yield { type, data: reader.take(length) };
    if (length % 2 === 1 && reader.left > 0) reader.take(1);
  }
}

function readStill(bytes: Uint8Array): Still {
  const size = new ByteReader(bytes, 4).u32le();
  if (size + 8 > bytes.length) throw cutOff();
  let canvas: { width: number; height: number } | null = null;
  let found: Omit<Still, "width" | "height" | "orientation"> | null = null;
  let alpha: Chunk | null = null;
  let [exif, xmp]: (number | null)[] = [null, null];
  for (const chunk of chunksOf(bytes.subarray(0, size + 8), 12)) {
    if (chunk.type === "VP8X") {
      const reader = new ByteReader(chunk.data, 4);
      canvas = { width: reader.u24le() + 1, height: reader.u24le() + 1 };
    } else if (chunk.type === "ALPH") alpha ??= chunk;
    else if (chunk.type === "VP8 " || chunk.type === "VP8L")
      found ??= { left: 0, top: 0, ...frameSize(chunk), alpha, bitstream: chunk };
    else if (chunk.type === "ANMF") found ??= animationFrame(chunk.data);
    else if (chunk.type === "EXIF")
      exif ??= exifOrientation(startsWith(chunk.data, "Exif\0\0") ? chunk.data.subarray(6) : chunk.data);
    else if (chunk.type === "XMP ") xmp ??= xmpOrientation(chunk.data);
  }
  if (found === null) throw damaged("it has no picture");
  const { width, height } = canvas ?? { width: found.frameWidth, height: found.frameHeight };
  if (found.left + found.frameWidth > width || found.top + found.frameHeight > height)
    throw damaged("its frame is larger than its canvas");
  return { ...found, width, height, orientation: exif ?? xmp ?? 1 };
}

function animationFrame(data: Uint8Array) {
  const reader = new ByteReader(data);
  const [left, top] = [2 * reader.u24le(), 2 * reader.u24le()];
  let alpha: Chunk | null = null;
  for (const chunk of chunksOf(data, 16)) {
    if (chunk.type === "ALPH") alpha = chunk;
    else if (chunk.type === "VP8 " || chunk.type === "VP8L")
      return { left, top, ...frameSize(chunk), alpha, bitstream: chunk };
  }
  throw damaged("its first frame has no picture");
}

/** What the first bytes of a VP8 or VP8L stream say. */
function frameSize({ type, data }: Chunk): { frameWidth: number; frameHeight: number } {
  const reader = new ByteReader(data);
  if (type === "VP8 ") {
    const lossy = reader.take(6);
    if (!startsWith(lossy, "\x9d\x01\x2a", 3)) throw damaged("its VP8 stream does not begin as one");
    const [frameWidth, frameHeight] = [reader.u16le() & 0x3fff, reader.u16le() & 0x3fff];
    return { frameWidth, frameHeight };
  }
  if (reader.u8() !== 0x2f) throw damaged("its VP8L stream does not begin as one");
  const bits = reader.u32le();
  return { frameWidth: (bits & 0x3fff) + 1, frameHeight: ((bits >>> 14) & 0x3fff) + 1 };
}

/** The picture alone as a file of its own, which is what libwebp's plain decoder reads. */
function wrapped({ frameWidth, frameHeight, alpha, bitstream }: Still): Uint8Array {
  const chunks: Chunk[] = [bitstream];
  if (alpha !== null && bitstream.type === "VP8 ") {
    const extended = Buffer.alloc(10);
    extended[0] = 0x10;
    extended.writeUIntLE(frameWidth - 1, 4, 3);
    extended.writeUIntLE(frameHeight - 1, 7, 3);
    chunks.unshift({ type: "VP8X", data: extended }, alpha);
  }
  const body = Buffer.concat(
    chunks.flatMap(({ type, data }) => {
      const head = Buffer.alloc(8);
      head.write(type, "latin1");
      head.writeUInt32LE(data.length, 4);
      return [head, data, Buffer.alloc(data.length % 2)];
    }),
  );
  const file = Buffer.alloc(12);
  file.write("RIFF", "latin1");
  file.writeUInt32LE(body.length + 4, 4);
  file.write("WEBP", 8, "latin1");
  return Buffer.concat([file, body]);
}

/** What is used of the WebAssembly global, which Node's types leave out without the DOM's. */
const { WebAssembly } = globalThis as unknown as {
  WebAssembly: {
    Module: new (bytes: Uint8Array) => object;
    Instance: new (module: object, imports: Record<string, Record<string, unknown>>) => { exports: Libwebp };
    RuntimeError: new () => Error;
  };
};

interface Libwebp {
  memory: { buffer: ArrayBuffer };
  malloc(bytes: number): number;
  WebPDecodeRGBA(data: number, length: number, width: number, height: number): number;
}

let compiled: object | undefined;

/** An instance for each picture: what a damaged file does to its memory goes with it, and so does the memory. */
function libwebp(): Libwebp {
  compiled ??= new WebAssembly.Module(
    readFileSync(createRequire(import.meta.url).resolve("@cwasm/webp/webp.wasm")),
  );
  const none = () => 8;
  const system = { fd_close: none, fd_seek: none, fd_write: none };
  return new WebAssembly.Instance(compiled, { wasi_snapshot_preview1: system }).exports;
}

/** @returns red, green, blue and alpha. [frameHeight, frameWidth, 4] */
function decodeStill(file: Uint8Array, { frameWidth, frameHeight }: Still): Uint8Array {
  try {
    const { memory, malloc, WebPDecodeRGBA } = libwebp();
    const input = malloc(file.length);
    const size = malloc(8);
    new Uint8Array(memory.buffer).set(file, input);
    const output = WebPDecodeRGBA(input, file.length, size, size + 4);
    const view = new DataView(memory.buffer);
    const fits = view.getUint32(size, true) === frameWidth && view.getUint32(size + 4, true) === frameHeight;
    if (output !== 0 && fits) return new Uint8Array(memory.buffer, output, frameWidth * frameHeight * 4);
  } catch (error) {
    if (!(error instanceof WebAssembly.RuntimeError || error instanceof RangeError)) throw error;
  }
  throw damaged("its pixels do not unpack");
}
