/**
 * float32 to GGML tensor types, bit for bit as ggml's reference quantisation (ggml-quants of
 * github.com/ggml-org/ggml, the functions `quantize_row_*_ref`): every product there is a float32.
 */
import { type GgmlType, ggmlTypeByName } from "./dequantise.ts";
import { floatToHalf } from "./half.ts";
import { encodeFloats } from "./safetensors-write.ts";

/** Types that can be written. */
export const WRITTEN_TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0"] as const;
export type WrittenType = (typeof WRITTEN_TYPES)[number];

/** The 32 values' largest by magnitude, with its sign. */
function extreme(data: Float32Array, at: number): number {
  let largest = 0;
  for (let i = at; i < at + 32; i++) if (Math.abs(data[i]!) > Math.abs(largest)) largest = data[i]!;
  return largest;
}

/** x = d q with d = max|x| / 127, q rounded half away from zero. */
function encodeQ8_0(data: Float32Array): Uint8Array {
  const out = new Uint8Array((data.length / 32) * 34);
  for (let o = 0, at = 0; at < data.length; o += 34, at += 32) {
    const d = Math.fround(Math.abs(extreme(data, at)) / 127);
    const inverse = d === 0 ? 0 : Math.fround(1 / d);
    const half = floatToHalf(d);
    out[o] = half & 255;
    out[o + 1] = half >> 8;
    for (let i = 0; i < 32; i++) {
      const scaled = Math.fround(data[at + i]! * inverse);
      out[o + 2 + i] = Math.sign(scaled) * Math.floor(Math.abs(scaled) + 0.5);
    }
  }
  return out;
}

/** x = d (q - 8) with d = -max / 8, so that the value of largest magnitude is hit whatever its sign. */
function encodeQ4_0(data: Float32Array): Uint8Array {
  const out = new Uint8Array((data.length / 32) * 18);
  for (let o = 0, at = 0; at < data.length; o += 18, at += 32) {
    const d = Math.fround(extreme(data, at) / -8);
    const inverse = d === 0 ? 0 : Math.fround(1 / d);
    const half = floatToHalf(d);
    out[o] = half & 255;
    out[o + 1] = half >> 8;
    const level = (value: number): number =>
      Math.min(15, Math.trunc(Math.fround(Math.fround(value * inverse) + 8.5)));
    for (let i = 0; i < 16; i++) out[o + 2 + i] = level(data[at + i]!) | (level(data[at + 16 + i]!) << 4);
  }
  return out;
}

const ENCODERS: Readonly<Record<WrittenType, (data: Float32Array) => Uint8Array>> = {
  F32: (data) => encodeFloats(data, "F32"),
  F16: (data) => encodeFloats(data, "F16"),
  BF16: (data) => encodeFloats(data, "BF16"),
  Q8_0: encodeQ8_0,
  Q4_0: encodeQ4_0,
};

/** The type's id, block and size, and how values become its bytes. @param data whole blocks */
export function writtenType(name: WrittenType): GgmlType & { encode(data: Float32Array): Uint8Array } {
  return { ...ggmlTypeByName(name), encode: ENCODERS[name] };
}
