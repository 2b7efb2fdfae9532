import { ByteReader, startsWith } from "../byte-reader.ts";
import { cutOff, damaged, unsupported } from "../fault.ts";
import { exifOrientation, xmpOrientation } from "../orientation.ts";
import { type HuffmanTable, huffmanTable } from "./huffman.ts";

/** A colour plane of the picture. */
export interface Component {
  id: number;
  /** Sampling factors. */
  across: number;
  down: number;
  quantisation: number;
  /** Samples that show something. */
  width: number;
  height: number;
  /** Blocks of 8 x 8 that show something, and those that whole MCUs have. */
  blocksAcross: number;
  blocksDown: number;
  paddedAcross: number;
  paddedDown: number;
}

export interface Frame {
  progressive: boolean;
  width: number;
  height: number;
  components: Component[];
  /** The largest sampling factors. */
  across: number;
  down: number;
  /** Minimum coded units. */
  mcusAcross: number;
  mcusDown: number;
}

export interface ScanComponent {
  component: Component;
  /** Its place in the frame. */
  index: number;
  dc: HuffmanTable | undefined;
  ac: HuffmanTable | undefined;
}

export interface Scan {
  components: ScanComponent[];
  /** Coefficients in zigzag order, the last included, and bits of approximation. */
  first: number;
  last: number;
  high: number;
  low: number;
}

/** Position of each coefficient of a file in a block that lies row by row. */
export const ZIGZAG = Uint8Array.from([
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46,
  53, 60, 61, 54, 47, 55, 62, 63,
]);

/** Frame headers that are read by no one here, by the low half of their marker. */
const OTHER_FRAMES: Record<number, string> = {
  3: "lossless JPEG",
  5: "differential JPEG",
  6: "differential JPEG",
  7: "differential JPEG",
  9: "JPEG with arithmetic coding",
  10: "JPEG with arithmetic coding",
  11: "lossless JPEG",
  13: "differential JPEG",
  14: "differential JPEG",
  15: "differential JPEG",
};

/** Segments of a file up to its next scan, with all that was said so far. Source: ITU-T T.81, annex B. */
export class JpegSegments {
  readonly reader: ByteReader;
  frame: Frame | null = null;
  /** By number, row by row. */
  readonly quantisation: (Uint16Array | undefined)[] = [];
  readonly dc: (HuffmanTable | undefined)[] = [];
  readonly ac: (HuffmanTable | undefined)[] = [];
  /** MCUs between restart markers; 0: there are none. */
  restartInterval = 0;
  jfif = false;
  /** What Adobe's segment says of colours; null without one. */
  adobe: number | null = null;
  private exif: number | null = null;
  private xmp: number | null = null;

  constructor(bytes: Uint8Array) {
    this.reader = new ByteReader(bytes, 2);
  }

  get orientation(): number {
    return this.exif ?? this.xmp ?? 1;
  }

