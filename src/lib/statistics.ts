/** Estimates with intervals: numbers in, numbers out. */
import { mean, standardDeviation } from "./math.ts";
import type { Rng } from "./rng.ts";

export interface Interval {
  low: number;
  high: number;
}

/**
 * Clopper and Pearson's interval of a proportion, 95%: exact, so it holds the truth in at least 95% of the cases at
 * every n and every true share. Wilson's falls to 84% near 0 and 1, where trained policies end. Biometrika 26 (1934).
 * @param successes 0..n
 * @returns [0, 1] when n is 0
 */
export function clopperPearson(successes: number, n: number): Interval {
  return {
    low: successes === 0 ? 0 : betaQuantile(0.025, successes, n - successes + 1),
    high: successes === n ? 1 : betaQuantile(0.975, successes + 1, n - successes),
  };
}

/**
 * Interval of the mean of values between 0 and 1, 95%: prompts are the unit, since completions of one prompt are not
 * independent. Each draw weighs the prompts and one end of the range by a flat Dirichlet distribution, the low bound
 * with 0 and the high bound with 1 (Gaffke, Mathematical Methods of Statistics 14 (2005); Learned-Miller and Thomas,
 * arXiv:1905.06208). It is Clopper and Pearson's where every value is 0 or 1, and narrower where values lie between.
 * A bootstrap of the prompts alone covers 62% to 93% at ten prompts.
 * @param values one per prompt, 0..1
 */
export function shareInterval(values: readonly number[], rng: Rng, draws = 2000): Interval {
  const n = values.length;
  if (values.every((value) => value === 0 || value === 1))
    return clopperPearson(values.filter((value) => value === 1).length, n);
  const lows = new Float64Array(draws);
  const highs = new Float64Array(draws);
  for (let draw = 0; draw < draws; draw++) {
    const stream = rng.fork(draw);
    const weight = (i: number) => -Math.log((stream.uint32(i) + 0.5) / 2 ** 32);
    const end = weight(n);
    let total = end;
    let sum = 0;
    for (let i = 0; i < n; i++) {
      const own = weight(i);
      total += own;
      sum += own * values[i]!;
    }
    lows[draw] = sum / total;
    highs[draw] = (sum + end) / total;
  }
  const at = (sorted: Float64Array, share: number) => sorted[Math.round(share * (draws - 1))]!;
  return { low: at(lows.sort(), 0.025), high: at(highs.sort(), 0.975) };
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
  const half = (studentQuantile(0.975, n - 1) * standardDeviation(values, 1)) / Math.sqrt(n);
  return { mean: centre, low: centre - half, high: centre + half };
}

/** log of the gamma function, x > 0. Lanczos' approximation, SIAM J. Numer. Anal. B 1 (1964), g = 5, n = 6. */
function logGamma(x: number): number {
  const coefficients = [
    76.18009172947146, -86.50532032941678, 24.01409824083091, -1.231739572450155, 0.001208650973866179,
    -0.000005395239384953,
  ];
  const series = coefficients.reduce((sum, c, i) => sum + c / (x + 1 + i), 1.000000000190015);
  return (x + 0.5) * Math.log(x + 5.5) - (x + 5.5) + Math.log((2.5066282746310007 * series) / x);
}

/** Regularised incomplete beta function I_x(a, b) by its continued fraction (DLMF 8.17.22), Lentz' method. */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const front =
    Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(1 - x)) / a;
  const guard = (value: number) => (Math.abs(value) < 1e-300 ? 1e-300 : value);
  let c = 1;
  let d = 1 / guard(1 - ((a + b) * x) / (a + 1));
  let fraction = d;
  for (let m = 1; m <= 300; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / guard(1 + even * d);
    c = guard(1 + even / c);
    fraction *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / guard(1 + odd * d);
    c = guard(1 + odd / c);
    fraction *= d * c;
    if (Math.abs(d * c - 1) < 1e-14) break;
  }
  return front * fraction;
}

/** Chance that |T| >= |t| for Student's t. @param df degrees of freedom, > 0, not only whole */
export function studentTail(t: number, df: number): number {
  return incompleteBeta(df / (df + t * t), df / 2, 0.5);
}

