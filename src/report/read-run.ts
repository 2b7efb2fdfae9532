/** What a run directory holds, read for reports: its files alone, whatever state they are in. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { parse } from "csv-parse/sync";
import { parse as parseYaml } from "yaml";
import type { ZodType } from "zod";
import { ConfigError, describeSystemError, RlptError } from "../lib/errors.ts";
import { fromCsvCell, printableLine } from "../lib/printable.ts";
import { type SampleLine, sampleShape } from "./json-shapes.ts";

export type { SampleLine } from "./json-shapes.ts";

/** A row of a CSV file: cells as they are written. */
export type Row = Readonly<Record<string, string>>;

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
  /** What of the run could not be used, in words: lines of samples.jsonl that are none. */
  faults: readonly string[];
}

/** Blank cells are null, and so is what is no number; "NaN" and "Infinity" are what they say. */
export function numberCell(row: Row | undefined, column: string): number | null {
  const text = row?.[column];
  if (text === undefined || text.trim() === "") return null;
  const value = Number(text);
  return Number.isNaN(value) && text !== "NaN" ? null : value;
}

/**
 * @throws ConfigError when the directory holds no run
 * @throws RlptError when a file of it cannot be read
 */
export function readRun(directory: string): RunFiles {
  return readFiles(directory, "throw");
}

/**
 * As `readRun`, of a run that may be damaged: a file that cannot be read is as if it were missing, and `faults` names it.
 * @throws ConfigError when the directory holds no run
 */
export function readDamagedRun(directory: string): RunFiles {
  return readFiles(directory, "tell");
}

function readFiles(directory: string, damaged: "throw" | "tell"): RunFiles {
  const recipePath = join(directory, "recipe.yaml");
  if (!existsSync(recipePath)) {
    throw new ConfigError(
      `${printableLine(directory)}: is not a run directory: it has no recipe.yaml. rlpt runs ls lists the runs below runs/.`,
    );
  }
  const unread: string[] = [];
  const whole = <T>(read: () => T, missing: T): T => {
    try {
      return read();
    } catch (error) {
      if (damaged === "throw" || !(error instanceof RlptError)) throw error;
      unread.push(error.message);
      return missing;
    }
  };
  const table = (name: string) => whole(() => readTable(join(directory, name)), { columns: [], rows: [] });
  const metrics = table("metrics.csv");
  const samples = whole(() => readSamples(join(directory, "samples.jsonl")), { samples: [], faults: [] });
  const provenance = join(directory, "provenance.json");
  return {
    directory,
    label: basename(resolve(directory)),
    recipe: whole(() => readText(recipePath, (text) => asMapping(parseYaml(text) ?? {})), {}),
    provenance: existsSync(provenance)
      ? whole(() => readText(provenance, (text) => asMapping(JSON.parse(text))), null)
      : null,
    metricColumns: metrics.columns,
    metrics: metrics.rows,
    evaluations: table("eval.csv").rows,
    evaluationPrompts: table("eval-prompts.csv").rows,
    prompts: table("prompts.csv").rows,
    samples: samples.samples,
    faults: [...samples.faults, ...unread],
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
      cast: fromCsvCell,
    }) as string[][];
    const rows = cells
      .filter((row) => row.length === columns.length)
      .map((row) => Object.fromEntries(columns.map((column, i) => [column, row[i]!])));
    return { columns, rows };
  });
}

/** Lines that are no samples are left out, and told: a number that is none must not stop the others from being seen. */
function readSamples(path: string): Pick<RunFiles, "samples" | "faults"> {
  if (!existsSync(path)) return { samples: [], faults: [] };
  return readText(path, (text) => {
    const samples: SampleLine[] = [];
    const reasons: string[] = [];
    for (const [i, line] of text
      .slice(0, text.lastIndexOf("\n") + 1)
      .split("\n")
      .entries()) {
      if (line === "") continue;
      const reason = readSample(line, samples);
      if (reason !== null) reasons.push(`line ${i + 1}: ${reason}`);
    }
    const lines = `${reasons.length} line${reasons.length === 1 ? "" : "s"}`;
    const faults =
      reasons.length === 0 ? [] : [`${lines} of ${printableLine(path)} left out; ${reasons[0]}.`];
    return { samples, faults };
  });
}

/** Adds the sample of a line. @returns null, or why it is none */
function readSample(line: string, samples: SampleLine[]): string | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return "is no JSON";
  }
  const parsed = sampleShape.safeParse(value);
  if (parsed.success) samples.push(parsed.data);
  return parsed.success ? null : issueWords(parsed.error.issues);
}

const issueWords = (issues: readonly { path: readonly PropertyKey[]; message: string }[]): string => {
  const [first] = issues;
  const at = first!.path.map(String).join(".");
  return printableLine(at === "" ? first!.message : `${at}: ${first!.message}`);
};

/** A JSON file of a known shape. @throws RlptError when it cannot be read or has another shape, with key and reason */
export function readShape<T>(path: string, shape: ZodType<T>): T {
  const value = readText(path, (text) => JSON.parse(text) as unknown);
  const parsed = shape.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new RlptError(`${printableLine(path)}: ${issueWords(parsed.error.issues)}.`);
}

/** Levels below which nothing of a recipe or of provenance lies; more would exhaust the stack of what walks through. */
const DEEPEST = 64;

function asMapping(value: unknown): Record<string, unknown> {
  const check = (inner: unknown, depth: number): void => {
    if (typeof inner !== "object" || inner === null) return;
    if (depth > DEEPEST) throw new RangeError(`it is nested deeper than ${DEEPEST} levels`);
    for (const one of Object.values(inner)) check(one, depth + 1);
  };
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new TypeError("it holds no mapping of keys to values");
  check(value, 0);
  return value as Record<string, unknown>;
}

/** A mapping inside of a recipe or of provenance; empty where there is something else. */
export function mappingAt(value: unknown, key: string): Readonly<Record<string, unknown>> {
  const inner =
    typeof value === "object" && value !== null && Object.hasOwn(value, key)
      ? (value as Record<string, unknown>)[key]
      : undefined;
  return typeof inner === "object" && inner !== null && !Array.isArray(inner)
    ? (inner as Record<string, unknown>)
    : {};
}

export function readText<T>(path: string, use: (text: string) => T): T {
  try {
    // a pipe or a device would not end
    if (!statSync(path).isFile()) throw new TypeError("it is no regular file");
    return use(readFileSync(path, "utf8"));
  } catch (error) {
    throw new RlptError(
      `${printableLine(path)}: cannot be read: ${printableLine(describeSystemError(error))}.`,
      { cause: error },
    );
  }
}
