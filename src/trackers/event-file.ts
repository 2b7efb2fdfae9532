/**
 * TensorBoard's event files: TFRecord frames around messages of tensorflow/core/util/event.proto. Only what scalars, texts and
 * restarts need is written and read.
 */
import { crc32c } from "./crc32c.ts";

/** A point or a text of the run; or that what stood at `step` and after it holds no more. */
export type RunEvent = { wallTime: number; step: number } & (
  | { scalars: readonly { tag: string; value: number }[] }
  | { text: { tag: string; markdown: string } }
  | { restarts: true }
);

/** What an event file begins with. */
export function versionRecord(wallTime: number): Uint8Array {
  return framed(message(double(1, wallTime), bytes(3, utf8("brain.Event:2"))));
}

/** The scalars of an event share a record. */
export function encodeEvent(event: RunEvent): Uint8Array {
  return framed(message(double(1, event.wallTime), integer(2, event.step), content(event)));
}

function content(event: RunEvent): Uint8Array {
  // SessionLog.START: the reader forgets what it has of this step and later
  if ("restarts" in event) return bytes(7, integer(1, 1));
  if ("scalars" in event) {
    const values = event.scalars.map(({ tag, value }) =>
      bytes(1, message(bytes(1, utf8(tag)), float(2, value))),
    );
    return bytes(5, message(...values));
  }
  const { tag, markdown } = event.text;
  const plugin = bytes(9, message(bytes(1, bytes(1, utf8("text"))), integer(4, DATA_CLASS_TENSOR)));
  const shape = bytes(2, bytes(2, integer(1, 1)));
  const tensor = bytes(8, message(integer(1, DT_STRING), shape, bytes(8, utf8(markdown))));
  return bytes(5, bytes(1, message(bytes(1, utf8(tag)), tensor, plugin)));
}

const DATA_CLASS_TENSOR = 2;
const DT_STRING = 7;

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const message = (...fields: readonly Uint8Array[]): Uint8Array => Buffer.concat(fields);

function varint(value: number): Uint8Array {
  const out: number[] = [];
  let rest = BigInt(value);
  for (; rest > 127n; rest >>= 7n) out.push(Number(rest & 127n) | 128);
  return Uint8Array.from([...out, Number(rest)]);
}

const integer = (field: number, value: number) => message(varint(field << 3), varint(value));
const bytes = (field: number, value: Uint8Array) =>
  message(varint((field << 3) | 2), varint(value.length), value);

function double(field: number, value: number): Uint8Array {
  const out = Buffer.alloc(8);
  out.writeDoubleLE(value);
  return message(varint((field << 3) | 1), out);
}

function float(field: number, value: number): Uint8Array {
  const out = Buffer.alloc(4);
  out.writeFloatLE(value);
  return message(varint((field << 3) | 5), out);
}

/** Length, its checksum, the data, their checksum; checksums are masked as TFRecord asks. */
function framed(data: Uint8Array): Uint8Array {
  const out = Buffer.alloc(data.length + 16);
  out.writeBigUInt64LE(BigInt(data.length));
  out.writeUInt32LE(masked(out.subarray(0, 8)), 8);
  out.set(data, 12);
  out.writeUInt32LE(masked(data), 12 + data.length);
  return out;
}

function masked(data: Uint8Array): number {
  const crc = crc32c(data);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** @returns the events, and where the last whole record ends: what follows was torn by a kill */
export function decodeEvents(file: Uint8Array): { events: RunEvent[]; end: number } {
  const data = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const events: RunEvent[] = [];
  let end = 0;
  while (end + 16 <= data.length) {
    const length = Number(data.readBigUInt64LE(end));
    const after = end + 12 + length + 4;
    if (data.readUInt32LE(end + 8) !== masked(data.subarray(end, end + 8)) || after > data.length) break;
    const body = data.subarray(end + 12, end + 12 + length);
    if (data.readUInt32LE(after - 4) !== masked(body)) break;
    const event = decodeEvent(body);
    if (event !== null) events.push(event);
    end = after;
  }
  return { events, end };
}

interface Field {
  number: number;
  /** Of a varint, double or float. */
  value: number;
  /** Of what has a length. */
  bytes: Buffer;
}

function* fields(data: Buffer): Generator<Field> {
  let at = 0;
  const readVarint = (): number => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = data[at++] ?? 0;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return Number(value);
    }
  };
  while (at < data.length) {
    const key = readVarint();
    const field: Field = { number: key >> 3, value: 0, bytes: data.subarray(0, 0) };
    switch (key & 7) {
      case 0:
        field.value = readVarint();
        break;
      case 1:
        field.value = data.readDoubleLE(at);
        at += 8;
        break;
      case 5:
        field.value = data.readFloatLE(at);
        at += 4;
        break;
      default: {
        const length = readVarint();
        field.bytes = data.subarray(at, at + length);
        at += length;
      }
    }
    yield field;
  }
}

/** Null for what this program writes none of. */
function decodeEvent(data: Buffer): RunEvent | null {
  let [wallTime, step] = [0, 0];
  let found: RunEvent | null = null;
  const scalars: { tag: string; value: number }[] = [];
  for (const field of fields(data)) {
    if (field.number === 1) wallTime = field.value;
    if (field.number === 2) step = field.value;
    if (field.number === 7) found = { wallTime, step, restarts: true };
    if (field.number !== 5) continue;
    for (const { bytes: one } of fields(field.bytes)) {
      let tag = "";
      let value: number | null = null;
      let markdown: string | null = null;
      for (const part of fields(one)) {
        if (part.number === 1) tag = part.bytes.toString("utf8");
        if (part.number === 2) value = part.value;
        if (part.number === 8)
          for (const inner of fields(part.bytes))
            if (inner.number === 8) markdown = inner.bytes.toString("utf8");
      }
      if (value !== null) scalars.push({ tag, value });
      if (markdown !== null) found = { wallTime, step, text: { tag, markdown } };
    }
  }
  return scalars.length > 0 ? { wallTime, step, scalars } : found;
}