/** Quantile of Student's t. @param p 0.5 < p < 1 */
export function studentQuantile(p: number, df: number): number {
  let low = 0;
  let high = 1;
  while (studentTail(high, df) > 2 * (1 - p)) high *= 2;
  for (let i = 0; i < 80; i++) {
    const middle = (low + high) / 2;
    if (studentTail(middle, df) > 2 * (1 - p)) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** The x below which a share p of the beta distribution lies. @param a, b > 0 */
export function betaQuantile(p: number, a: number, b: number): number {
  let low = 0;
  let high = 1;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (incompleteBeta(middle, a, b) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

export interface Difference extends MeanInterval {
  /** Two-sided. */
  p: number;
  /** Standard error of the mean. */
  standardError: number;
  /** Degrees of freedom of Student's t that the interval takes its width from. */
  df: number;
  /** True difference that a comparison like this one finds in 80% of the cases, at 5% two-sided. */
  detectable: number;
  /** Student's t over prompts; "two-way" over prompts and seeds. */
  method: "prompts" | "two-way";
}

/** Fewer prompts than this say too little about differences without a bound: most of them may lie in what is rare. */
export const UNBOUNDED_PROMPTS = 15;

/**
 * Variance of a mean difference over prompts, with two prompts more that were not seen: of each, half has the largest
 * difference there can be and half the smallest (Agresti and Min, Statistics in Medicine 24 (2005)). Otherwise prompts
 * that all agree, or all but one, would leave no room for the prompts that differ.
 * @param bound largest difference that a prompt can have; null takes the largest that one has
 */
function promptVariance(differences: readonly number[], bound: number | null): number {
  const n = differences.length;
  const centre = mean(differences);
  const extreme = bound ?? Math.max(...differences.map(Math.abs));
  const squares = differences.reduce((sum, value) => sum + (value - centre) ** 2, 0);
  return (squares + 2 * (extreme ** 2 + centre ** 2)) / (n * (n + 1));
}

/** @throws RangeError below two prompts, or below `UNBOUNDED_PROMPTS` without a bound */
function checkPrompts(n: number, bound: number | null): void {
  const least = bound === null ? UNBOUNDED_PROMPTS : 2;
  if (n < least) throw new RangeError(`a difference of this kind needs ${least} prompts or more, not ${n}`);
}

/**
 * Mean of paired differences, one per prompt, by Student's t with the variance of `promptVariance`: p is below 0.05
 * exactly where the interval leaves 0 out. A bootstrap of five prompts covers 40% to 92%.
 * @param bound as in `promptVariance`: 1 for shares
 * @throws RangeError for too few prompts
 */
export function pairedDifference(differences: readonly number[], bound: number | null): Difference {
  const n = differences.length;
  checkPrompts(n, bound);
  return byStudent(mean(differences), Math.sqrt(promptVariance(differences, bound)), n - 1, "prompts");
}

function byStudent(
  centre: number,
  standardError: number,
  df: number,
  method: Difference["method"],
): Difference {
  const none = standardError === 0;
  const half = none ? 0 : studentQuantile(0.975, df) * standardError;
  return {
    mean: centre,
    low: centre - half,
    high: centre + half,
    p: none ? Number(centre === 0) : studentTail(centre / standardError, df),
    standardError,
    df,
    detectable: none ? 0 : detectable(standardError, df),
    method,
  };
}

/**
 * Difference of two sides that several seeds have trained, all evaluated on the same prompts: prompts and seeds
 * are crossed random factors. A bootstrap over three or five seeds would be too narrow, so the variance is put
 * together from the mean squares of the factors, and each part brings the t of its own degrees of freedom into the
 * width: half of it is sqrt(sum of variance * t^2) (Banerjee, Sankhya 22 (1960), who shows that it never covers too little
 * for parts that are estimated apart). What seeds bring is their mean square less half of the residual one: the whole, which
 * would be its expectation, covers 91% with three seeds, half of it 94% and more (docs/decisions/0021). The weighted mean of the t's (Cochran, Biometrics 20 (1964)) covers 90% where three
 * seeds differ more than prompts; Satterthwaite's degrees of freedom count the few seeds also where these bring no
 * variance of their own, which is too wide there, and come out too many where they bring most, which is too narrow.
 * @param a [seeds][prompts], two seeds or more
 * @param b the same prompts in the same order; with `pairedSeeds` the same seeds in the same order
 * @param bound as in `promptVariance`; "none" where the caller looks after prompts that all agree
 * @throws RangeError for too few prompts or seeds
 */
export function crossedDifference(
  a: readonly (readonly number[])[],
  b: readonly (readonly number[])[],
  pairedSeeds: boolean,
  bound: number | null | "none",
): Difference {
  const n = a[0]?.length ?? 0;
  if (a.length < 2 || b.length < 2 || n < 2)
    throw new RangeError(`needs two seeds a side and two prompts: ${a.length}, ${b.length}, ${n}`);
  if (bound !== "none") checkPrompts(n, bound);
  if (pairedSeeds && a.length !== b.length) throw new RangeError("paired seeds need as many on each side");
  const column = (side: readonly (readonly number[])[], i: number) => mean(side.map((row) => row[i]!));
  const perPrompt = Array.from({ length: n }, (_, i) => column(a, i) - column(b, i));
  const centre = mean(perPrompt);
  const sides = pairedSeeds ? [a.map((row, s) => row.map((value, i) => value - b[s]![i]!))] : [a, b];
  // variance of the mean, the residual included: prompts, and what seeds bring besides; never less than nothing,
  // as seeds that happen to agree must not make the interval narrower than prompts alone do
  const parts: { value: number; df: number }[] = [
    {
      value: bound === "none" ? variance(perPrompt) / n : promptVariance(perPrompt, bound),
      df: n - 1,
    },
  ];
  for (const side of sides) {
    const k = side.length;
    const rows = side.map(mean);
    const columns = Array.from({ length: n }, (_, i) => column(side, i));
    const grand = mean(rows);
    let squares = 0;
    side.forEach((row, s) => {
      row.forEach((value, i) => {
        squares += (value - rows[s]! - columns[i]! + grand) ** 2;
      });
    });
    const residual = squares / ((k - 1) * (n - 1)) / (k * n);
    // taking all of it off covers 91%, where seeds differ about as much as completions, and with two seeds 86%
    const taken = k < 3 ? 0 : residual / 2;
    parts.push({ value: Math.max(0, variance(rows) / k - taken), df: k - 1 });
  }
  const total = parts.reduce((sum, { value }) => sum + value, 0);
  const standardError = Math.sqrt(total);
  const t =
    standardError === 0
      ? 0
      : Math.sqrt(
          parts.reduce((sum, { value, df }) => sum + value * studentQuantile(0.975, df) ** 2, 0) / total,
        );
  const df = standardError === 0 ? n - 1 : freedomOf(t, Math.min(...parts.map((one) => one.df)), n - 1);
  return byStudent(centre, standardError, df, "two-way");
}

/** Degrees of freedom, between two, at which Student's t has this 97.5% quantile. */
function freedomOf(t: number, one: number, other: number): number {
  let [low, high] = [Math.min(one, other), Math.max(one, other)];
  for (let i = 0; i < 50; i++) {
    const middle = (low + high) / 2;
    if (studentTail(t, middle) > 0.05) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

const variance = (values: readonly number[]): number => standardDeviation(values, 1) ** 2;

/** True difference that a test of this one-sided level, 5% two-sided when absent, finds in `power` of the cases. */
export const detectable = (
  standardError: number,
  df: number,
  { power = 0.8, level = 0.025 }: { power?: number; level?: number } = {},
): number => (studentQuantile(1 - level, df) + studentQuantile(power, df)) * standardError;

/** p-values of several comparisons, corrected so that any false one has at most the stated chance. Holm, 1979. */
export function holm(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((i, j) => values[i]! - values[j]!);
  const corrected = [...values];
  let largest = 0;
  order.forEach((index, rank) => {
    largest = Math.max(largest, Math.min(1, (values.length - rank) * values[index]!));
    corrected[index] = largest;
  });
  return corrected;
}
