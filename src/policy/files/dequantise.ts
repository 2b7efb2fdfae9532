/**
 * GGML tensor types to float32. Block layouts and formulas: ggml's ggml-quants (github.com/ggml-org/ggml).
 * d, m and dmin are float16; every product below is exact in float64, so each value is rounded once.
 */
import { halfTable } from "./half.ts";

export interface GgmlType {
  id: number;
  name: string;
  /** Values per block, along a row. */
  block: number;
  /** Bytes per block. */
  bytes: number;
  /** Decodes whole blocks: out.length values from `bytes`, which starts at a block. */
  decode: (bytes: Uint8Array<ArrayBuffer>, out: Float32Array) => void;
}

function decodeF32(bytes: Uint8Array<ArrayBuffer>, out: Float32Array): void {
  new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(bytes);
}

function decodeF16(bytes: Uint8Array<ArrayBuffer>, out: Float32Array): void {
  const table = halfTable();
  for (let i = 0; i < out.length; i++) out[i] = table[bytes[2 * i]! | (bytes[2 * i + 1]! << 8)]!;
}

function decodeBF16(bytes: Uint8Array<ArrayBuffer>, out: Float32Array): void {
  const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < out.length; i++) bits[i] = (bytes[2 * i]! << 16) | (bytes[2 * i + 1]! << 24);
}

function decodeQ8_0(bytes: Uint8Array, out: Float32Array): void {
  const table = halfTable();
  for (let at = 0, o = 0; o < out.length; at += 34, o += 32) {
    const d = table[bytes[at]! | (bytes[at + 1]! << 8)]!;
    for (let i = 0; i < 32; i++) out[o + i] = d * ((bytes[at + 2 + i]! << 24) >> 24);
  }
}

function decodeQ4_0(bytes: Uint8Array, out: Float32Array): void {
  const table = halfTable();
  for (let at = 0, o = 0; o < out.length; at += 18, o += 32) {
    const d = table[bytes[at]! | (bytes[at + 1]! << 8)]!;
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 2 + i]!;
      out[o + i] = d * ((q & 15) - 8);
      out[o + 16 + i] = d * ((q >> 4) - 8);
    }
  }
}

function decodeQ4_1(bytes: Uint8Array, out: Float32Array): void {
  const table = halfTable();
  for (let at = 0, o = 0; o < out.length; at += 20, o += 32) {
    const d = table[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const m = table[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 4 + i]!;
      out[o + i] = d * (q & 15) + m;
      out[o + 16 + i] = d * (q >> 4) + m;
    }
  }
}

/** Q5_0 (`base` 16, no minimum) and Q5_1 (`base` 0, a minimum after d). */
function decodeQ5(bytes: Uint8Array, out: Float32Array, base: number, hasMinimum: boolean): void {
  const table = halfTable();
  const header = hasMinimum ? 4 : 2;
  for (let at = 0, o = 0; o < out.length; at += header + 20, o += 32) {
    const d = table[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const m = hasMinimum ? table[bytes[at + 2]! | (bytes[at + 3]! << 8)]! : -0; // x + -0 is x, -0 too
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + header + 4 + i]!;
      const low = (bytes[at + header + (i >> 3)]! >> (i & 7)) & 1;
      const high = (bytes[at + header + 2 + (i >> 3)]! >> (i & 7)) & 1;
      out[o + i] = d * ((q & 15) + 16 * low - base) + m;
      out[o + 16 + i] = d * ((q >> 4) + 16 * high - base) + m;
    }
  }
}

