import { inflateSync } from "node:zlib";
import { ByteReader, startsWith } from "./byte-reader.ts";
import { overWhite } from "./colour.ts";
import { cutOff, damaged, PictureFault, unsupported } from "./fault.ts";
import type { PictureFormat, PictureHeader } from "./format.ts";
import { exifOrientation } from "./orientation.ts";

const SIGNATURE = "\x89PNG\r\n\x1a\n";
const GREY = 0;
const RGB = 2;
const PALETTE = 3;
/** Samples of a pixel by colour type, and the depths that it may have. */
const COLOUR_TYPES: Record<number, { samples: number; depths: readonly number[] }> = {
  [GREY]: { samples: 1, depths: [1, 2, 4, 8, 16] },
  [RGB]: { samples: 3, depths: [8, 16] },
  [PALETTE]: { samples: 1, depths: [1, 2, 4, 8] },
  4: { samples: 2, depths: [8, 16] },
  6: { samples: 4, depths: [8, 16] },
};
/** Adam7: the first column and row of each pass, and the steps. */
const PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

interface PngHeader extends PictureHeader {
  depth: number;
  colourType: number;
  samples: number;
  interlaced: boolean;
}

/** PNG, and of an APNG the picture that it shows where nothing moves. Source: the PNG specification, third edition. */
export const png: PictureFormat = {
  name: "PNG",
  matches: (bytes) => startsWith(bytes, SIGNATURE),
  header: (bytes) => {
    const header = readHeader(bytes);
    for (const { type, data } of chunks(bytes, false))
      if (type === "eXIf") header.orientation = exifOrientation(data) ?? 1;
    return header;
  },
  decode,
};

function readHeader(bytes: Uint8Array): PngHeader {
  const reader = new ByteReader(bytes, SIGNATURE.length);
  if (reader.u32be() !== 13 || reader.text(4) !== "IHDR") throw damaged("it does not begin with IHDR");
  const [width, height] = [reader.u32be(), reader.u32be()];
  const [depth, colourType, compression, filter, interlace] = reader.take(5);
  const colour = COLOUR_TYPES[colourType!];
  if (colour === undefined || !colour.depths.includes(depth!))
    throw damaged(`there is no colour type ${colourType} with ${depth} bits`);
  if (compression !== 0 || filter !== 0 || interlace! > 1)
    throw damaged(`its header says compression ${compression}, filter ${filter}, interlace ${interlace}`);
  const interlaced = interlace === 1;
  return {
    width,
    height,
    orientation: 1,
    depth: depth!,
    colourType: colourType!,
    samples: colour.samples,
    interlaced,
  };
}

/** Chunks up to IEND, or to the end of the file where `strict` does not ask for it. */
function* chunks(bytes: Uint8Array, strict: boolean): Generator<{ type: string; data: Uint8Array }> {
  const reader = new ByteReader(bytes, SIGNATURE.length);
  while (reader.left > 0 || strict) {
    const begin = reader.position + 4;
    if (!strict && reader.left < 12) return;
    const length = reader.u32be();
    const type = reader.text(4);
    if (!strict && length + 4 > reader.left) return;
    const data = reader.take(length);
    const sum = reader.u32be();
    if (strict && crc32(bytes.subarray(begin, begin + 4 + length)) !== sum)
      throw damaged(`its chunk ${JSON.stringify(type)} has another checksum`);
    if (type === "IEND") return;
    yield { type, data };
  }
}

