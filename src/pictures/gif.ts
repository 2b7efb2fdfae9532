import { ByteReader, startsWith } from "./byte-reader.ts";
import { overWhite } from "./colour.ts";
import { cutOff, damaged } from "./fault.ts";
import type { PictureFormat } from "./format.ts";

interface FirstFrame {
  /** Of the canvas, which a frame that stands over its edge makes larger. */
  width: number;
  height: number;
  left: number;
  top: number;
  frameWidth: number;
  frameHeight: number;
  interlaced: boolean;
  /** Null: indices are greys. */
  palette: Uint8Array | null;
  transparent: number | null;
  /** Where the compressed indices begin. */
  position: number;
}

/** The first frame of a GIF. Source: GIF89a specification; what lies around the frame is as Pillow has it. */
export const gif: PictureFormat = {
  name: "GIF",
  matches: (bytes) => startsWith(bytes, "GIF87a") || startsWith(bytes, "GIF89a"),
  header: (bytes) => {
    const { width, height } = firstFrame(bytes);
    return { width, height, orientation: 1 };
  },
  decode: (bytes) => {
    const frame = firstFrame(bytes);
    const indices = decompress(new ByteReader(bytes, frame.position), frame.frameWidth * frame.frameHeight);
    return { width: frame.width, height: frame.height, data: toRgb(frame, indices) };
  },
};

const paletteLength = (flags: number) => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);

function firstFrame(bytes: Uint8Array): FirstFrame {
  const reader = new ByteReader(bytes, 6);
  const [screenWidth, screenHeight, flags] = [reader.u16le(), reader.u16le(), reader.u8()];
  reader.take(2);
  const common = reader.take(paletteLength(flags));
  let transparent: number | null = null;
  for (;;) {
    const block = reader.u8();
    if (block === 0x3b) throw damaged("it has no frame");
    if (block === 0x21) {
      const control = reader.u8() === 0xf9;
      const first = subBlock(reader);
      if (control && first.length >= 4) transparent = first[0]! & 1 ? first[3]! : null;
      for (let rest = first; rest.length > 0; ) rest = subBlock(reader);
    } else if (block === 0x2c) {
      const [left, top, frameWidth, frameHeight] = [
        reader.u16le(),
        reader.u16le(),
        reader.u16le(),
        reader.u16le(),
      ];
      if (frameWidth === 0 || frameHeight === 0) throw damaged("its first frame has no pixels");
      const local = reader.u8();
      const own = reader.take(paletteLength(local));
      const palette = own.length > 0 ? own : common;
      return {
        width: Math.max(screenWidth, left + frameWidth),
        height: Math.max(screenHeight, top + frameHeight),
        left,
        top,
        frameWidth,
        frameHeight,
        interlaced: (local & 0x40) !== 0,
        palette: palette.length > 0 ? palette : null,
        transparent,
        position: reader.position,
      };
    } else throw damaged(`there is no block of kind ${block}`);
  }
}

const subBlock = (reader: ByteReader) => reader.take(reader.u8());

/** Takes LZW off. @param count indices that the frame has: no more are made @throws PictureFault where there are fewer */
function decompress(reader: ByteReader, count: number): Uint8Array {
  const rootBits = reader.u8();
  if (rootBits < 1 || rootBits > 8) throw damaged(`its codes have ${rootBits} bits`);
  const out = new Uint8Array(count);
  const [clear, end] = [1 << rootBits, (1 << rootBits) + 1];
  // a word is the word of `prefix` and `last`; its first index and its length are kept beside it
  const prefix = new Int16Array(4096);
  const last = new Uint8Array(4096);
  const first = new Uint8Array(4096);
  const length = new Uint16Array(4096);
  for (let i = 0; i < clear; i++) {
    last[i] = first[i] = i;
    length[i] = 1;
  }
  let [bits, available, width, next, previous, at] = [0, 0, rootBits + 1, end + 1, -1, 0];
  let block = subBlock(reader);
  let position = 0;
  while (at < count) {
    while (available < width) {
      if (position === block.length) {
        block = subBlock(reader);
        position = 0;
        if (block.length === 0) throw cutOff();
      }
      bits |= block[position++]! << available;
      available += 8;
    }
    const code = bits & ((1 << width) - 1);
    bits >>>= width;
    available -= width;
    if (code === clear) {
      [width, next, previous] = [rootBits + 1, end + 1, -1];
      continue;
    }
    if (code === end) throw cutOff();
    if (code > next || (code === next && (previous < 0 || next > 4095)) || (previous < 0 && code > end))
      throw damaged(`its code ${code} stands for nothing`);
    if (previous >= 0 && next < 4096) {
      prefix[next] = previous;
      first[next] = first[previous]!;
      last[next] = first[code === next ? previous : code]!;
      length[next] = length[previous]! + 1;
      next++;
      if (next === 1 << width && width < 12) width++;
    }
    const size = length[code]!;
    for (let to = at + size - 1, word = code; to >= at; to--, word = prefix[word]!)
      if (to < count) out[to] = last[word]!;
    at += size;
    previous = code;
  }
  return out;
}

/** Rows of an interlaced frame in the order of the file. */
function interlacedRows(height: number): number[] {
  const rows: number[] = [];
  for (const [first, step] of [
    [0, 8],
    [4, 8],
    [2, 4],
    [1, 2],
  ] as const)
    for (let y = first; y < height; y += step) rows.push(y);
  return rows;
}

function toRgb(frame: FirstFrame, indices: Uint8Array): Uint8Array {
  const { width, height, frameWidth, frameHeight, palette, transparent } = frame;
  const canvas = new Uint8Array(width * height).fill(transparent ?? 0);
  const rows = frame.interlaced ? interlacedRows(frameHeight) : null;
  for (let i = 0; i < frameHeight; i++) {
    const y = frame.top + (rows?.[i] ?? i);
    canvas.set(indices.subarray(i * frameWidth, (i + 1) * frameWidth), y * width + frame.left);
  }
  const colours = new Uint8Array(256 * 4);
  for (let i = 0; i < 256; i++) {
    for (let c = 0; c < 3; c++) colours[4 * i + c] = palette === null ? i : (palette[3 * i + c] ?? 0);
    colours[4 * i + 3] = i === transparent ? 0 : 255;
  }
  const shown = overWhite(colours);
  const rgb = new Uint8Array(canvas.length * 3);
  for (let i = 0, to = 0; i < canvas.length; i++) {
    const from = 3 * canvas[i]!;
    rgb[to++] = shown[from]!;
    rgb[to++] = shown[from + 1]!;
    rgb[to++] = shown[from + 2]!;
  }
  return rgb;
}
