/** What a run's files say about its last stage: the numbers that causes and sentences are made from. */
import { mean, standardDeviation } from "../../lib/math.ts";
import {
  type EvaluatedSlice,
  newAlarmHistory,
  WINDOW,
  withEvaluation,
  withStep,
} from "../../run/alarm-history.ts";
import { alarms as allAlarms } from "../../run/alarm-kinds.ts";
import { alarmColumn, alarmsFor, raised } from "../../run/alarms.ts";
import { numberCell, type Row, type RunFiles, type SampleLine } from "../read-run.ts";
import { stepOf } from "../series.ts";

/** Mean of a metric in the stage's first and in its last steps; the same where there are few. */
export interface Course {
  was: number;
  is: number;
  /** Standard errors of the difference that lie between them; 0 while the windows overlap. */
  errors: number;
}

export interface AlarmSpan {
  name: string;
  from: number;
  to: number;
  /** It was raised at the last step. */
  lasts: boolean;
  /** What was wrong when it was last raised, in numbers; null where the files do not say. */
  message: string | null;
}

export interface Evaluated {
  step: number;
  accuracy: number;
  low: number | null;
  high: number | null;
}

/** A reward part in the stage. */
export interface PartFacts {
  name: string;
  weight: number | null;
  course: Course;
  /** Recorded groups of the last steps, and those in which its value differs between completions; null without any. */
  groups: { recorded: number; differ: number } | null;
}

export interface Facts {
  run: RunFiles;
  /** Name of the last stage, and its section of the recipe laid over the rest. */
  stage: string;
  recipe: Readonly<Record<string, unknown>>;
  /** Of metrics.csv. */
  rows: readonly Row[];
  columns: readonly string[];
  /** Steps that the first and the last means are over; 0 without a step. */
  window: number;
  alarms: readonly AlarmSpan[];
  parts: readonly PartFacts[];
  evaluations: readonly Evaluated[];
  /** Groups are compared: not with a critic, not without sampling. */
  groups: boolean;
  course(column: string): Course | null;
  /** All finite values of a column in the stage. */
  values(column: string): readonly number[];
}

export function factsOf(run: RunFiles): Facts {
  const stage = run.metrics.at(-1)?.["stage"] ?? "";
  const rows = run.metrics.filter((row) => (row["stage"] ?? "") === stage && stepOf(row) !== null);
  const filled = (name: string) => rows.some((row) => numberCell(row, name) !== null);
  const columns = run.metricColumns.filter(filled);
  const recipe = stageRecipe(run.recipe, stage);
  const values = (name: string) => {
    const found = valuesOf(rows, name);
    // older versions counted equal rewards before shaping only
    return found.length === 0 && name === "group/equal_shaped"
      ? valuesOf(rows, "group/equal_rewards")
      : found;
  };
  const course = (name: string) => courseOf(values(name));
  const samples = run.samples.filter((sample) => sample.stage === stage);
  return {
    run,
    stage,
    recipe,
    rows,
    columns,
    window: Math.min(WINDOW, rows.length),
    alarms: alarmSpans(run, rows, columns),
    parts: partsOf(columns, recipe, samples, course),
    evaluations: evaluationsOf(run.evaluations),
    groups: course("group/equal_shaped") !== null && !columns.includes("critic/loss"),
    course,
    values,
  };
}

/** The recipe with the stage's own sections in the place of the shared ones. */
function stageRecipe(recipe: RunFiles["recipe"], stage: string): Record<string, unknown> {
  const stages = Array.isArray(recipe["stages"]) ? (recipe["stages"] as unknown[]) : [];
  const own = stages.find(
    (one) => typeof one === "object" && one !== null && (one as Record<string, unknown>)["name"] === stage,
  );
  return { ...recipe, ...(own as object | undefined) };
}

function valuesOf(rows: readonly Row[], name: string): number[] {
  return rows.flatMap((row) => {
    const value = numberCell(row, name);
    return value !== null && Number.isFinite(value) ? [value] : [];
  });
}

function courseOf(values: readonly number[]): Course | null {
  if (values.length === 0) return null;
  const [first, last] = [values.slice(0, WINDOW), values.slice(-WINDOW)];
  const difference = mean(last) - mean(first);
  if (values.length < 2 * WINDOW || difference === 0) return { was: mean(first), is: mean(last), errors: 0 };
  const error = Math.sqrt((standardDeviation(first, 1) ** 2 + standardDeviation(last, 1) ** 2) / WINDOW);
  return { was: mean(first), is: mean(last), errors: difference / error };
}

