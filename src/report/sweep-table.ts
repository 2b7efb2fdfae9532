/** pareto.csv: what the trials of a sweep reached, from their eval.csv alone. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { mean } from "../lib/math.ts";
import { csvText } from "../lib/printable.ts";
import { dominated, hypervolume } from "./pareto.ts";

/** One evaluation of one trial, or the mean of a point's seeds. */
export interface SweepRow {
  point: string;
  /** "mean" over the seeds. */
  seed: number | "mean";
  /** Before or after training. */
  when: "start" | "end";
  set: Readonly<Record<string, unknown>>;
  step: number;
  score: number;
  trigger: number;
  tokens: number;
  /** Precision of the decision to think against the labels; null where the data has none. */
  precision: number | null;
  recall: number | null;
  f1: number | null;
}

export interface ComparedRow extends SweepRow {
  /** Among the rows of its seed. */
  dominated: boolean;
  /** Area that the front of its seed's rows dominates. */
  hypervolume: number;
}

/**
 * The first or the last evaluation of a run, all prompts together.
 * @param score column of eval.csv
 * @returns null when the run has none, or knows no thinking
 */
export function readTrial(
  runDir: string,
  trial: Pick<SweepRow, "point" | "seed" | "when" | "set">,
  score: string,
): SweepRow | null {
  const all = parse(readFileSync(join(runDir, "eval.csv")), { columns: true }) as Record<string, string>[];
  const rows = all.filter(({ slice }) => slice === "all");
  const row = trial.when === "start" ? rows[0] : rows.at(-1);
  if (row === undefined || (row["thinking"] ?? "") === "") return null;
  const number = (name: string) => Number(row[name]);
  const optional = (name: string) => ((row[name] ?? "") === "" ? null : number(name));
  return {
    ...trial,
    step: number("step"),
    score: number(score),
    trigger: number("thinking"),
    tokens: number("tokens_mean"),
    precision: optional("trigger_precision"),
    recall: optional("trigger_recall"),
    f1: optional("trigger_f1"),
  };
}

/** Fronts seed by seed, and of the means where every point has several seeds. */
export function compare(rows: readonly SweepRow[]): ComparedRow[] {
  const seeds = [...new Set(rows.map(({ seed }) => seed))];
  const means = seeds.length < 2 ? [] : meanRows(rows);
  return [...seeds.map((seed) => rows.filter((row) => row.seed === seed)), means].flatMap((group) => {
    const lost = dominated(group);
    const area = hypervolume(group);
    return group.map((row, i) => ({ ...row, dominated: lost[i]!, hypervolume: area }));
  });
}

function meanRows(rows: readonly SweepRow[]): SweepRow[] {
  const groups = new Map<string, SweepRow[]>();
  for (const row of rows) {
    const key = `${row.point}\n${row.when}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()].map((group) => {
    const average = (of: (row: SweepRow) => number) => mean(group.map(of));
    const optional = (of: (row: SweepRow) => number | null) =>
      group.some((row) => of(row) === null) ? null : average((row) => of(row)!);
    return {
      ...group[0]!,
      seed: "mean",
      step: average(({ step }) => step),
      score: average(({ score }) => score),
      trigger: average(({ trigger }) => trigger),
      tokens: average(({ tokens }) => tokens),
      precision: optional(({ precision }) => precision),
      recall: optional(({ recall }) => recall),
      f1: optional(({ f1 }) => f1),
    };
  });
}

/** Rows of pareto.csv, a column for every key that a trial sets. */
export function paretoRecords(rows: readonly ComparedRow[]): Record<string, string | number>[] {
  const keys = [...new Set(rows.flatMap(({ set }) => Object.keys(set)))];
  const text = (value: unknown) =>
    value === undefined ? "" : csvText(typeof value === "string" ? value : JSON.stringify(value));
  return rows.map((row) => ({
    point: csvText(row.point),
    seed: row.seed,
    when: row.when,
    ...Object.fromEntries(keys.map((key) => [key, text(row.set[key])])),
    step: row.step,
    score: row.score,
    trigger: row.trigger,
    tokens: row.tokens,
    precision: row.precision ?? "",
    recall: row.recall ?? "",
    f1: row.f1 ?? "",
    dominated: String(row.dominated),
    hypervolume: row.hypervolume,
  }));
}
