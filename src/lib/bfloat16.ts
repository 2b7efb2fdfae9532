/** bfloat16 is the upper half of a float32: widening it is exact, and exactly reversible. */

/**
 * The upper halves of float32 numbers, where these are all there is to them.
 * @returns null when a number has bits below: rounding it would change it
 */
export function upperHalves(values: Float32Array): Uint16Array | null {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if ((word & 0xffff) !== 0) return null;
    halves[i] = word >>> 16;
  }
  return halves;
}

/** The float32 numbers that bfloat16 bits stand for. */
export function widened(halves: Uint16Array): Float32Array {
  const values = new Float32Array(halves.length);
  const words = new Uint32Array(values.buffer);
  for (let i = 0; i < halves.length; i++) words[i] = halves[i]! << 16;
  return values;
}
