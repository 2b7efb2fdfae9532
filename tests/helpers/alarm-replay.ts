/** Recorded runs, told to the alarms again: what they would have raised. */
import { readFileSync } from "node:fs";
import { parse } from "csv-parse/sync";
import type { MetricValues } from "../../src/metrics/define.ts";
import { type AlarmHistory, newAlarmHistory, withEvaluation, withStep } from "../../src/run/alarm-history.ts";
import { alarmsFor, raised } from "../../src/run/alarms.ts";

export type Slices = Record<string, unknown>[];
type Row = Record<string, string>;

export interface RecordedStage {
  steps: MetricValues[];
  /** By step. */
  evaluations: Map<number, Slices>;
  /** Number of the first step. */
  start: number;
}

const number = (text: string): number | null => (text === "" ? null : Number(text));
const table = (file: string) => parse(readFileSync(file), { columns: true }) as Row[];

function stageOf(metrics: readonly Row[], evaluated: readonly Row[]): RecordedStage {
  const numbers = (row: Row): Record<string, number | null> => {
    const values = Object.fromEntries(Object.entries(row).map(([key, text]) => [key, number(text)]));
    // recorded before equal rewards were counted after shaping too
    return { "group/equal_shaped": values["group/equal_rewards"] ?? null, ...values };
  };
  const evaluations = new Map<number, Slices>();
  for (const { step, slice, ...rest } of evaluated) {
    evaluations.set(Number(step), [
      ...(evaluations.get(Number(step)) ?? []),
      { slice, ...numbers(rest as Row) },
    ]);
  }
  return { steps: metrics.map(numbers), evaluations, start: Number(metrics[0]!["step"]) };
}

/** metrics.csv and eval.csv of one stage. */
export function recordedStage(metrics: string, evaluation: string): RecordedStage {
  return stageOf(table(metrics), table(evaluation));
}

/** The same of several runs, told apart by the column `seed`. */
export function recordedSeries(metrics: string, evaluation: string): Map<string, RecordedStage> {
  const [rows, evaluated] = [table(metrics), table(evaluation)];
  const own = (all: readonly Row[], seed: string) =>
    all.filter((row) => row["seed"] === seed).map(({ seed: _, ...row }) => row as Row);
  const seeds = [...new Set(rows.map((row) => row["seed"]!))];
  return new Map(seeds.map((seed) => [seed, stageOf(own(rows, seed), own(evaluated, seed))]));
}

/**
 * @param through what happens to the history between two steps, such as a checkpoint
 * @returns steps of the stage, from 1, at which each alarm was raised
 */
export function replay(
  { steps, evaluations, start }: RecordedStage,
  through = (history: AlarmHistory): AlarmHistory => history,
): Record<string, number[]> {
  const possible = alarmsFor(Object.keys(steps[0]!));
  let history = newAlarmHistory();
  const before = evaluations.get(start - 1);
  if (before) history = { ...history, evaluations: withEvaluation(history.evaluations, before) };
  const seen: Record<string, number[]> = {};
  for (const [i, metrics] of steps.entries()) {
    history = through(withStep(history, metrics, evaluations.get(start + i) ?? null));
    for (const { name } of raised(history, possible)) {
      seen[name] ??= [];
      seen[name].push(i + 1);
    }
  }
  return seen;
}
