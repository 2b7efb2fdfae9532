/**
 * Counter-based random numbers: every draw is a pure function of (seed, path, index), so it does not
 * depend on batch size, order, or what was drawn before.
 * Philox4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 */

const M0 = 0xd2511f53;
const M1 = 0xcd9e8d57;
const W0 = 0x9e3779b9;
const W1 = 0xbb67ae85;

/** High 32 bits of the product of two unsigned 32-bit integers. */
function mulHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(carry / 65536)) >>> 0;
}

/** One Philox4x32-10 block. @returns four unsigned 32-bit integers */
export function philox(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(M0, c0);
    const low0 = Math.imul(M0, c0) >>> 0;
    const high1 = mulHigh(M1, c2);
    const low1 = Math.imul(M1, c2) >>> 0;
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + W0) >>> 0;
    k1 = (k1 + W1) >>> 0;
  }
  return [c0, c1, c2, c3];
}

export type PathPart = string | number;

/** A node in a tree of independent random streams. */
export interface Rng {
  /** 64-bit key as two unsigned 32-bit words: what an in-program generator needs to draw the same numbers. */
  readonly key: readonly [number, number];
  /** The stream named by these parts, independent of its siblings. */
  fork(...path: PathPart[]): Rng;
  /** Unsigned 32-bit integer number `index`. */
  uint32(index: number): number;
  /** Draw number `index`, uniform in [0, 1), a multiple of 2^-24 (exact in float32). */
  uniform(index: number): number;
  /** Integer in [0, bound). */
  integer(bound: number, index: number): number;
  /** Standard normal draw (Box-Muller on draws 2*index and 2*index+1 of a child stream). */
  normal(index: number): number;
  /** A permutation of 0..n-1 (Fisher-Yates). */
  permutation(n: number): number[];
}

/** Mixes one path part into a 64-bit key: the part's bytes are absorbed as Philox counters. */
function absorb(key: readonly [number, number], part: PathPart): readonly [number, number] {
  if (typeof part === "number") {
    if (!Number.isSafeInteger(part)) throw new RangeError(`random path part ${part} is not an integer`);
    const [a, b] = philox([part >>> 0, Math.floor(part / 2 ** 32) >>> 0, 0, 1], key);
    return [a, b];
  }
  const bytes = new TextEncoder().encode(part);
  let current = key;
  for (let i = 0; i <= bytes.length; i += 8) {
    let low = 0;
    let high = 0;
    for (let j = 0; j < 4; j++) {
      low |= (bytes[i + j] ?? 0) << (8 * j);
      high |= (bytes[i + 4 + j] ?? 0) << (8 * j);
    }
    const [a, b] = philox([low >>> 0, high >>> 0, Math.min(8, bytes.length - i), 2], current);
    current = [a, b];
  }
  return current;
}

function makeRng(key: readonly [number, number]): Rng {
  let cachedBlock = -1;
  let cached: readonly number[] = [];
  const uint32 = (index: number): number => {
    const block = Math.floor(index / 4);
    if (block !== cachedBlock) {
      cached = philox([block >>> 0, Math.floor(block / 2 ** 32) >>> 0, 0, 0], key);
      cachedBlock = block;
    }
    return cached[index % 4]!;
  };
  const rng: Rng = {
    key,
    uint32,
    fork: (...path) => makeRng(path.reduce<readonly [number, number]>(absorb, key)),
    uniform: (index) => (uint32(index) >>> 8) / 2 ** 24,
    integer: (bound, index) => {
      if (!Number.isInteger(bound) || bound < 1) throw new RangeError(`integer bound ${bound} must be >= 1`);
      // 53 random bits: the bias is below bound / 2^53
      const high = uint32(2 * index) >>> 5;
      const low = uint32(2 * index + 1) >>> 6;
      return Math.floor(((high * 2 ** 26 + low) / 2 ** 53) * bound);
    },
    normal: (index) => {
      const radius = Math.sqrt(-2 * Math.log((uint32(2 * index) + 1) / 2 ** 32));
      return radius * Math.cos(2 * Math.PI * (uint32(2 * index + 1) / 2 ** 32));
    },
    permutation: (n) => {
      const order = Array.from({ length: n }, (_, i) => i);
      for (let i = n - 1; i > 0; i--) {
        const j = rng.integer(i + 1, i);
        const swap = order[i]!;
        order[i] = order[j]!;
        order[j] = swap;
      }
      return order;
    },
  };
  return rng;
}

/** @param seed any safe integer */
export function createRng(seed: number): Rng {
  return makeRng(absorb([0x243f6a88, 0x85a308d3], seed));
}
