/** What a run directory holds, read for reports: its files alone, whatever state they are in. */
import { existsSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { parse } from "csv-parse/sync";
import { parse as parseYaml } from "yaml";
import { ConfigError, describeSystemError, RlptError } from "../lib/errors.ts";

/** A row of a CSV file: cells as they are written. */
export type Row = Readonly<Record<string, string>>;

export interface SampleLine {
  step: number;
  stage: string;
  prompt_id: string;
  sample_index: number;
  prompt: string;
  answer: string;
  completion: string;
  tokens: number;
  finish_reason: string;
  reward: number;
  status: string;
  correct: boolean;
  advantage?: number;
  parts?: Readonly<Record<string, { value: number; status: string; note?: string }>>;
}

export interface RunFiles {
  directory: string;
  /** Last part of the directory's path; what tables and legends call the run. */
  label: string;
  recipe: Readonly<Record<string, unknown>>;
  /** Null where the run has none. */
  provenance: Readonly<Record<string, unknown>> | null;
  metricColumns: readonly string[];
  metrics: readonly Row[];
  evaluations: readonly Row[];
  /** Empty for runs of versions that did not write eval-prompts.csv. */
  evaluationPrompts: readonly Row[];
  prompts: readonly Row[];
  samples: readonly SampleLine[];
}

/** Blank cells are null; "NaN" and "Infinity" are what they say. */
export function numberCell(row: Row | undefined, column: string): number | null {
  const text = row?.[column];
  return text === undefined || text === "" ? null : Number(text);
}

/**
 * @throws ConfigError when the directory holds no run
 * @throws RlptError when a file of it cannot be read
 */
export function readRun(directory: string): RunFiles {
  const recipePath = join(directory, "recipe.yaml");
  if (!existsSync(recipePath)) {
    throw new ConfigError(
      `${directory}: is not a run directory: it has no recipe.yaml. rlpt runs ls lists the runs below runs/.`,
    );
  }
  const metrics = readTable(join(directory, "metrics.csv"));
  return {
    directory,
    label: basename(resolve(directory)),
    recipe: readText(recipePath, (text) => (parseYaml(text) ?? {}) as Record<string, unknown>),
    provenance: existsSync(join(directory, "provenance.json"))
      ? readText(join(directory, "provenance.json"), (text) => JSON.parse(text) as Record<string, unknown>)
      : null,
    metricColumns: metrics.columns,
    metrics: metrics.rows,
    evaluations: readTable(join(directory, "eval.csv")).rows,
    evaluationPrompts: readTable(join(directory, "eval-prompts.csv")).rows,
    prompts: readTable(join(directory, "prompts.csv")).rows,
    samples: readSamples(join(directory, "samples.jsonl")),
  };
}

/** Rows of a CSV file; none where it is missing. A torn last line, of a run that still writes, is left out. */
export function readTable(path: string): { columns: string[]; rows: Row[] } {
  if (!existsSync(path)) return { columns: [], rows: [] };
  return readText(path, (text) => {
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    const [columns = [], ...cells] = parse(whole, {
      skip_empty_lines: true,
      relax_column_count: true,
    }) as string[][];
    const rows = cells
      .filter((row) => row.length === columns.length)
      .map((row) => Object.fromEntries(columns.map((column, i) => [column, row[i]!])));
    return { columns, rows };
  });
}

function readSamples(path: string): SampleLine[] {
  if (!existsSync(path)) return [];
  return readText(path, (text) =>
    text
      .slice(0, text.lastIndexOf("\n") + 1)
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as SampleLine),
  );
}

export function readText<T>(path: string, use: (text: string) => T): T {
  try {
    return use(readFileSync(path, "utf8"));
  } catch (error) {
    throw new RlptError(`${path}: cannot be read: ${describeSystemError(error)}.`, { cause: error });
  }
}