function partsOf(
  columns: readonly string[],
  recipe: Readonly<Record<string, unknown>>,
  samples: readonly SampleLine[],
  course: Facts["course"],
): PartFacts[] {
  const prefix = "reward/part/";
  const specs = Array.isArray(recipe["rewards"]) ? (recipe["rewards"] as Record<string, unknown>[]) : [];
  const steps = [...new Set(samples.map(({ step }) => step))].slice(-WINDOW);
  const recorded = new Map<string, SampleLine[]>();
  for (const sample of samples.filter(({ step }) => steps.includes(step))) {
    const key = `${sample.step} ${sample.prompt_id}`;
    recorded.set(key, [...(recorded.get(key) ?? []), sample]);
  }
  return columns
    .filter((column) => column.startsWith(prefix))
    .map((column) => {
      const name = column.slice(prefix.length);
      const weight = specs.find((spec) => (spec?.["name"] ?? spec?.["kind"]) === name)?.["weight"];
      const groups = [...recorded.values()]
        .map((group) => group.flatMap(({ parts }) => parts?.[name]?.value ?? []))
        .filter((values) => values.length > 1);
      const differ = groups.filter((values) => values.some((value) => value !== values[0])).length;
      return {
        name,
        weight: typeof weight === "number" ? weight : null,
        course: course(column)!,
        groups: groups.length === 0 ? null : { recorded: groups.length, differ },
      };
    });
}

function evaluationsOf(rows: readonly Row[]): Evaluated[] {
  return rows
    .filter((row) => row["slice"] === "all")
    .flatMap((row) => {
      const [step, accuracy] = [stepOf(row), numberCell(row, "accuracy")];
      if (step === null || accuracy === null || !Number.isFinite(accuracy)) return [];
      return [
        { step, accuracy, low: numberCell(row, "accuracy_low"), high: numberCell(row, "accuracy_high") },
      ];
    });
}

/** When each alarm was raised: as metrics.csv says; where the run did not watch, as it would have been. */
function alarmSpans(run: RunFiles, rows: readonly Row[], columns: readonly string[]): AlarmSpan[] {
  const possible = alarmsFor(withShaped(columns));
  const watched = run.metricColumns.includes("alarms");
  const said = new Map<string, { steps: number[]; message: string | null }>();
  let history = newAlarmHistory();
  const first = stepOf(rows[0] ?? {}) ?? 0;
  const before = slicesAt(run.evaluations, first - 1);
  if (before !== null) history = { ...history, evaluations: withEvaluation(history.evaluations, before) };
  for (const row of rows) {
    const step = stepOf(row)!;
    history = withStep(history, numbersOf(row), slicesAt(run.evaluations, step));
    const now = raised(history, possible);
    const names = watched
      ? allAlarms.map(({ name }) => name).filter((name) => (numberCell(row, alarmColumn(name)) ?? 0) > 0)
      : now.map(({ name }) => name);
    for (const name of names) {
      const span = said.get(name) ?? { steps: [], message: null };
      span.steps.push(step);
      span.message = now.find((one) => one.name === name)?.message ?? span.message;
      said.set(name, span);
    }
  }
  const end = stepOf(rows.at(-1) ?? {});
  return [...said].map(([name, { steps, message }]) => ({
    name,
    from: steps[0]!,
    to: steps.at(-1)!,
    lasts: steps.at(-1) === end,
    message,
  }));
}

/** Runs of older versions counted equal rewards before shaping only. */
function withShaped(columns: readonly string[]): readonly string[] {
  return columns.includes("group/equal_rewards") ? [...columns, "group/equal_shaped"] : columns;
}

function numbersOf(row: Row): Record<string, number | null> {
  const values = Object.fromEntries(Object.keys(row).map((name) => [name, numberCell(row, name)]));
  return { "group/equal_shaped": values["group/equal_rewards"] ?? null, ...values };
}

/** Rows of the evaluation after a step, the one for all prompts first; null where there is none. */
function slicesAt(rows: readonly Row[], step: number): EvaluatedSlice[] | null {
  const here = rows.filter((row) => stepOf(row) === step);
  const all = here.findIndex((row) => row["slice"] === "all");
  if (all === -1 || numberCell(here[all], "accuracy") === null) return null;
  const ordered = [here[all]!, ...here.filter((_, i) => i !== all)];
  return ordered.map((row) => ({ ...numbersOf(row), slice: row["slice"] }));
}