function decode(bytes: Uint8Array) {
  const header = readHeader(bytes);
  let palette: Uint8Array | undefined;
  let transparency: Uint8Array | undefined;
  const parts: Uint8Array[] = [];
  for (const { type, data } of chunks(bytes, true)) {
    if (type === "PLTE") palette = data;
    else if (type === "tRNS") transparency = data;
    else if (type === "IDAT") parts.push(data);
    else if (!/^[A-Za-z]{4}$/.test(type)) throw damaged("it has a chunk whose name is no name");
    else if (type !== "IHDR" && /^[A-Z]/.test(type)) throw unsupported(`a PNG that needs chunk ${type}`);
  }
  if (parts.length === 0) throw damaged("it has no pixels (no IDAT chunk)");
  if (header.colourType === PALETTE && palette === undefined)
    throw damaged("its palette is missing (no PLTE chunk)");
  const samples = unpack(inflate(Buffer.concat(parts), packedLength(header)), header);
  return { width: header.width, height: header.height, data: toRgb(samples, header, palette, transparency) };
}

/** Columns and rows of a pass. */
const passSize = ({ width, height }: PngHeader, [x, y, dx, dy]: readonly number[]): [number, number] => [
  Math.ceil((width - x!) / dx!),
  Math.ceil((height - y!) / dy!),
];

const passesOf = ({ interlaced }: PngHeader): readonly (readonly number[])[] =>
  interlaced ? PASSES : [[0, 0, 1, 1]];

const rowLength = ({ samples, depth }: PngHeader, columns: number) =>
  Math.ceil((columns * samples * depth) / 8);

/** Bytes of all rows, each with the byte of its filter. */
function packedLength(header: PngHeader): number {
  return passesOf(header).reduce((sum, pass) => {
    const [columns, rows] = passSize(header, pass);
    return sum + (columns === 0 ? 0 : rows * (1 + rowLength(header, columns)));
  }, 0);
}

/** Deflate makes at most 1032 bytes of one. */
const MOST_OF_A_BYTE = 1032;
/** What some writers have behind the last row. */
const SLACK = 65_536;

