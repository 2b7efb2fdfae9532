/** verdict.json and values.csv: what a verdict rests on, so that it can be recomputed by hand. */
import { stringify } from "csv-stringify/sync";
import { mean } from "../lib/math.ts";
import { csvText } from "../lib/printable.ts";
import type { ConditionValues } from "./claim-values.ts";
import type { SequentialDesign } from "./looks.ts";
import { detectableTogether, type Judgement, type Outcome, type Verdict } from "./verdict.ts";

/** A condition as the claim states it. */
export interface Condition {
  say: string;
  metric: string;
  slice: string;
  of: string;
  minus?: string | undefined;
  times: number;
  direction: "above" | "below";
  margin: number;
}

export interface MeasuredCondition {
  condition: Condition;
  values: ConditionValues;
}

export interface ConditionRecord extends Condition {
  unit: "prompt" | "run";
  prompts: number;
  /** Means over seeds and prompts. */
  first: number;
  second: number | null;
  effect: number;
  low: number | null;
  high: number | null;
  standard_error: number | null;
  df: number | null;
  detectable: number | null;
  /** One-sided: on the wanted side of the margin, and on the other. */
  p_holds: number;
  p_fails: number;
  outcome: Outcome;
  by_seed: { seed: number; first: number; second: number | null; effect: number }[];
}

/** An arm's run by seed, with the last evaluation of it that counts. */
export interface SourceRecord {
  arm: string;
  seed: number;
  draw: number;
  id: string;
  directory: string;
  at: "start" | "end";
}

/** verdict.json. */
export interface Reproduction {
  claim: string;
  title: string;
  statement: string;
  source: { paper: string; where: string; reported?: string | undefined };
  verdict: Verdict;
  reason: string;
  rule: string;
  /** What was fixed before the first seed, and which look of it this is, counted from 1, with its one-sided level. */
  design: SequentialDesign & { look: number; level: number };
  seeds: number[];
  conditions: ConditionRecord[];
  runs: SourceRecord[];
  /** Commits of the code that ran the arms; " +" after one means with local changes. */
  commits: string[];
  file: string;
  directory: string;
}

const RULE =
  "SUPPORTED when the interval of every condition lies beyond its margin; NOT SUPPORTED when some condition's " +
  "effect lies on the other side (at the look's level divided by the number of conditions); else INCONCLUSIVE. The levels " +
  "of all looks add up to one-sided 2.5%, so the intervals of all looks together hold the truth in 95%. " +
  "Intervals by prompt: Student's t, variance from the mean squares of the crossed factors seeds and prompts, each " +
  "with the t of its own degrees of freedom (Banerjee); by run: Student's t over seeds.";

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);

/** @param conditions of the claim: `detectable` is what is found in all of them together */
export function conditionRecord(
  { condition, values }: MeasuredCondition,
  { pHolds, pFails, outcome }: Judgement["conditions"][number],
  conditions = 1,
): ConditionRecord {
  const { first, second, effect, unit, prompts, seeds } = values;
  const { say, metric, slice, of, minus, times, direction, margin } = condition;
  return {
    ...{ say, metric, slice, of, ...(minus === undefined ? {} : { minus }), times, direction, margin },
    unit,
    prompts: unit === "run" ? 0 : prompts.length,
    first: mean(first.map(mean)),
    second: second === null ? null : mean(second.map(mean)),
    effect: effect.mean,
    low: finite(effect.low),
    high: finite(effect.high),
    standard_error: finite(effect.standardError),
    df: finite(effect.df),
    detectable: finite(detectableTogether(effect, conditions)),
    p_holds: pHolds,
    p_fails: pFails,
    outcome,
    by_seed: seeds.map((seed, s) => {
      const [a, b] = [mean(first[s]!), second === null ? null : mean(second[s]!)];
      return { seed, first: a, second: b, effect: a - times * (b ?? 0) };
    }),
  };
}

