import { damaged } from "../fault.ts";
import { type Component, type Frame, type Scan, type ScanComponent, ZIGZAG } from "./frame.ts";
import { BitReader, type HuffmanTable } from "./huffman.ts";

/** Adds what a scan says of one block to its 64 coefficients, which lie row by row from `at`. */
type BlockDecoder = (coefficients: Int16Array, at: number) => void;

/**
 * Reads a scan.
 * @param place coefficients of a block of a component, and where they begin
 * @param done called after each block
 * @returns where the scan ends in the file
 */
export function readScan(
  bytes: Uint8Array,
  position: number,
  frame: Frame,
  scan: Scan,
  restartInterval: number,
  place: (component: number, column: number, row: number) => { coefficients: Int16Array; at: number },
  done: (component: number, column: number, row: number) => void,
): number {
  const bits = new BitReader(bytes, position);
  const state = { endOfBand: 0, predictions: new Int32Array(4) };
  const decoders = scan.components.map((one) => blockDecoder(bits, frame, scan, one, state));
  const single = scan.components.length === 1 ? scan.components[0]!.component : null;
  const across = single?.blocksAcross ?? frame.mcusAcross;
  const down = single?.blocksDown ?? frame.mcusDown;
  const block = (i: number, column: number, row: number) => {
    const { index } = scan.components[i]!;
    const { coefficients, at } = place(index, column, row);
    decoders[i]!(coefficients, at);
    bits.check();
    done(index, column, row);
  };
  for (let mcu = 0, restarts = 0; mcu < across * down; mcu++) {
    if (restartInterval > 0 && mcu > 0 && mcu % restartInterval === 0) {
      bits.restart(restarts++);
      state.endOfBand = 0;
      state.predictions.fill(0);
    }
    const x = mcu % across;
    const y = Math.floor(mcu / across);
    if (single !== null) block(0, x, y);
    else
      for (let i = 0; i < scan.components.length; i++) {
        const { component } = scan.components[i]!;
        for (let v = 0; v < component.down; v++)
          for (let h = 0; h < component.across; h++)
            block(i, x * component.across + h, y * component.down + v);
      }
  }
  return bits.position;
}

interface ScanState {
  /** Blocks that still end at the present band, of a progressive scan. */
  endOfBand: number;
  /** The last DC of each component. */
  predictions: Int32Array;
}

function blockDecoder(
  bits: BitReader,
  frame: Frame,
  scan: Scan,
  one: ScanComponent,
  state: ScanState,
): BlockDecoder {
  const table = (kind: "dc" | "ac"): HuffmanTable => {
    const found = one[kind];
    if (found === undefined)
      throw damaged(`component ${one.component.id} has no ${kind.toUpperCase()} Huffman table`);
    return found;
  };
  const { predictions } = state;
  const difference = (dc: HuffmanTable): number => {
    const size = bits.symbol(dc);
    if (size > 15) throw damaged(`a DC difference has ${size} bits`);
    predictions[one.index]! += bits.signed(size);
    return predictions[one.index]!;
  };
  if (!frame.progressive) {
    const [dc, ac] = [table("dc"), table("ac")];
    return (coefficients, at) => {
      coefficients[at] = difference(dc);
      for (let k = 1; k < 64; k++) {
        const symbol = bits.symbol(ac);
        const size = symbol & 15;
        if (size === 0) {
          if (symbol !== 0xf0) return;
          k += 15;
          continue;
        }
        k += symbol >> 4;
        if (k > 63) throw damaged("a block has more than 64 coefficients");
        coefficients[at + ZIGZAG[k]!] = bits.signed(size);
      }
    };
  }
  const { low } = scan;
  if (scan.first === 0) {
    if (scan.high > 0)
      return (coefficients, at) => {
        coefficients[at]! |= bits.receive(1) << low;
      };
    const dc = table("dc");
    return (coefficients, at) => {
      coefficients[at] = difference(dc) << low;
    };
  }
  return scan.high === 0
    ? firstPass(bits, scan, table("ac"), state)
    : refinement(bits, scan, table("ac"), state);
}

/** AC coefficients of a progressive file, their upper bits. */
function firstPass(bits: BitReader, scan: Scan, ac: HuffmanTable, state: ScanState): BlockDecoder {
  return (coefficients, at) => {
    if (state.endOfBand > 0) {
      state.endOfBand--;
      return;
    }
    for (let k = scan.first; k <= scan.last; k++) {
      const symbol = bits.symbol(ac);
      const run = symbol >> 4;
      const size = symbol & 15;
      if (size === 0) {
        if (run < 15) {
          state.endOfBand = (1 << run) - 1 + bits.receive(run);
          return;
        }
        k += 15;
        continue;
      }
      k += run;
      if (k > scan.last) throw damaged("a block has more coefficients than its scan");
      coefficients[at + ZIGZAG[k]!] = bits.signed(size) << scan.low;
    }
  };
}

/** AC coefficients of a progressive file, one bit more of each. Source: ITU-T T.81, G.1.2.3. */
function refinement(bits: BitReader, scan: Scan, ac: HuffmanTable, state: ScanState): BlockDecoder {
  const bit = 1 << scan.low;
  const refine = (coefficients: Int16Array, place: number) => {
    const value = coefficients[place]!;
    if (bits.receive(1) === 1 && (value & bit) === 0) coefficients[place] = value + (value > 0 ? bit : -bit);
  };
  return (coefficients, at) => {
    let k = scan.first;
    while (state.endOfBand === 0 && k <= scan.last) {
      const symbol = bits.symbol(ac);
      let run = symbol >> 4;
      const size = symbol & 15;
      let fresh = 0;
      if (size > 1) throw damaged("a refined coefficient has more than one bit");
      if (size === 1) fresh = bits.receive(1) === 1 ? bit : -bit;
      else if (run < 15) {
        state.endOfBand = (1 << run) + bits.receive(run);
        break;
      }
      for (; k <= scan.last; k++) {
        const place = at + ZIGZAG[k]!;
        if (coefficients[place] !== 0) refine(coefficients, place);
        else if (run-- === 0) {
          coefficients[place] = fresh;
          break;
        }
      }
      if (k > scan.last && fresh !== 0) throw damaged("a block has more coefficients than its scan");
      k++;
    }
    if (state.endOfBand === 0) return;
    for (; k <= scan.last; k++) {
      const place = at + ZIGZAG[k]!;
      if (coefficients[place] !== 0) refine(coefficients, place);
    }
    state.endOfBand--;
  };
}

/** Coefficients of all blocks of a component, in rows of blocks. */
export const coefficientStore = ({ paddedAcross, paddedDown }: Component) =>
  new Int16Array(paddedAcross * paddedDown * 64);
