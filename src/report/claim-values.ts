/** What the arms of a claim reached, prompt by prompt and run by run, from the files of their evaluations. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CheckpointError } from "../lib/errors.ts";
import { mean } from "../lib/math.ts";
import { type ComparedMetric, comparedMetrics, promptValues } from "./compare.ts";
import { decisionMetrics, decisionValues } from "./decision-values.ts";
import { LEVEL } from "./looks.ts";
import { numberCell, type Row, readTable } from "./read-run.ts";
import { type Effect, promptEffect, runEffect } from "./verdict.ts";

/** Metrics that every prompt has a value of; others are columns of eval.csv. */
export const promptMetrics: readonly string[] = [...comparedMetrics, ...decisionMetrics];

/** Values between 0 and 1, and null for those without a bound. */
const rangeOf = (metric: string): number | null => (["tokens", "reward"].includes(metric) ? null : 1);

/** A folder with eval.csv and eval-prompts.csv, and which of its evaluations counts. */
export interface Measurement {
  directory: string;
  at: "start" | "end";
}

/** An arm by seed: one measurement for each draw and variant. */
export type ArmMeasurements = ReadonlyMap<number, readonly Measurement[]>;

export interface Quantity {
  metric: string;
  slice: string;
  times: number;
}

/** The numbers behind one condition: prompts in the order of their names, or a single row for a metric by run. */
export interface ConditionValues {
  unit: "prompt" | "run";
  seeds: readonly number[];
  /** Blank for a metric by run. */
  prompts: readonly string[];
  /** [seeds][prompts], averaged over draws and variants. */
  first: readonly (readonly number[])[];
  /** Null where the condition has no `minus`. */
  second: readonly (readonly number[])[] | null;
  effect: Effect;
}

export interface Evaluations {
  directory: string;
  evaluations: readonly Row[];
  evaluationPrompts: readonly Row[];
}

/** Reads the evaluations of a folder. */
export type EvaluationReader = (directory: string) => Evaluations;

/** A reader that reads every file once: arms are part of several conditions. */
export function evaluationReader(): EvaluationReader {
  const known = new Map<string, Evaluations>();
  return (directory) => {
    const read = (name: string): readonly Row[] => {
      const path = join(directory, name);
      if (!existsSync(path)) throw new CheckpointError(`${path} is missing; the run did not evaluate.`);
      return readTable(path).rows;
    };
    const found = known.get(directory) ?? {
      directory,
      evaluations: read("eval.csv"),
      evaluationPrompts: read("eval-prompts.csv"),
    };
    known.set(directory, found);
    return found;
  };
}

/** Prompt -> value of one run at its first or last evaluation. */
function byPrompt(
  { directory, at }: Measurement,
  { metric, slice }: Quantity,
  read: EvaluationReader,
): Map<string, number> {
  const evaluations = read(directory);
  if (decisionMetrics.includes(metric)) {
    const all = evaluations.evaluationPrompts;
    const step = (at === "start" ? all[0] : all.at(-1))?.["step"];
    const wanted = (row: Row) => slice === "all" || row["slices"]!.split(";").includes(slice);
    const values = decisionValues(
      all.filter((row) => row["step"] === step && wanted(row)),
      metric,
    );
    if (values.size > 0) return values;
    throw new CheckpointError(
      `${join(directory, "eval-prompts.csv")}: has no labels needs_thinking for slice ${slice}, which ${metric} asks for.`,
    );
  }
  const table = promptValues(evaluations, metric as ComparedMetric, slice === "all" ? null : slice);
  const steps = [...table.keys()];
  return table.get(at === "start" ? Math.min(...steps) : Math.max(...steps))!;
}

/** The one value of a run, and how many prompts it stands on. */
function byRun(
  { directory, at }: Measurement,
  { metric, slice }: Quantity,
  read: EvaluationReader,
): [number, number] {
  const rows = read(directory).evaluations.filter((row) => row["slice"] === slice);
  const row = at === "start" ? rows[0] : rows.at(-1);
  const value = numberCell(row, metric);
  if (value === null)
    throw new CheckpointError(`${join(directory, "eval.csv")}: has no ${metric} for slice ${slice}.`);
  return [value, numberCell(row, "prompts")!];
}

/** A prompt that several draws or variants evaluated counts once, with its mean. */
function averaged(
  measurements: readonly Measurement[],
  quantity: Quantity,
  read: EvaluationReader,
): Map<string, number> {
  const all = new Map<string, number[]>();
  for (const one of measurements)
    for (const [id, value] of byPrompt(one, quantity, read)) all.set(id, [...(all.get(id) ?? []), value]);
  return new Map([...all].map(([id, values]) => [id, mean(values)]));
}

/** The share of one arm lies between 0 and 1, and so does what is likely of it. */
function within(effect: Effect, single: boolean, range: number | null): Effect {
  if (!single || range === null || effect.seeds < 2) return effect;
  return { ...effect, low: Math.max(0, effect.low), high: Math.min(range, effect.high) };
}

/**
 * Values of both arms on the prompts that all their runs share, and the effect: first minus `times` second.
 * @param level one-sided, of the effect's interval
 * @throws CheckpointError when an evaluation lacks what is asked for, or no prompts are shared
 */
export function conditionValues(
  first: ArmMeasurements,
  second: ArmMeasurements | null,
  quantity: Quantity,
  readFiles: EvaluationReader = evaluationReader(),
  level = LEVEL,
): ConditionValues {
  const range = rangeOf(quantity.metric);
  const seeds = [...first.keys()];
  const sides = second === null ? [first] : [first, second];
  if (!promptMetrics.includes(quantity.metric)) {
    const read = sides.map((arm) =>
      seeds.map((seed) => arm.get(seed)!.map((one) => byRun(one, quantity, readFiles))),
    );
    const values = read.map((side) => side.map((runs) => [mean(runs.map(([value]) => value))]));
    const prompts = Math.min(...read.flat(2).map(([, count]) => count));
    const [a, b] = values;
    const differences = a!.map(([value], s) => value! - quantity.times * (b?.[s]?.[0] ?? 0));
    return {
      unit: "run",
      seeds,
      prompts: [""],
      first: a!,
      second: b ?? null,
      effect: within(runEffect(differences, prompts, range, level), second === null, range),
    };
  }
  const tables = sides.map((arm) => seeds.map((seed) => averaged(arm.get(seed)!, quantity, readFiles)));
  const prompts = [...tables[0]![0]!.keys()]
    .filter((id) => tables.flat().every((table) => table.has(id)))
    .sort();
  if (prompts.length < 2) {
    const folders = sides.map((arm) => arm.get(seeds[0]!)![0]!.directory);
    throw new CheckpointError(
      `${folders.join(" and ")}: ${prompts.length} evaluated prompts in common, and an effect needs two or more; ` +
        "evaluate all arms and seeds with one data.eval",
    );
  }
  const [a, b] = tables.map((side) => side.map((table) => prompts.map((id) => table.get(id)!)));
  const differences = a!.map((row, s) => row.map((value, i) => value - quantity.times * (b?.[s]?.[i] ?? 0)));
  return {
    unit: "prompt",
    seeds,
    prompts,
    first: a!,
    second: b ?? null,
    effect: within(promptEffect(differences, range, level), second === null, range),
  };
}
