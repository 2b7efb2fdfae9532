/**
 * Learning impact measurement (LIM; LIMR, arXiv:2502.11886): every prompt's reward by epoch, and how closely that
 * curve follows the pool's mean curve. Fill and validity filter as in the code (GAIR-NLP/LIMR,
 * lim/lim_selection.py); null stands where the code writes -1, which is also a reward that occurs.
 */

/** A prompt's value in each of K epochs; null where the epoch did not draw it. [K] */
export type Curve = readonly (number | null)[];

/** What one group of completions of a prompt got in one epoch. */
export interface EpochValue {
  promptId: string;
  /** From 0. */
  epoch: number;
  value: number;
  /** Completions the value is a mean of. */
  completions: number;
}

/**
 * Curves by prompt, in the order in which prompts first occur. Several groups of one prompt in one epoch (a
 * duplicated row) count as one larger group.
 * @param epochs K; later epochs are left out
 */
export function buildCurves(values: Iterable<EpochValue>, epochs: number): Map<string, Curve> {
  const sums = new Map<string, { sum: number; count: number }[]>();
  for (const { promptId, epoch, value, completions } of values) {
    if (epoch >= epochs) continue;
    let curve = sums.get(promptId);
    if (curve === undefined) {
      curve = Array.from({ length: epochs }, () => ({ sum: 0, count: 0 }));
      sums.set(promptId, curve);
    }
    const cell = curve[epoch]!;
    cell.sum += value * completions;
    cell.count += completions;
  }
  const curves = new Map<string, Curve>();
  for (const [id, cells] of sums)
    curves.set(
      id,
      cells.map(({ sum, count }) => (count === 0 ? null : sum / count)),
    );
  return curves;
}

/**
 * One pass from left to right: a missing value takes the next epoch's, where there is one. So of two gaps in a
 * row only the later is filled, and a gap in the last epoch never is. (The code's comment says forward fill; it
 * copies backwards.)
 */
export function fillGaps(curve: Curve): Curve {
  const filled = [...curve];
  for (let k = 0; k + 1 < filled.length; k++) {
    if (filled[k] === null && filled[k + 1] !== null) filled[k] = filled[k + 1]!;
  }
  return filled;
}

/** No gap is left. */
export function isWhole(curve: Curve): curve is readonly number[] {
  return curve.every((value) => value !== null);
}

/** avg_k, the mean over prompts. [K] */
export function meanCurve(curves: readonly (readonly number[])[]): number[] {
  const first = curves[0] ?? [];
  return first.map((_, k) => curves.reduce((sum, curve) => sum + curve[k]!, 0) / curves.length);
}

/**
 * s_i = 1 - sum_k (r_i^k - avg_k)^2 / sum_k (1 - avg_k)^2. At most 1, the mean curve's own score; 0 for the
 * always-solved curve; no lower bound; unchanged when all rewards go through r -> c r + (1 - c).
 * @throws RangeError when the mean curve is 1 throughout: nothing is left to learn and the score is undefined
 */
export function limScore(curve: readonly number[], average: readonly number[]): number {
  const room = average.reduce((sum, a) => sum + (1 - a) ** 2, 0);
  if (!(room > 0)) throw new RangeError("the mean curve is 1 in every epoch");
  return 1 - curve.reduce((sum, r, k) => sum + (r - average[k]!) ** 2, 0) / room;
}

export interface Measured {
  /** Scores of prompts whose filled curve is whole, in the curves' order. */
  scores: Map<string, number>;
  /** Over those prompts. [K]; empty when there are none. */
  average: number[];
  /** Prompts with a gap that the fill left. */
  invalid: string[];
}

/** Fill, filter, mean over what is left, scores. @throws RangeError as `limScore` */
export function measure(curves: ReadonlyMap<string, Curve>): Measured {
  const whole = new Map<string, readonly number[]>();
  const invalid: string[] = [];
  for (const [id, curve] of curves) {
    const filled = fillGaps(curve);
    if (isWhole(filled)) whole.set(id, filled);
    else invalid.push(id);
  }
  const average = meanCurve([...whole.values()]);
  const scores = new Map([...whole].map(([id, curve]) => [id, limScore(curve, average)]));
  return { scores, average, invalid };
}

/** How many prompts were seen in 0, 1, ..., K epochs, before filling. [K + 1] */
export function seenCounts(curves: ReadonlyMap<string, Curve>, epochs: number): number[] {
  const counts = Array.from({ length: epochs + 1 }, () => 0);
  for (const curve of curves.values()) counts[curve.filter((value) => value !== null).length]!++;
  return counts;
}
