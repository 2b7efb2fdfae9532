import { cutOff } from "./fault.ts";

/** Numbers out of bytes, one after the other. Each method throws a PictureFault past the end. */
export class ByteReader {
  readonly bytes: Uint8Array;
  position: number;

  constructor(bytes: Uint8Array, position = 0) {
    this.bytes = bytes;
    this.position = position;
  }

  get left(): number {
    return this.bytes.length - this.position;
  }

  u8(): number {
    if (this.position >= this.bytes.length) throw cutOff();
    return this.bytes[this.position++]!;
  }

  u16be(): number {
    return (this.u8() << 8) | this.u8();
  }

  u16le(): number {
    return this.u8() | (this.u8() << 8);
  }

  u24le(): number {
    return this.u16le() | (this.u8() << 16);
  }

  u32be(): number {
    return this.u16be() * 0x10000 + this.u16be();
  }

  u32le(): number {
    return this.u16le() + this.u16le() * 0x10000;
  }

  /** The next bytes, as a view. */
  take(count: number): Uint8Array {
    if (count > this.left) throw cutOff();
    this.position += count;
    return this.bytes.subarray(this.position - count, this.position);
  }

  /** The next bytes as Latin-1. */
  text(count: number): string {
    return latin1(this.take(count));
  }
}

export const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");

export const startsWith = (bytes: Uint8Array, signature: string, at = 0): boolean =>
  latin1(bytes.subarray(at, at + signature.length)) === signature;
