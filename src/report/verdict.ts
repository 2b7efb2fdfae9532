/**
 * The verdict on a claim: numbers in, words out. A claim is several conditions joined by "and"; each says on which
 * side of a margin an effect lies. No files, no draws.
 */
import { mean, standardDeviation } from "../lib/math.ts";
import {
  crossedDifference,
  detectable,
  type Interval,
  studentQuantile,
  studentTail,
} from "../lib/statistics.ts";
import { LEVEL } from "./looks.ts";

export const verdicts = ["SUPPORTED", "NOT SUPPORTED", "INCONCLUSIVE"] as const;
export type Verdict = (typeof verdicts)[number];

/** Exit status of `rlpt reproduce`. */
export const exitStatus: Readonly<Record<Verdict, number>> = {
  SUPPORTED: 0,
  "NOT SUPPORTED": 3,
  INCONCLUSIVE: 4,
};

/** An effect over seeds (and prompts) with what is known about its error. */
export interface Effect extends Interval {
  mean: number;
  /** One-sided level of its interval: 0.025 for 95%. */
  level: number;
  standardError: number;
  /** Degrees of freedom of Student's t; NaN with one seed. */
  df: number;
  /** Distance from the margin that a comparison like this one finds in 80% of the cases. */
  detectable: number;
  seeds: number;
  /** 0 where the unit is the run. */
  prompts: number;
}

/**
 * Effect of paired values: seeds and prompts are crossed random factors, and the interval is about new seeds and
 * new prompts.
 * @param values [seeds][prompts], first arm minus (a multiple of) the second, or one arm alone
 * @param range largest difference that one prompt can make: 1 for a share, null for what has no bound. Then the
 *   variance counts two pseudo-prompts, half of one with each extreme, so that arms without a single exception
 *   (thinking on 0 of 200) keep an interval (Agresti and Min, Statistics in Medicine 24 (2005)).
 * @param level one-sided, of the interval
 */
export function promptEffect(
  values: readonly (readonly number[])[],
  range: number | null,
  level = LEVEL,
): Effect {
  const seeds = values.length;
  const prompts = values[0]!.length;
  if (seeds < 2) return oneSeed(mean(values[0]!), prompts, level);
  const zeros = values.map((row) => row.map(() => 0));
  const { mean: centre, standardError, df } = crossedDifference(values, zeros, true, "none");
  return withFloor(centre, standardError, df, { seeds, prompts, units: prompts, range, level });
}

/**
 * Effect of values by run, such as an F1, which is no mean over prompts: Student's t over seeds.
 * @param values one per seed, paired
 * @param prompts that one value stands on, for the floor of the variance
 */
export function runEffect(
  values: readonly number[],
  prompts: number,
  range: number | null,
  level = LEVEL,
): Effect {
  const seeds = values.length;
  if (seeds < 2) return oneSeed(values[0]!, 0, level);
  const error = standardDeviation(values, 1) / Math.sqrt(seeds);
  return withFloor(mean(values), error, seeds - 1, { seeds, prompts: 0, units: prompts, range, level });
}

function oneSeed(centre: number, prompts: number, level: number): Effect {
  return {
    mean: centre,
    level,
    low: Number.NEGATIVE_INFINITY,
    high: Number.POSITIVE_INFINITY,
    standardError: Number.POSITIVE_INFINITY,
    df: Number.NaN,
    detectable: Number.POSITIVE_INFINITY,
    seeds: 1,
    prompts,
  };
}

function withFloor(
  centre: number,
  error: number,
  df: number,
  {
    seeds,
    prompts,
    units,
    range,
    level,
  }: { seeds: number; prompts: number; units: number; range: number | null; level: number },
): Effect {
  const floor = range === null ? 0 : range / Math.sqrt(units * (units + 2));
  const standardError = Math.max(error, floor);
  // the floor stands on the prompts
  const freedom = error >= floor && error > 0 ? df : Math.max(1, units - 1);
  const half = standardError === 0 ? 0 : studentQuantile(1 - level, freedom) * standardError;
  return {
    mean: centre,
    level,
    low: centre - half,
    high: centre + half,
    standardError,
    df: freedom,
    detectable: standardError === 0 ? 0 : detectable(standardError, freedom, { level }),
    seeds,
    prompts,
  };
}

/**
 * Distance from its margin at which each of several conditions has to lie for all of them to be found in 80% of the cases
 * together; of one condition, `effect.detectable`.
 */
export function detectableTogether(effect: Effect, conditions: number): number {
  const { standardError, df, level } = effect;
  if (conditions === 1 || standardError === 0 || !Number.isFinite(standardError)) return effect.detectable;
  return detectable(standardError, df, { level, power: 0.8 ** (1 / conditions) });
}

export interface Requirement {
  /** The side of the margin that the effect has to lie on. */
  direction: "above" | "below";
  margin: number;
}

export type Outcome = "holds" | "fails" | "undecided";

export interface Judged {
  /** Chance of an effect at least this far on the wanted side if it were at the margin. */
  pHolds: number;
  /** The same for the other side. */
  pFails: number;
  outcome: Outcome;
}

export interface Judgement {
  verdict: Verdict;
  conditions: Judged[];
}

/**
 * SUPPORTED: every condition's interval lies beyond its margin, on the wanted side. As all of them must, no
 * correction is due: the chance to support what is false is at most that of its false condition, the level of its interval
 * (intersection-union test; Berger, Technometrics 24 (1982)).
 * NOT SUPPORTED: at least one condition's effect lies on the other side, at that level divided by the number of
 * conditions (Bonferroni), as any one of them suffices.
 * INCONCLUSIVE: neither; always so with one seed.
 * @param claims effects of one level: 2.5%, a 95% interval, or what a look of several may spend
 */
export function judge(claims: readonly { effect: Effect; requirement: Requirement }[]): Judgement {
  const conditions = claims.map(({ effect, requirement }): Judged => {
    const [pHolds, pFails] = tails(effect, requirement);
    const outcome =
      pHolds <= effect.level ? "holds" : pFails <= effect.level / claims.length ? "fails" : "undecided";
    return { pHolds, pFails, outcome };
  });
  const outcomes = conditions.map(({ outcome }) => outcome);
  const verdict = outcomes.includes("fails")
    ? "NOT SUPPORTED"
    : outcomes.includes("undecided")
      ? "INCONCLUSIVE"
      : "SUPPORTED";
  return { verdict, conditions };
}

/** One-sided p-values: of lying on the wanted side of the margin, and on the other. */
function tails(
  { mean: centre, standardError, df }: Effect,
  { direction, margin }: Requirement,
): [number, number] {
  const distance = (direction === "above" ? 1 : -1) * (centre - margin);
  if (!Number.isFinite(standardError)) return [1, 1];
  if (standardError === 0) return distance > 0 ? [0, 1] : distance < 0 ? [1, 0] : [1, 1];
  const beyond = studentTail(distance / standardError, df) / 2;
  return distance > 0 ? [beyond, 1 - beyond] : [1 - beyond, beyond];
}
