import { cutOff, damaged } from "../fault.ts";

const FAST_BITS = 9;

export interface HuffmanTable {
  /** By the next 9 bits: length << 8 | symbol; 0 where a code is longer. */
  fast: Uint16Array;
  /** By length: one more than its largest code, in the upper bits of 16; and what is added to a code to find its symbol. */
  limit: Int32Array;
  offset: Int32Array;
  symbols: Uint8Array;
}

/** @param counts codes of each length from 1 to 16. [16] */
export function huffmanTable(counts: Uint8Array, symbols: Uint8Array): HuffmanTable {
  const fast = new Uint16Array(1 << FAST_BITS);
  const [limit, offset] = [new Int32Array(18), new Int32Array(18)];
  let [code, index] = [0, 0];
  for (let length = 1; length <= 16; length++) {
    const count = counts[length - 1]!;
    if (code + count > 1 << length) throw damaged("a Huffman table is no code");
    offset[length] = index - code;
    for (let i = 0; i < count && length <= FAST_BITS; i++) {
      const begin = (code + i) << (FAST_BITS - length);
      fast.fill((length << 8) | symbols[index + i]!, begin, begin + (1 << (FAST_BITS - length)));
    }
    code += count;
    index += count;
    limit[length] = code << (16 - length);
    code <<= 1;
  }
  return { fast, limit, offset, symbols };
}

/** The bits of a scan. Past the data of a scan it reads zeros, and `check` throws. */
export class BitReader {
  private readonly bytes: Uint8Array;
  position: number;
  private bits = 0;
  private available = 0;
  /** Bits among the available that no data stand behind. */
  private missing = 0;

  constructor(bytes: Uint8Array, position: number) {
    this.bytes = bytes;
    this.position = position;
  }

  private fill(): void {
    while (this.available <= 24) {
      let byte = 0;
      if (this.position >= this.bytes.length) this.missing += 8;
      else {
        byte = this.bytes[this.position]!;
        if (byte !== 0xff) this.position++;
        else if (this.bytes[this.position + 1] === 0) this.position += 2;
        else {
          // a marker: it stays where it is
          byte = 0;
          this.missing += 8;
        }
      }
      this.bits = (this.bits << 8) | byte;
      this.available += 8;
    }
  }

  /** @throws PictureFault once bits were used that are not in the file */
  check(): void {
    if (this.available < this.missing)
      throw this.position >= this.bytes.length ? cutOff() : damaged("a scan ends early");
  }

  /** The next bits as a number; 0 to 16 of them. */
  receive(count: number): number {
    if (count === 0) return 0;
    if (this.available < count) this.fill();
    this.available -= count;
    return (this.bits >>> this.available) & ((1 << count) - 1);
  }

  /** The next bits as a coefficient: the lower half of the numbers is negative. */
  signed(count: number): number {
    const value = this.receive(count);
    return count > 0 && value < 1 << (count - 1) ? value - (1 << count) + 1 : value;
  }

  symbol(table: HuffmanTable): number {
    if (this.available < 16) this.fill();
    const entry = table.fast[(this.bits >>> (this.available - FAST_BITS)) & ((1 << FAST_BITS) - 1)]!;
    if (entry > 0) {
      this.available -= entry >> 8;
      return entry & 255;
    }
    const next = (this.bits >>> (this.available - 16)) & 0xffff;
    for (let length = FAST_BITS + 1; length <= 16; length++) {
      if (next >= table.limit[length]!) continue;
      this.available -= length;
      return table.symbols[(next >> (16 - length)) + table.offset[length]!]!;
    }
    this.check();
    throw damaged("its data hold a code that no Huffman table has");
  }

  /** Goes behind the restart marker that comes next. @throws PictureFault where another comes */
  restart(number: number): void {
    [this.bits, this.available, this.missing] = [0, 0, 0];
    const { bytes } = this;
    while (this.position < bytes.length && bytes[this.position] !== 0xff) this.position++;
    while (bytes[this.position] === 0xff && bytes[this.position + 1] === 0xff) this.position++;
    if (this.position + 1 >= bytes.length) throw cutOff();
    if (bytes[this.position + 1] !== 0xd0 + (number & 7)) throw damaged("a restart marker is missing");
    this.position += 2;
  }
}
