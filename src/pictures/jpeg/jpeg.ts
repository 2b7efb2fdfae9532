import { cutOff, damaged, PictureFault } from "../fault.ts";
import type { PictureFormat } from "../format.ts";
import { type Component, type Frame, JpegSegments, jpegHeader } from "./frame.ts";
import { inverseDct } from "./inverse-dct.ts";
import { colourSpace, type Plane, planesToRgb, strideOf } from "./planes.ts";
import { coefficientStore, readScan } from "./scan.ts";

/** Cameras write about 10; a file of a thousand is made to take time. */
const MAX_SCANS = 200;

/** JPEG: sequential and progressive, Huffman coded, 8 bits; pixels as libjpeg-turbo makes them with its default settings. */
export const jpeg: PictureFormat = {
  name: "JPEG",
  matches: (bytes) => bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff,
  header: jpegHeader,
  decode,
};

function decode(bytes: Uint8Array) {
  const segments = new JpegSegments(bytes);
  let store: BlockStore | null = null;
  const seen = new Set<number>();
  for (let scans = 0; ; scans++) {
    // whoever forgot the end of the image has all of a sequential picture all the same
    const complete = segments.frame?.progressive === false && seen.size === segments.frame.components.length;
    if (complete) break;
    const scan = segments.nextScan();
    if (scan === null) break;
    if (scans === MAX_SCANS)
      throw new PictureFault(`it has more than ${MAX_SCANS} scans`, "save it as an ordinary JPEG");
    const frame = segments.frame!;
    store ??= frame.progressive
      ? new CoefficientStore(frame, bytes.length)
      : new SampleStore(segments, bytes.length);
    for (const { index } of scan.components) {
      if (!frame.progressive && seen.has(index)) throw damaged("a component comes twice");
      if (frame.progressive && scan.first > 0 && !seen.has(index))
        throw damaged("a component begins without its DC");
      seen.add(index);
    }
    const target = store;
    segments.reader.position = readScan(
      bytes,
      segments.reader.position,
      frame,
      scan,
      segments.restartInterval,
      (component, column, row) => target.place(component, column, row),
      (component, column, row) => target.done(component, column, row),
    );
  }
  const { frame } = segments;
  if (frame === null || store === null || seen.size < frame.components.length) throw cutOff();
  const planes = store.planes(segments);
  const space = colourSpace(frame, segments.jfif, segments.adobe);
  return { width: frame.width, height: frame.height, data: planesToRgb(planes, frame, space) };
}

/** Where blocks go. */
interface BlockStore {
  place(component: number, column: number, row: number): { coefficients: Int16Array; at: number };
  done(component: number, column: number, row: number): void;
  planes(segments: JpegSegments): Plane[];
}

/** Refuses a file too short for its blocks before memory is taken for them. @param bits that a block has at least */
function mustHold(frame: Frame, fileLength: number, bits: number): void {
  const blocks = frame.components.reduce((sum, one) => sum + one.blocksAcross * one.blocksDown, 0);
  if (blocks * bits > fileLength * 8) throw cutOff();
}

const planeOf = (component: Component): Plane =>
  new Uint8ClampedArray(strideOf(component) * 8 * component.paddedDown);

function quantisationOf(segments: JpegSegments, { id, quantisation }: Component): Uint16Array {
  const table = segments.quantisation[quantisation];
  if (table === undefined) throw damaged(`component ${id} has no quantisation table`);
  return table;
}

/** Sequential files: a block is complete once read, and becomes samples at once. */
class SampleStore implements BlockStore {
  private readonly frame: Frame;
  private readonly samples: Plane[];
  private readonly segments: JpegSegments;
  private readonly slot = { coefficients: new Int16Array(64), at: 0 };

  constructor(segments: JpegSegments, fileLength: number) {
    this.segments = segments;
    this.frame = segments.frame!;
    // a block has a code for its DC and one for its end
    mustHold(this.frame, fileLength, 2);
    this.samples = this.frame.components.map(planeOf);
  }

  place() {
    this.slot.coefficients.fill(0);
    return this.slot;
  }

  done(index: number, column: number, row: number): void {
    const component = this.frame.components[index]!;
    const stride = strideOf(component);
    const table = quantisationOf(this.segments, component);
    inverseDct(this.slot.coefficients, 0, table, this.samples[index]!, (row * stride + column) * 8, stride);
  }

  planes(): Plane[] {
    return this.samples;
  }
}

/** Progressive files: scans add to the coefficients of all blocks. */
class CoefficientStore implements BlockStore {
  private readonly frame: Frame;
  private readonly slots: { coefficients: Int16Array; at: number }[];

  constructor(frame: Frame, fileLength: number) {
    this.frame = frame;
    mustHold(frame, fileLength, 1);
    this.slots = frame.components.map((component) => ({ coefficients: coefficientStore(component), at: 0 }));
  }

  place(index: number, column: number, row: number) {
    const slot = this.slots[index]!;
    slot.at = (row * this.frame.components[index]!.paddedAcross + column) * 64;
    return slot;
  }

  done(): void {}

  planes(segments: JpegSegments): Plane[] {
    return this.frame.components.map((component, i) => {
      const table = quantisationOf(segments, component);
      const { coefficients } = this.slots[i]!;
      const stride = strideOf(component);
      const plane = planeOf(component);
      for (let row = 0; row < component.paddedDown; row++)
        for (let column = 0; column < component.paddedAcross; column++) {
          const at = (row * component.paddedAcross + column) * 64;
          inverseDct(coefficients, at, table, plane, (row * stride + column) * 8, stride);
        }
      return plane;
    });
  }
}
