/** What `rlpt select-data` reads: a run, another tool's dumps, or published scores; each to a scored pool. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { loadRecipe } from "../config/load.ts";
import type { Recipe } from "../config/schema.ts";
import { type DatasetOptions, isPictures } from "../data/dataset-options.ts";
import { openFileDataset } from "../data/file-dataset.ts";
import { buildCurves, type Curve, type EpochValue, measure, seenCounts } from "../data/selection/curves.ts";
import { type DumpRecord, dumpEpoch, dumpStep, dumpValues, type Signal } from "../data/selection/dumps.ts";
import { openSource } from "../data/source.ts";
import { readCsv, readJsonArray, readJsonLines } from "../data/table-file.ts";
import { compressionOf } from "../data/tables/compressed.ts";
import { tableFormat } from "../data/tables/open-table.ts";
import { ConfigError, DataError, describeSystemError } from "../lib/errors.ts";
import { readCsvTable } from "../run/append-log.ts";
import { isRunDirectory, listRuns } from "../run/run-directory.ts";
import type { Prompt } from "../types.ts";

/** One row of the original pool. */
export interface PoolRow {
  id: string;
  /** As it stands in a JSON or JSONL file. */
  text: string;
  slices: Readonly<Record<string, string>>;
}

/** A pool in its own order, with what the selection needs. */
export interface ScoredPool {
  rows: PoolRow[];
  /** [rows]; null: no score, since the curve has a gap, or the published list lacks it. */
  scores: (number | null)[];
  /** Curves before filling, [rows]; null for published scores. */
  curves: (Curve | null)[] | null;
  /** Mean curve. [K] */
  average: number[];
  /** Prompts seen in 0..K epochs; null for published scores. */
  seen: number[] | null;
  /** Distinct prompts, and how many of them have no score. */
  distinct: number;
  invalid: number;
  /** How the subset's file is written. */
  format: "json" | "jsonl";
  /** Files that went in. */
  inputs: string[];
  /** What measuring cost: completions sampled. */
  completions: number | null;
  notes: string[];
}

export interface CurveOptions {
  signal: Signal;
  /** K; every epoch that was recorded when null. */
  epochs: number | null;
}

/** @param target a run directory, or a config whose newest run is taken. @throws ConfigError */
export function findMeasuredRun(target: string): string {
  if (isRunDirectory(target)) return target;
  if (!/\.ya?ml$/i.test(target)) {
    const what = existsSync(target) ? "it is no run directory" : "there is nothing at that path";
    throw new ConfigError(`${target}: ${what}. Give a run directory, or a config that was trained.`);
  }
  const { recipe } = loadRecipe(target);
  const newest = listRuns(recipe.run.root)
    .filter((path) => basename(path).startsWith(`${recipe.run.name}-`))
    .at(-1);
  if (newest === undefined) {
    throw new ConfigError(
      `${target}: ${recipe.run.root} holds no run of it. Measure first: rlpt train ${target}`,
    );
  }
  return newest;
}

/** Curves from prompts.csv of a run of ours; the pool is the stage's training data. */
export async function poolFromRun(
  runDir: string,
  options: CurveOptions & { stage: string | null },
): Promise<ScoredPool> {
  const path = join(runDir, "prompts.csv");
  const { stages } = loadRecipe(join(runDir, "recipe.yaml"));
  const names = stages.map(({ name }) => name);
  const wanted = options.stage ?? (names.length === 1 ? names[0]! : null);
  const found = stages.find(({ name }) => name === wanted);
  if (found === undefined) {
    throw new ConfigError(
      `${runDir}: ${options.stage === null ? "it has several stages" : `it has no stage ${options.stage}`}; name one with --stage: ${names.join(", ")}`,
    );
  }
  if (!existsSync(path)) throw new DataError(`${path}: does not exist; the run has recorded no rewards.`);
  const { prompts, rows, format, inputs } = await readPool(found.recipe.data.train, found.recipe);
  // equal problems under several ids are one prompt, drawn several times an epoch
  const keyOf = new Map(prompts.map((prompt) => [prompt.id, JSON.stringify([prompt.input, prompt.answer])]));
  const values: EpochValue[] = [];
  for (const row of readCsvTable(path).rows) {
    if (row["stage"] !== wanted) continue;
    const key = keyOf.get(row["prompt_id"]!);
    if (key === undefined) {
      throw new DataError(
        `${path}: prompt ${row["prompt_id"]} is not in the run's training data; was the data changed?`,
      );
    }
    values.push({
      promptId: key,
      epoch: Number(row["epoch"]),
      value: Number(row[options.signal === "reward" ? "reward_mean" : "accuracy"]),
      completions: Number(row["completions"]),
    });
  }
  const keys = prompts.map(({ id }) => keyOf.get(id)!);
  return {
    ...scoreRows(path, keys, values, options),
    rows,
    format,
    inputs: [path, ...inputs],
    completions: values.reduce((sum, { completions }) => sum + completions, 0),
    notes: [],
  };
}