/** Q4_K and Q5_K: eight groups of 32 with 6-bit scales and minima; Q5_K keeps a fifth bit apart. */
function decodeQ45K(bytes: Uint8Array, out: Float32Array, fifthBit: boolean): void {
  const table = halfTable();
  const size = fifthBit ? 176 : 144;
  for (let at = 0, o = 0; o < out.length; at += size, o += 256) {
    const d = table[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const dmin = table[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
    const s = at + 4;
    const h = at + 16;
    const q = at + (fifthBit ? 48 : 16);
    for (let j = 0; j < 8; j++) {
      const scale = j < 4 ? bytes[s + j]! & 63 : (bytes[s + j + 4]! & 15) | ((bytes[s + j - 4]! >> 6) << 4);
      const minimum = j < 4 ? bytes[s + j + 4]! & 63 : (bytes[s + j + 4]! >> 4) | ((bytes[s + j]! >> 6) << 4);
      const step = d * scale;
      const offset = dmin * minimum;
      const shift = (j & 1) * 4;
      for (let l = 0; l < 32; l++) {
        let nibble = (bytes[q + 32 * (j >> 1) + l]! >> shift) & 15;
        if (fifthBit) nibble += ((bytes[h + l]! >> j) & 1) << 4;
        out[o + 32 * j + l] = step * nibble - offset;
      }
    }
  }
}

function decodeQ6_K(bytes: Uint8Array, out: Float32Array): void {
  const table = halfTable();
  for (let at = 0, o = 0; o < out.length; at += 210, o += 256) {
    const d = table[bytes[at + 208]! | (bytes[at + 209]! << 8)]!;
    for (let half = 0; half < 2; half++) {
      for (let g = 0; g < 4; g++) {
        const low = at + 64 * half + 32 * (g & 1);
        const high = at + 128 + 32 * half;
        for (let l = 0; l < 32; l++) {
          const e = 128 * half + 32 * g + l;
          const step = d * ((bytes[at + 192 + (e >> 4)]! << 24) >> 24);
          const bits =
            ((bytes[low + l]! >> (g < 2 ? 0 : 4)) & 15) | (((bytes[high + l]! >> (2 * g)) & 3) << 4);
          out[o + e] = step * (bits - 32);
        }
      }
    }
  }
}

const TYPES: readonly GgmlType[] = [
  { id: 0, name: "F32", block: 1, bytes: 4, decode: decodeF32 },
  { id: 1, name: "F16", block: 1, bytes: 2, decode: decodeF16 },
  { id: 30, name: "BF16", block: 1, bytes: 2, decode: decodeBF16 },
  { id: 8, name: "Q8_0", block: 32, bytes: 34, decode: decodeQ8_0 },
  { id: 2, name: "Q4_0", block: 32, bytes: 18, decode: decodeQ4_0 },
  { id: 3, name: "Q4_1", block: 32, bytes: 20, decode: decodeQ4_1 },
  { id: 6, name: "Q5_0", block: 32, bytes: 22, decode: (bytes, out) => decodeQ5(bytes, out, 16, false) },
  { id: 7, name: "Q5_1", block: 32, bytes: 24, decode: (bytes, out) => decodeQ5(bytes, out, 0, true) },
  { id: 12, name: "Q4_K", block: 256, bytes: 144, decode: (bytes, out) => decodeQ45K(bytes, out, false) },
  { id: 13, name: "Q5_K", block: 256, bytes: 176, decode: (bytes, out) => decodeQ45K(bytes, out, true) },
  { id: 14, name: "Q6_K", block: 256, bytes: 210, decode: decodeQ6_K },
];

const UNSUPPORTED: Readonly<Record<number, string>> = {
  9: "Q8_1",
  10: "Q2_K",
  11: "Q3_K",
  15: "Q8_K",
  16: "IQ2_XXS",
  17: "IQ2_XS",
  18: "IQ3_XXS",
  19: "IQ1_S",
  20: "IQ4_NL",
  21: "IQ3_S",
  22: "IQ2_S",
  23: "IQ4_XS",
  24: "I8",
  25: "I16",
  26: "I32",
  27: "I64",
  28: "F64",
  29: "IQ1_M",
  34: "TQ1_0",
  35: "TQ2_0",
  39: "MXFP4",
};

const BY_ID = new Map(TYPES.map((type) => [type.id, type]));

/** The decoder of a GGML type id, or the reason there is none, to be put after "tensor X ". */
export function ggmlType(id: number): GgmlType | string {
  const type = BY_ID.get(id);
  if (type) return type;
  const names = ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K"].join(", ");
  const name = UNSUPPORTED[id];
  return `has GGUF type ${name ? `${name} (${id})` : id}, which is not supported; use ${names} or Q6_K`;
}

/** The decoder by name, "Q4_1" and so on. @throws RangeError for a name that is none */
export function ggmlTypeByName(name: string): GgmlType {
  const type = TYPES.find((candidate) => candidate.name === name);
  if (!type) throw new RangeError(`no GGML type is called ${name}`);
  return type;
}