function inflate(compressed: Uint8Array, expected: number): Uint8Array {
  if (compressed.length * MOST_OF_A_BYTE + SLACK < expected) throw cutOff();
  let rows: Uint8Array;
  try {
    // 2: Z_SYNC_FLUSH, so that missing data are counted below and not refused without saying how much
    rows = inflateSync(compressed, { maxOutputLength: expected + SLACK, finishFlush: 2 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE")
      throw new PictureFault("its pixels unpack to more than its header says", "do not use this file");
    throw damaged(`its pixels do not unpack (${(error as Error).message})`);
  }
  if (rows.length < expected) throw cutOff();
  return rows;
}

/** Takes the filters off. @returns samples of 8 or 16 bits as numbers. [height, width, samples] */
function unpack(rows: Uint8Array, header: PngHeader): Uint8Array | Uint16Array {
  const { width, height, samples, depth } = header;
  const size = width * height * samples;
  const out = depth === 16 ? new Uint16Array(size) : new Uint8Array(size);
  const step = Math.max(1, (samples * depth) / 8);
  let at = 0;
  for (const pass of passesOf(header)) {
    const [x0, y0, dx, dy] = pass as [number, number, number, number];
    const [columns, count] = passSize(header, pass);
    if (columns === 0) continue;
    const length = rowLength(header, columns);
    let above: Uint8Array = new Uint8Array(length);
    for (let y = 0; y < count; y++) {
      const filter = rows[at]!;
      const row = rows.subarray(at + 1, at + 1 + length);
      unfilter(filter, row, above, step);
      const target = (y0 + y * dy) * width;
      if (depth === 8 && dx === 1) out.set(row, target * samples);
      else
        for (let x = 0, sample = 0; x < columns; x++) {
          const to = (target + x0 + x * dx) * samples;
          for (let s = 0; s < samples; s++, sample++) out[to + s] = sampleAt(row, sample, depth);
        }
      above = row;
      at += 1 + length;
    }
  }
  return out;
}

function sampleAt(row: Uint8Array, index: number, depth: number): number {
  if (depth === 8) return row[index]!;
  if (depth === 16) return (row[2 * index]! << 8) | row[2 * index + 1]!;
  const bit = index * depth;
  return (row[bit >> 3]! >> (8 - depth - (bit & 7))) & ((1 << depth) - 1);
}

/** In place. @param step bytes between a sample and that of the pixel to the left */
function unfilter(filter: number, row: Uint8Array, above: Uint8Array, step: number): void {
  const length = row.length;
  if (filter === 0) return;
  if (filter === 1) for (let i = step; i < length; i++) row[i] = row[i]! + row[i - step]!;
  else if (filter === 2) for (let i = 0; i < length; i++) row[i] = row[i]! + above[i]!;
  else if (filter === 3)
    for (let i = 0; i < length; i++) row[i] = row[i]! + (((i < step ? 0 : row[i - step]!) + above[i]!) >> 1);
  else if (filter === 4)
    for (let i = 0; i < length; i++)
      row[i] = row[i]! + (i < step ? above[i]! : paeth(row[i - step]!, above[i]!, above[i - step]!));
  else throw damaged(`there is no row filter ${filter}`);
}

function paeth(left: number, above: number, corner: number): number {
  const [byLeft, byAbove, byCorner] = [
    Math.abs(above - corner),
    Math.abs(left - corner),
    Math.abs(left + above - 2 * corner),
  ];
  return byLeft <= byAbove && byLeft <= byCorner ? left : byAbove <= byCorner ? above : corner;
}

/**
 * As Pillow has it: 16 bits of colour become their upper byte, but 16 bits of grey are cut at 255; the one transparent grey or
 * colour of tRNS is compared with samples after they were widened or narrowed to 8 bits, and counts for nothing with 16 bits of grey.
 */
function toRgb(
  samples: Uint8Array | Uint16Array,
  header: PngHeader,
  palette: Uint8Array | undefined,
  transparency: Uint8Array | undefined,
): Uint8Array {
  const { colourType, depth } = header;
  const pixels = header.width * header.height;
  const count = header.samples;
  const transparent = transparency === undefined ? null : transparentSample(transparency, header);
  // most files: nothing is left to do
  if (depth === 8 && colourType === RGB && transparent === null) return samples as Uint8Array;
  if (depth === 8 && count === 4) return overWhite(samples as Uint8Array);
  const hasAlpha = count === 2 || count === 4 || (colourType === PALETTE && transparency !== undefined);
  const rgba = new Uint8Array(pixels * 4);
  const scale = depth < 8 && colourType === GREY ? 255 / ((1 << depth) - 1) : 1;
  const clip = depth === 16 && colourType === GREY;
  const eight = (value: number) => (depth !== 16 ? value * scale : clip ? Math.min(255, value) : value >> 8);
  for (let i = 0; i < pixels; i++) {
    const from = i * count;
    const to = i * 4;
    if (colourType === PALETTE) {
      const index = samples[from]!;
      for (let c = 0; c < 3; c++) rgba[to + c] = palette![3 * index + c] ?? 0;
      rgba[to + 3] = transparency?.[index] ?? 255;
      continue;
    }
    for (let c = 0; c < 3; c++) rgba[to + c] = eight(samples[count < 3 ? from : from + c]!);
    const clear = transparent?.every((value, c) => value === rgba[to + c]) ?? false;
    rgba[to + 3] = hasAlpha ? eight(samples[from + count - 1]!) : clear ? 0 : 255;
  }
  return overWhite(rgba);
}

/** The colour that tRNS makes transparent, as three samples; null where it has none, or an alpha for each palette entry. */
function transparentSample(chunk: Uint8Array, { colourType, depth }: PngHeader): number[] | null {
  // Pillow compares the lower byte
  const sample = (i: number) => chunk[2 * i + 1] ?? 0;
  if (colourType === RGB) return [sample(0), sample(1), sample(2)];
  if (colourType !== GREY || depth === 16) return null;
  const grey = depth === 1 && sample(0) > 0 ? 255 : sample(0);
  return [grey, grey, grey];
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let value = n;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

export function crc32(bytes: Uint8Array): number {
  let sum = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) sum = CRC_TABLE[(sum ^ bytes[i]!) & 255]! ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}