/** Curves from step_<n>.json files. Their prompts are matched with the pool's by text, white space stripped. */
export function poolFromDumps(
  directory: string,
  promptsPath: string,
  options: CurveOptions & { stepsPerEpoch: number; column: string },
): ScoredPool {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch (error) {
    throw new DataError(`${directory}: cannot be read: ${describeSystemError(error)}.`, { cause: error });
  }
  const files = names
    .flatMap((name) => {
      const step = dumpStep(name);
      return step === null || step < 1 ? [] : [{ step, path: join(directory, name) }];
    })
    .sort((a, b) => a.step - b.step);
  if (files.length === 0) throw new DataError(`${directory}: holds no step_1.json, step_2.json, ...`);
  const values: EpochValue[] = [];
  for (const { step, path } of files) {
    const epoch = dumpEpoch(step, options.stepsPerEpoch);
    values.push(...dumpValues(readDump(path), epoch, options.signal));
  }
  const pool = readPromptRows(promptsPath, options.column);
  const known = new Set(pool.keys);
  const strangers = new Set(values.map(({ promptId }) => promptId).filter((id) => !known.has(id)));
  const notes =
    strangers.size === 0
      ? []
      : [
          `${strangers.size} prompts of the dumps are not in ${promptsPath}; their curves count in the mean only`,
        ];
  if (strangers.size > 0 && pool.keys.every((key) => !values.some(({ promptId }) => promptId === key))) {
    throw new DataError(
      `${directory}: none of its prompts is in column ${options.column} of ${promptsPath}. The first one there: ${JSON.stringify([...strangers][0]!.slice(0, 120))}`,
    );
  }
  return {
    ...scoreRows(directory, pool.keys, values, options),
    rows: pool.rows,
    format: pool.format,
    inputs: [promptsPath, ...files.map(({ path }) => path)],
    completions: values.reduce((sum, { completions }) => sum + completions, 0),
    notes,
  };
}

/** Published scores: a JSON list or JSON lines of {prompt, score}. */
export function poolFromScores(scoresPath: string, promptsPath: string, column: string): ScoredPool {
  const byPrompt = new Map<string, number>();
  for (const { line, fields } of tableRows(scoresPath)) {
    const { prompt, score } = fields;
    const value = typeof score === "string" && score.trim() !== "" ? Number(score) : score;
    if (typeof prompt !== "string" || typeof value !== "number" || !Number.isFinite(value)) {
      throw new DataError(`${scoresPath}:${line}: needs a prompt (text) and a score (number).`);
    }
    byPrompt.set(prompt.trim(), value);
  }
  const pool = readPromptRows(promptsPath, column);
  const distinct = new Set(pool.keys);
  const scores = pool.keys.map((key) => byPrompt.get(key) ?? null);
  if (scores.every((score) => score === null)) {
    throw new DataError(`${scoresPath}: none of its prompts is in column ${column} of ${promptsPath}.`);
  }
  const strangers = [...byPrompt.keys()].filter((prompt) => !distinct.has(prompt)).length;
  return {
    rows: pool.rows,
    scores,
    curves: null,
    average: [],
    seen: null,
    distinct: distinct.size,
    invalid: [...distinct].filter((key) => !byPrompt.has(key)).length,
    format: pool.format,
    inputs: [scoresPath, promptsPath],
    completions: null,
    notes: strangers === 0 ? [] : [`${strangers} scores belong to prompts that are not in ${promptsPath}`],
  };
}

function scoreRows(
  source: string,
  keys: readonly string[],
  values: readonly EpochValue[],
  options: CurveOptions,
): Pick<ScoredPool, "scores" | "curves" | "average" | "seen" | "distinct" | "invalid"> {
  const recorded = values.reduce((most, { epoch }) => Math.max(most, epoch + 1), 0);
  const epochs = options.epochs ?? recorded;
  if (epochs > recorded || recorded === 0) {
    throw new DataError(
      `${source}: holds ${recorded} epochs, not ${epochs}; measure longer, or lower --epochs.`,
    );
  }
  const built = buildCurves(values, epochs);
  const never: Curve = Array.from({ length: epochs }, () => null);
  const curves = new Map(
    [...new Set([...keys, ...built.keys()])].map((key) => [key, built.get(key) ?? never]),
  );
  let measured: ReturnType<typeof measure>;
  try {
    measured = measure(curves);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new DataError(
      `${source}: every prompt is always solved, so no score is defined. Measure on a harder pool.`,
      { cause: error },
    );
  }
  return {
    scores: keys.map((key) => measured.scores.get(key) ?? null),
    curves: keys.map((key) => curves.get(key)!),
    average: measured.average,
    seen: seenCounts(curves, epochs),
    distinct: curves.size,
    invalid: measured.invalid.length,
  };
}

