/** Sizes of generation's programs: few, so that they are used again. */

/** Completions shorter than this take one program. */
const FIRST_CAPACITY = 64;
const LARGEST_GROWTH = 256;

/** Sizes 1, 2, 3, 4, 6, 8, 12, 16, 24 ...: few, so that programs are used again. */
export function ladder(size: number): number {
  if (size <= 2) return Math.max(1, size);
  const power = 2 ** Math.floor(Math.log2(size));
  return size === power ? power : size <= power * 1.5 ? power * 1.5 : power * 2;
}

/** Borders of the completions' cache, tokens. */
export function capacities(maxNewTokens: number): number[] {
  // the last token is never fed back
  const needed = Math.max(1, maxNewTokens - 1);
  const borders: number[] = [];
  for (let size = FIRST_CAPACITY; borders.at(-1) !== needed; size += Math.min(size, LARGEST_GROWTH)) {
    borders.push(size * 1.25 >= needed ? needed : size);
  }
  return borders;
}

/** Slots of the prompts' cache: few sizes, so that programs are used again. */
export function slotsFor(longest: number): number {
  const step = longest <= 64 ? 16 : longest <= 512 ? 64 : 256;
  return Math.ceil(longest / step) * step;
}