  /** Reads on to the next scan. @returns null at the end of the picture */
  nextScan(): Scan | null {
    for (;;) {
      const marker = this.marker();
      if (marker === 0xd9) return null;
      if (marker === 0xd8 || marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7)) continue;
      const length = this.reader.u16be();
      if (length < 2) throw damaged(`its segment ${marker.toString(16)} has a length of ${length}`);
      const segment = new ByteReader(this.reader.take(length - 2));
      if (marker === 0xda) return this.scan(segment);
      this.segment(marker, segment);
    }
  }

  /** The next marker, past bytes that belong to nothing. */
  private marker(): number {
    for (;;) {
      while (this.reader.u8() !== 0xff);
      let code = this.reader.u8();
      while (code === 0xff) code = this.reader.u8();
      if (code !== 0) return code;
    }
  }

  private segment(marker: number, segment: ByteReader): void {
    if (marker === 0xdb) this.quantisationTables(segment);
    else if (marker === 0xc4) this.huffmanTables(segment);
    else if (marker === 0xdd) this.restartInterval = segment.u16be();
    else if (marker === 0xc0 || marker === 0xc1 || marker === 0xc2)
      this.frameHeader(segment, marker === 0xc2);
    else if (marker === 0xe0) this.jfif ||= startsWith(segment.bytes, "JFIF\0");
    else if (marker === 0xe1) this.application(segment.bytes);
    else if (marker === 0xee) {
      if (startsWith(segment.bytes, "Adobe") && segment.left >= 12) this.adobe = segment.bytes[11]!;
    } else if (marker >= 0xc3 && marker <= 0xcf) {
      const other = OTHER_FRAMES[marker & 15];
      if (other !== undefined) throw unsupported(other);
    } else if (marker === 0xde || marker === 0xdf) throw unsupported("hierarchical JPEG");
  }

  private application(bytes: Uint8Array): void {
    if (startsWith(bytes, "Exif\0\0")) this.exif ??= exifOrientation(bytes.subarray(6));
    else if (startsWith(bytes, "http://ns.adobe.com/xap/1.0/\0")) this.xmp ??= xmpOrientation(bytes);
  }

  private quantisationTables(segment: ByteReader): void {
    while (segment.left > 0) {
      const head = segment.u8();
      const table = new Uint16Array(64);
      for (let i = 0; i < 64; i++) table[ZIGZAG[i]!] = head >> 4 ? segment.u16be() : segment.u8();
      this.quantisation[head & 15] = table;
    }
  }

  private huffmanTables(segment: ByteReader): void {
    while (segment.left > 0) {
      const head = segment.u8();
      const counts = segment.take(16);
      const symbols = segment.take(counts.reduce((sum, count) => sum + count, 0));
      (head >> 4 ? this.ac : this.dc)[head & 15] = huffmanTable(counts, symbols);
    }
  }

  private frameHeader(segment: ByteReader, progressive: boolean): void {
    if (this.frame !== null) throw damaged("it has two frame headers");
    const precision = segment.u8();
    if (precision !== 8) throw unsupported(`JPEG with ${precision} bits of a colour`);
    const [height, width, count] = [segment.u16be(), segment.u16be(), segment.u8()];
    if (width === 0 || height === 0) throw damaged(`its header says ${width} x ${height} pixels`);
    if (count !== 1 && count !== 3 && count !== 4) throw unsupported(`JPEG with ${count} colour components`);
    const heads = Array.from({ length: count }, () => [segment.u8(), segment.u8(), segment.u8()] as const);
    // a single component is coded block by block, whatever its factors say
    const factors = heads.map(
      ([, factor]) => (count === 1 ? [1, 1] : [factor >> 4, factor & 15]) as [number, number],
    );
    if (factors.flat().some((factor) => factor < 1 || factor > 4))
      throw damaged("its sampling factors are not 1 to 4");
    const [across, down] = [Math.max(...factors.map(([a]) => a)), Math.max(...factors.map(([, d]) => d))];
    const [mcusAcross, mcusDown] = [Math.ceil(width / (8 * across)), Math.ceil(height / (8 * down))];
    const components = heads.map(([id, , quantisation], i): Component => {
      const [a, d] = factors[i]!;
      if (across % a !== 0 || down % d !== 0) throw unsupported("JPEG whose sampling factors do not divide");
      const [ownWidth, ownHeight] = [Math.ceil((width * a) / across), Math.ceil((height * d) / down)];
      return {
        id,
        across: a,
        down: d,
        quantisation,
        width: ownWidth,
        height: ownHeight,
        blocksAcross: Math.ceil(ownWidth / 8),
        blocksDown: Math.ceil(ownHeight / 8),
        paddedAcross: mcusAcross * a,
        paddedDown: mcusDown * d,
      };
    });
    this.frame = { progressive, width, height, components, across, down, mcusAcross, mcusDown };
  }

  private scan(segment: ByteReader): Scan {
    const { frame } = this;
    if (frame === null) throw damaged("a scan comes before the frame header");
    const count = segment.u8();
    if (count < 1 || count > 4) throw damaged(`a scan has ${count} components`);
    const components = Array.from({ length: count }, (): ScanComponent => {
      const [id, tables] = [segment.u8(), segment.u8()];
      const index = frame.components.findIndex((component) => component.id === id);
      if (index < 0) throw damaged(`a scan is about component ${id}, which the frame has not`);
      return {
        component: frame.components[index]!,
        index,
        dc: this.dc[tables >> 4],
        ac: this.ac[tables & 15],
      };
    });
    if (new Set(components.map(({ index }) => index)).size !== count)
      throw damaged("a scan has the same component twice");
    if (
      count > 1 &&
      components.reduce((sum, { component }) => sum + component.across * component.down, 0) > 10
    )
      throw damaged("a scan has more than 10 blocks in an MCU");
    const [first, last, approximation] = [segment.u8(), segment.u8(), segment.u8()];
    const [high, low] = [approximation >> 4, approximation & 15];
    if (!frame.progressive) return { components, first: 0, last: 63, high: 0, low: 0 };
    const wrong =
      first > last ||
      last > 63 ||
      low > 13 ||
      (first === 0 ? last !== 0 : count > 1) ||
      (high > 0 && high !== low + 1);
    if (wrong) throw damaged(`a scan says coefficients ${first} to ${last}, bits ${high} to ${low}`);
    return { components, first, last, high, low };
  }
}

/** The header of a JPEG, and its orientation. */
export function jpegHeader(bytes: Uint8Array) {
  const segments = new JpegSegments(bytes);
  if (segments.nextScan() === null || segments.frame === null) throw cutOff();
  const { width, height } = segments.frame;
  return { width, height, orientation: segments.orientation };
}