async function readPool(
  data: DatasetOptions,
  recipe: Recipe,
): Promise<{ prompts: Prompt[]; rows: PoolRow[]; format: "json" | "jsonl"; inputs: string[] }> {
  if (data.kind === "file") {
    const dataset = await openFileDataset(data);
    const prompts = Array.from({ length: dataset.size }, (_, i) => dataset.at(i));
    const paths = dataset.files.map(({ path }) => path);
    const formats = new Set(paths.map((path) => data.format ?? tableFormat(path)));
    const lines = new Map(
      paths.map((path) => [path, (data.format ?? tableFormat(path)) === "jsonl" ? plainLines(path) : null]),
    );
    const rows = prompts.map(({ id, slices }, i) => {
      const { path, line } = dataset.placeOf(i);
      return { id, slices, text: lines.get(path)?.[line - 1]?.trim() ?? JSON.stringify(dataset.fieldsOf(i)) };
    });
    const format = formats.size === 1 && formats.has("json") ? "json" : "jsonl";
    return { prompts, rows, format, inputs: paths };
  }
  const source = await openSource(data, recipe.seed, "train", () => {});
  if (isPictures(data))
    throw new ConfigError(
      `data.train.kind ${data.kind}: a subset is written as rows of a file, and these pictures have none. List them in a file with a column of paths (kind: file, pictures).`,
    );
  if (source.size === null) {
    throw new ConfigError(
      `data.train is an endless task: every prompt occurs once, so no curve can be drawn. Set data.train.size and train for several epochs.`,
    );
  }
  const prompts = Array.from({ length: source.size }, (_, i) => source.at(i));
  const rows = prompts.map((prompt) => {
    const { id, input, answer, slices } = prompt;
    const asked = input.kind === "text" ? { prompt: input.text } : { messages: input.messages };
    return { id, slices, text: JSON.stringify({ id, ...asked, answer, ...slices }) };
  });
  return { prompts, rows, format: "jsonl", inputs: [] };
}

/** Lines of a JSONL file as they stand there; null of a compressed one. */
function plainLines(path: string): string[] | null {
  const bytes = readFileSync(path);
  return compressionOf(bytes) === null ? bytes.toString("utf8").split("\n") : null;
}

function readBytes(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new DataError(`${path}: cannot be read: ${describeSystemError(error)}.`, { cause: error });
  }
}

function tableRows(path: string): { line: number; fields: Record<string, unknown> }[] {
  const format = tableFormat(path);
  if (format === "parquet") throw new DataError(`${path}: give this table as JSONL, JSON or CSV.`);
  const bytes = readBytes(path);
  const rows =
    format === "jsonl"
      ? readJsonLines(bytes)
      : format === "json"
        ? readJsonArray(path, bytes)
        : readCsv(path, bytes);
  return [...rows].map((row) => {
    if ("fault" in row) throw new DataError(`${path}:${row.line}: ${row.fault}.`);
    return row;
  });
}

function readPromptRows(
  path: string,
  column: string,
): { keys: string[]; rows: PoolRow[]; format: "json" | "jsonl" } {
  const format = tableFormat(path);
  const text = format === "jsonl" ? new TextDecoder().decode(readBytes(path)).split("\n") : null;
  const all = tableRows(path).map(({ line, fields }, index) => {
    const prompt = fields[column];
    if (typeof prompt !== "string") {
      throw new DataError(
        `${path}:${line}: has no text in column ${column}; it has ${Object.keys(fields).join(", ")}. Name the column with --column.`,
      );
    }
    const { id } = fields;
    const row: PoolRow = {
      id: typeof id === "string" || typeof id === "number" ? String(id) : String(index),
      text: text === null ? JSON.stringify(fields) : text[line - 1]!.trim(),
      slices: {},
    };
    return { key: prompt.trim(), row };
  });
  return {
    keys: all.map(({ key }) => key),
    rows: all.map(({ row }) => row),
    format: format === "json" ? "json" : "jsonl",
  };
}

function readDump(path: string): DumpRecord[] {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(readBytes(path)));
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`${path}: is not valid JSON: ${(error as Error).message}.`, { cause: error });
  }
  if (!Array.isArray(value))
    throw new DataError(`${path}: is no list of {prompt, response, reward} records.`);
  for (const [index, record] of value.entries()) {
    if (typeof record?.prompt !== "string" || !Number.isFinite(record?.reward)) {
      throw new DataError(`${path}: record ${index} needs a prompt (text) and a reward (number).`);
    }
  }
  return value as DumpRecord[];
}
