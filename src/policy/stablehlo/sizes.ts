/** Sizes of generation's programs: few, so that they are used again. */

/** Completions shorter than this take one program. */
const FIRST_CAPACITY = 64;
const LARGEST_GROWTH = 256;

/**
 * Sizes 1, 2, 3, 4, 6, 8, 12, 16, 24 ...: few, so that programs are used again.
 * @param devices the size is this times one of them, so that each device has as many
 */
export function ladder(size: number, devices = 1): number {
  if (devices > 1) return devices * ladder(Math.ceil(size / devices));
  if (size <= 2) return Math.max(1, size);
  const power = 2 ** Math.floor(Math.log2(size));
  return size === power ? power : size <= power * 1.5 ? power * 1.5 : power * 2;
}

/**
 * Parts that each prompt's completions are cut into, so that all devices have as many: each part has the prompt's cache for
 * itself. 1 where no parts of one size do that; empty groups then fill up.
 */
export function partsFor(prompts: number, completions: number, devices: number): number {
  for (let parts = 1; parts <= Math.min(completions, devices); parts++) {
    if (completions % parts === 0 && (prompts * parts) % devices === 0) return parts;
  }
  return 1;
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
