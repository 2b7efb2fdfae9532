/**
 * 16-bit floats as float32 and back, rounding to nearest with ties to even (IEEE 754-2008; bfloat16 is the
 * upper half of a float32). Node 20 has no Float16Array.
 */

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

function decodeF16(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 31;
  const mantissa = half & 1023;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : Number.NaN;
  return sign * 2 ** (exponent - 15) * (1 + mantissa / 1024);
}

let f16Table: Float32Array | undefined;

/** float32 value of each of the 65,536 half-precision bit patterns. */
export function halfTable(): Float32Array {
  f16Table ??= Float32Array.from({ length: 65536 }, (_, half) => decodeF16(half));
  return f16Table;
}

/** The two bytes are those of the float32's upper half. Exact. */
export function bfloat16ToFloat(bits: number): number {
  scratchBits[0] = bits << 16;
  return scratch[0]!;
}

/** @param bits a float32 as an unsigned 32-bit integer @returns its bfloat16 bits; NaN stays NaN */
export function float32BitsToBfloat16(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return ((bits >>> 16) | 0x40) & 0xffff;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** @param bits a float32 as an unsigned 32-bit integer @returns its float16 bits; 65520 and above is infinity */
export function float32BitsToHalf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) {
    return sign | ((magnitude - 0x38000000 + 0x0fff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  if (magnitude <= 0x33000000) return sign; // 2^-25 is halfway to the smallest subnormal: ties to even, 0
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const shift = 126 - (magnitude >>> 23); // 14..24
  return sign | ((mantissa + (1 << (shift - 1)) - 1 + ((mantissa >>> shift) & 1)) >>> shift);
}

/** Scalar form of {@link float32BitsToBfloat16}. */
export function floatToBfloat16(value: number): number {
  scratch[0] = value;
  return float32BitsToBfloat16(scratchBits[0]!);
}

/** Scalar form of {@link float32BitsToHalf}. */
export function floatToHalf(value: number): number {
  scratch[0] = value;
  return float32BitsToHalf(scratchBits[0]!);
}
