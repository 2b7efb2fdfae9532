/** What alarms remember of a stage: small enough to lie in every checkpoint, so that a resumed run raises what an uninterrupted one would. */
import type { MetricValues } from "../metrics/define.ts";

/** Steps that are averaged, at the stage's beginning and at its present end. No alarm before two windows. */
export const WINDOW = 10;
/** Evaluated completions that a slice or mode needs to count. */
export const SLICE_COMPLETIONS = 10;

/** Metrics that alarms look at; tests replay runs that were recorded with these. */
export const watchedMetrics = [
  "reward/mean",
  "accuracy",
  "policy/entropy",
  "tokens/completion_mean",
  "completion/thinking",
  "mode/thinking/tokens",
  "mode/direct/tokens",
  "group/all_right",
  "group/all_wrong",
  "group/all_truncated",
  "group/all_unparsed",
  "group/equal_shaped",
] as const;
export type Watched = (typeof watchedMetrics)[number];

/** The watched metrics of one step; null where it had none. */
export type AlarmRow = Record<Watched, number | null>;

interface Accuracy {
  accuracy: number;
  /** 95% interval. */
  low: number;
  high: number;
}

/** What alarms know of evaluations. */
export interface AlarmEvaluations {
  best: Accuracy | null;
  last: Accuracy | null;
  /** Largest minus smallest thinking rate over the slices. */
  gap: number | null;
  widestGap: number | null;
  /** Standard errors of the two; absent in checkpoints of older versions. */
  gapError?: number | null;
  widestGapError?: number | null;
  /** Accuracy of each mode when it was last seen often enough. */
  thinking: number | null;
  direct: number | null;
}

/** JSON, bounded: part of a checkpoint. */
export interface AlarmHistory {
  rows: number;
  first: AlarmRow[];
  last: AlarmRow[];
  evaluations: AlarmEvaluations;
  /** Names of the alarms that the last step raised. */
  active: string[];
}

/** A row of an evaluation, as eval.csv has it. */
export type EvaluatedSlice = Readonly<Record<string, unknown>>;

export function newAlarmHistory(evaluations?: AlarmEvaluations): AlarmHistory {
  const none = { best: null, last: null, gap: null, widestGap: null, thinking: null, direct: null };
  return { rows: 0, first: [], last: [], evaluations: evaluations ?? none, active: [] };
}

/** What a stage starts with when the one before evaluated in the same way: its last evaluation. */
export function nextStageHistory({ evaluations }: AlarmHistory): AlarmHistory {
  return newAlarmHistory({
    ...evaluations,
    best: evaluations.last,
    widestGap: evaluations.gap,
    widestGapError: evaluations.gapError ?? null,
  });
}

/** The history with one more step in it. @param slices of the evaluation after the step; null without one */
export function withStep(
  history: AlarmHistory,
  metrics: MetricValues,
  slices: readonly EvaluatedSlice[] | null,
): AlarmHistory {
  const row = Object.fromEntries(
    watchedMetrics.map((name) => [name, Number.isFinite(metrics[name]) ? metrics[name]! : null]),
  ) as AlarmRow;
  return {
    rows: history.rows + 1,
    first: history.first.length < WINDOW ? [...history.first, row] : history.first,
    last: [...history.last, row].slice(-WINDOW),
    evaluations: slices === null ? history.evaluations : withEvaluation(history.evaluations, slices),
    active: history.active,
  };
}

/** @param slices rows of one evaluation, the one for all prompts first */
export function withEvaluation(
  before: AlarmEvaluations,
  slices: readonly EvaluatedSlice[],
): AlarmEvaluations {
  const all = slices[0]!;
  const last = {
    accuracy: Number(all["accuracy"]),
    low: Number(all["accuracy_low"]),
    high: Number(all["accuracy_high"]),
  };
  const large = slices.filter((row) => Number(row["completions"]) >= SLICE_COMPLETIONS);
  const mode = (name: string, known: number | null) => {
    const row = large.find(({ slice }) => slice === `mode=${name}`);
    return row === undefined ? known : Number(row["accuracy"]);
  };
  const rates = large
    .filter(({ slice }) => slice !== "all" && !String(slice).startsWith("mode="))
    .flatMap(({ thinking, completions }) =>
      typeof thinking === "number" ? [{ rate: thinking, completions: Number(completions) }] : [],
    )
    .sort((a, b) => a.rate - b.rate);
  const [lowest, highest] = [rates[0], rates.at(-1)];
  const gap = rates.length < 2 ? null : highest!.rate - lowest!.rate;
  const gapError = gap === null ? null : Math.hypot(rateError(lowest!), rateError(highest!));
  const widest = gap !== null && gap > (before.widestGap ?? -1);
  return {
    best: before.best === null || last.accuracy > before.best.accuracy ? last : before.best,
    last,
    gap,
    gapError,
    widestGap: widest ? gap : before.widestGap,
    widestGapError: widest ? gapError : (before.widestGapError ?? null),
    thinking: mode("thinking", before.thinking),
    direct: mode("direct", before.direct),
  };
}

/** Standard error of a rate of n; with one more of either kind, so that it is not 0 at the ends. */
function rateError({ rate, completions: n }: { rate: number; completions: number }): number {
  const p = (rate * n + 1) / (n + 2);
  return Math.sqrt((p * (1 - p)) / n);
}
