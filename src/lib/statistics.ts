/** Estimates with intervals: numbers in, numbers out. */
import { mean, standardDeviation } from "./math.ts";
import type { Rng } from "./rng.ts";

export interface Interval {
  low: number;
  high: number;
}

const Z95 = 1.959963984540054;

/**
 * Wilson score interval of a proportion, 95%. E. B. Wilson, JASA 22 (1927).
 * @param successes 0..n
 * @returns [0, 1] when n is 0
 */
export function wilson(successes: number, n: number): Interval {
  if (n === 0) return { low: 0, high: 1 };
  const p = successes / n;
  const z2 = Z95 * Z95;
  const centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  const half = (Z95 / (1 + z2 / n)) * Math.sqrt((p * (1 - p)) / n + z2 / (4 * n * n));
  return { low: successes === 0 ? 0 : centre - half, high: successes === n ? 1 : centre + half };
}

/**
 * Percentile bootstrap of a mean over prompts, 95%: prompts are the unit, since completions of one prompt
 * are not independent.
 * @param values one per prompt
 */
export function bootstrapMean(values: readonly number[], rng: Rng, draws = 1000): Interval {
  const n = values.length;
  if (n === 0) return { low: 0, high: 1 };
  const means = Array.from({ length: draws }, (_, draw) => {
    const stream = rng.fork(draw);
    let sum = 0;
    for (let i = 0; i < n; i++) sum += values[stream.integer(n, i)]!;
    return sum / n;
  }).sort((a, b) => a - b);
  const at = (share: number) => means[Math.min(draws - 1, Math.max(0, Math.round(share * (draws - 1))))]!;
  return { low: at(0.025), high: at(0.975) };
}

/**
 * Unbiased estimate of the chance that at least one of k completions is right, from n with c right:
 * 1 - C(n-c, k) / C(n, k). Chen et al., arXiv:2107.03374 eq. 1.
 * @throws RangeError unless 1 <= k <= n and 0 <= c <= n
 */
export function passAtK(n: number, c: number, k: number): number {
  if (!(k >= 1 && k <= n && c >= 0 && c <= n))
    throw new RangeError(`pass@k needs 1 <= k <= n, 0 <= c <= n: n ${n}, c ${c}, k ${k}`);
  if (n - c < k) return 1;
  let miss = 1;
  for (let i = n - c + 1; i <= n; i++) miss *= 1 - k / i;
  return 1 - miss;
}

/**
 * Chance that a majority vote over these answers is right: 1 or 0, or a share when answers tie for first.
 * @param answers parsed answers with whether each is right; equal text votes together, empty text does not vote
 */
export function majority(answers: readonly { text: string; correct: boolean }[]): number {
  const votes = new Map<string, { count: number; correct: boolean }>();
  for (const { text, correct } of answers) {
    if (text === "") continue;
    const vote = votes.get(text) ?? { count: 0, correct };
    vote.count += 1;
    votes.set(text, vote);
  }
  const most = Math.max(0, ...[...votes.values()].map((vote) => vote.count));
  const winners = [...votes.values()].filter((vote) => vote.count === most);
  return winners.length === 0 ? 0 : mean(winners.map((vote) => (vote.correct ? 1 : 0)));
}

/** 97.5% quantiles of Student's t for 1 to 30 degrees of freedom. */
const T975 = [
  12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.306, 2.2622, 2.2281, 2.201, 2.1788, 2.1604,
  2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.093, 2.086, 2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555,
  2.0518, 2.0484, 2.0452, 2.0423,
];

export interface MeanInterval extends Interval {
  mean: number;
}

/**
 * Mean of independent values, such as differences by seed, with its 95% interval by Student's t.
 * @returns an infinite interval for one value, NaN for none
 */
export function studentInterval(values: readonly number[]): MeanInterval {
  const n = values.length;
  if (n === 0) return { mean: Number.NaN, low: Number.NaN, high: Number.NaN };
  const centre = mean(values);
  if (n === 1) return { mean: centre, low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };
  const half = ((T975[n - 2] ?? Z95) * standardDeviation(values, 1)) / Math.sqrt(n);
  return { mean: centre, low: centre - half, high: centre + half };
}
