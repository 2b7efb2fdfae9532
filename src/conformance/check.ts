/** One thing that holds, with the largest error that was seen. */

export interface Check {
  name: string;
  /** Of all its batches. */
  error: number;
  bound: number;
  /** A fault was planted: the error must be above the bound. */
  planted: boolean;
  ok: boolean;
}

/** largest |a - b| / max(1, |b|); Infinity where one is no number. */
export function largestError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let most = 0;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i]! - expected[i]!) / Math.max(1, Math.abs(expected[i]!));
    most = Math.max(most, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
  }
  return most;
}

export function within(name: string, errors: readonly number[], bound: number): Check {
  const error = Math.max(...errors);
  return { name, error, bound, planted: false, ok: error <= bound };
}

export function caught(name: string, errors: readonly number[], bound: number): Check {
  const error = Math.max(...errors);
  return { name, error, bound, planted: true, ok: error > bound };
}