/** Puts the record of a claim together. */
export function verdictRecord(input: {
  name: string;
  file: string;
  options: { claim: string; statement: string; source: Reproduction["source"]; seeds: readonly number[] };
  conditions: readonly MeasuredCondition[];
  judgement: Judgement;
  design: Reproduction["design"];
  sources: readonly SourceRecord[];
  commits: string[];
  directory: string;
}): Reproduction {
  const { options, judgement } = input;
  const conditions = input.conditions.map((one, i) =>
    conditionRecord(one, judgement.conditions[i]!, input.conditions.length),
  );
  return {
    claim: input.name,
    title: options.claim,
    statement: options.statement.trim(),
    source: options.source,
    verdict: judgement.verdict,
    reason: reasonWords(judgement.verdict, conditions, options.seeds.length),
    rule: RULE,
    design: input.design,
    seeds: [...options.seeds],
    conditions,
    runs: input.sources.map(({ arm, seed, draw, id, directory, at }) => ({
      arm,
      seed,
      draw,
      id,
      directory,
      at,
    })),
    commits: input.commits,
    file: input.file,
    directory: input.directory,
  };
}

/** Three significant digits at least, so that .9995 is not 1.00 and 20.63 tokens stay so. */
export function shownValue(value: number, signed = false): string {
  const digits = Math.abs(value) >= 100 ? 1 : Math.abs(value) >= 10 ? 2 : 3;
  const text = value.toFixed(digits);
  return signed && value > 0 ? `+${text}` : text;
}

/** "+0.012 [+0.001, +0.023]" */
export function effectWords({ effect, low, high, minus }: ConditionRecord): string {
  const signed = minus !== undefined;
  const range =
    low === null || high === null ? "" : ` [${shownValue(low, signed)}, ${shownValue(high, signed)}]`;
  return `${shownValue(effect, signed)}${range}`;
}

/** "above 0", "below 0.1" */
export const neededWords = ({ direction, margin }: Pick<Condition, "direction" | "margin">): string =>
  `${direction} ${margin}`;

function reasonWords(verdict: Verdict, conditions: readonly ConditionRecord[], seeds: number): string {
  if (verdict === "SUPPORTED") {
    if (conditions.length === 1) return `its condition holds: ${conditions[0]!.say}`;
    return `all ${conditions.length} conditions hold`;
  }
  if (seeds < 2) return "one seed says nothing about others; give two or more";
  const which = verdict === "NOT SUPPORTED" ? "fails" : "undecided";
  const named = conditions.filter(({ outcome }) => outcome === which);
  const told = named.map(
    (one) =>
      `"${one.say}" ${which === "fails" ? "fails" : "is undecided"}: ${effectWords(one)} where ${neededWords(one)} is asked for`,
  );
  const rest = conditions.length - named.length;
  const others =
    rest === 0
      ? ""
      : `; ${conditions.filter(({ outcome }) => outcome === "holds").length} of ${conditions.length} hold`;
  const narrow =
    which === "undecided"
      ? `; a distance from the margin of ${named.map(({ detectable }) => shownValue(detectable!)).join(", ")} would be found in 80% of the cases, more seeds find less`
      : "";
  return told.join("; ") + others + narrow;
}

/**
 * values.csv: a row for each condition and prompt (for a metric by run: one row), with the values of every seed,
 * averaged over draws and variants. An effect is the mean of first - times * second.
 */
export function valueLines(conditions: readonly MeasuredCondition[]): string {
  const seeds = conditions[0]?.values.seeds ?? [];
  const rows = conditions.flatMap(({ condition, values }, index) =>
    values.prompts.map((prompt, i) => ({
      condition: index + 1,
      metric: condition.metric,
      slice: csvText(condition.slice),
      prompt_id: csvText(prompt),
      ...Object.fromEntries(
        seeds.flatMap((seed, s) => [
          [`first_s${seed}`, values.first[s]![i]!],
          [`second_s${seed}`, values.second === null ? "" : values.second[s]![i]!],
        ]),
      ),
    })),
  );
  const columns = seeds.flatMap((seed) => [`first_s${seed}`, `second_s${seed}`]);
  return stringify(rows, {
    header: true,
    columns: ["condition", "metric", "slice", "prompt_id", ...columns],
  });
}
