/** The append-only files of a run: metrics.csv, eval.csv, eval-prompts.csv, samples.jsonl, thumbnails.jsonl, prompts.csv. */
import { createHash } from "node:crypto";
import { closeSync, existsSync, openSync, statSync } from "node:fs";
import { join } from "node:path";
import { RlptError } from "../lib/errors.ts";
import type { MetricValues } from "../metrics/define.ts";
import {
  type Cell,
  csvLine,
  hashOfStart,
  offsetAfter,
  openAppendLog,
  openCsvLog,
  readCells,
} from "./append-log.ts";
import { evaluationColumns } from "./logs-options.ts";
import { openMetricsLog } from "./metrics.ts";
import type { SampleRecord } from "./samples.ts";
import { openThumbnailsLog, type ThumbnailsLog, thumbnailsName } from "./thumbnails.ts";

export { evaluationColumns };

/** A row of eval.csv; what an evaluation does not measure stays blank. */
export type EvaluationRow = {
  step: number;
  stage: string;
  dataset: string;
  /** "all", or "level=3". */
  slice: string;
  prompts: number;
  completions: number;
} & { [Column in (typeof evaluationColumns)[number]]?: Cell };

export const evaluationPromptColumns = [
  "step",
  "stage",
  "dataset",
  "prompt_id",
  "slices",
  "completions",
  "correct",
  "thinking",
  "tokens_mean",
  "reward_mean",
  "answer",
  "given",
] as const;

/** A row of eval-prompts.csv: what one prompt got in one evaluation. Comparisons of runs pair by it. */
export interface EvaluationPromptRow {
  step: number;
  stage: string;
  dataset: string;
  prompt_id: string;
  /** "level=3", several joined by ";". */
  slices: string;
  completions: number;
  /** How many of them are. */
  correct: number;
  /** How many think; null where think tags are unknown. */
  thinking: number | null;
  tokens_mean: number;
  reward_mean: number;
  /** The gold answer; null where there is none or it is longer than a label. */
  answer: string | null;
  /** A JSON list of what the completions answered instead or just so, the gold answer where they are right; null as `answer` is. */
  given: string | null;
}

export const promptColumns = [
  "step",
  "stage",
  "epoch",
  "prompt_id",
  "completions",
  "reward_mean",
  "accuracy",
  "unparsed",
] as const;

/** A row of prompts.csv: what one prompt's group got at one step. */
export interface PromptRow {
  step: number;
  stage: string;
  /** How often the prompt was drawn before. */
  epoch: number;
  prompt_id: string;
  completions: number;
  reward_mean: number;
  /** Share of correct completions. */
  accuracy: number;
  /** Share of completions that no reward could parse. */
  unparsed: number;
}

export const logNames = [
  "metrics.csv",
  "eval.csv",
  "eval-prompts.csv",
  "samples.jsonl",
  thumbnailsName,
  "prompts.csv",
] as const;
export type LogName = (typeof logNames)[number];

/** What a checkpoint keeps of a log: resuming cuts the file back to these rows, which must still be the same. */
export interface LogCount {
  /** The header not counted. */
  rows: number;
  /** Columns of a CSV file; a later stage adds more after them. 0 for JSON lines. */
  columns: number;
  /** Hexadecimal SHA-256 of header and rows. */
  sha256: string;
}

/** What a checkpoint knows of each file. Those of older versions hold the number of rows alone, and not of every file. */
export type LogCounts = { [Name in LogName]?: LogCount | number };

/** Rows that a checkpoint counts. */
export function rowsOf(counts: LogCounts | undefined, name: LogName): number {
  const count = counts?.[name] ?? 0;
  return typeof count === "number" ? count : count.rows;
}

/**
 * Compares the logs with what a checkpoint says of them. A file that is gone or empty is none of these: it was removed on purpose.
 * @returns the names of those whose rows were changed or cut
 */
export function changedLogs(runDir: string, counts: LogCounts): LogName[] {
  return logNames.filter((name) => {
    const count = counts[name];
    const path = join(runDir, name);
    if (count === undefined || typeof count === "number") return false;
    if (!existsSync(path) || statSync(path).size === 0) return false;
    try {
      return logDigest(path, count) !== count.sha256;
    } catch {
      return true;
    }
  });
}

/** Digest of the first rows and columns of a file, as the log's own was when it held no more. */
function logDigest(path: string, { rows, columns }: LogCount): string {
  if (path.endsWith(".csv")) {
    const lines = readCells(path, rows + 1);
    const text = lines.length <= rows ? "" : lines.map((cells) => csvLine(cells.slice(0, columns))).join("");
    return createHash("sha256").update(text).digest("hex");
  }
  const handle = openSync(path, "r");
  try {
    return hashOfStart(handle, offsetAfter(handle, rows, false).offset).digest("hex");
  } finally {
    closeSync(handle);
  }
}

export interface RunLogs {
  /** Fixes the stage's metric columns; see MetricsLog.startStage. */
  startStage(stage: string, columns: readonly string[]): void;
  metrics(step: number, values: MetricValues): void;
  evaluation(rows: readonly EvaluationRow[]): void;
  evaluationPrompts(rows: readonly EvaluationPromptRow[]): void;
  samples(records: readonly SampleRecord[]): void;
  /** Small copies of the pictures that the samples of a step show. */
  pictures: ThumbnailsLog["add"];
  prompts(rows: readonly PromptRow[]): void;
  counts(): Required<{ [Name in LogName]: LogCount }>;
  /** Waits until every row is on disk; before a checkpoint that counts them. */
  sync(): void;
  close(): void;
}

/**
 * Opens the files of a run directory, cut back to what the checkpoint had seen; with no checkpoint, to
 * nothing. Everything that belongs to step n is written before the checkpoint of step n.
 * @param note told about files that hold less than the checkpoint says (edited by hand, or lost)
 */
export function openRunLogs(
  runDir: string,
  from?: { step: number; counts: LogCounts },
  note: (text: string) => void = () => {},
): RunLogs {
  const keep = (name: LogName): number => rowsOf(from?.counts, name);
  const metrics = openMetricsLog(join(runDir, "metrics.csv"), {
    rows: keep("metrics.csv"),
    step: from?.step ?? 0,
  });
  const evaluations = openCsvLog(join(runDir, "eval.csv"), evaluationColumns, keep("eval.csv"));
  const evaluationPrompts = openCsvLog(
    join(runDir, "eval-prompts.csv"),
    evaluationPromptColumns,
    keep("eval-prompts.csv"),
  );
  const prompts = openCsvLog(join(runDir, "prompts.csv"), promptColumns, keep("prompts.csv"));
  const samples = openAppendLog(join(runDir, "samples.jsonl"), {
    quoted: false,
    header: "",
    keepRows: keep("samples.jsonl"),
  });
  const thumbnails = openThumbnailsLog(runDir, keep(thumbnailsName));
  const logs = {
    "metrics.csv": metrics,
    "eval.csv": evaluations,
    "eval-prompts.csv": evaluationPrompts,
    "samples.jsonl": samples,
    [thumbnailsName]: thumbnails,
    "prompts.csv": prompts,
  };
  const counts = () =>
    Object.fromEntries(
      logNames.map((name) => {
        const log = logs[name];
        const columns = "columns" in log ? log.columns.length : 0;
        return [name, { rows: log.rows, columns, sha256: log.digest() } satisfies LogCount];
      }),
    ) as ReturnType<RunLogs["counts"]>;
  for (const name of logNames) {
    if (logs[name].rows < keep(name))
      note(
        `${join(runDir, name)} holds ${logs[name].rows} rows, but held ${keep(name)} when the checkpoint of step ` +
          `${from?.step} was written; the missing ones stay missing.`,
      );
  }
  const all = [metrics, evaluations, evaluationPrompts, prompts, samples, thumbnails];
  return {
    startStage: metrics.startStage,
    metrics: metrics.append,
    evaluation: (rows) => evaluations.append(...rows),
    evaluationPrompts: (rows) =>
      evaluationPrompts.append(...(rows as readonly (EvaluationPromptRow & Record<string, Cell>)[])),
    prompts: (rows) => prompts.append(...(rows as readonly (PromptRow & Record<string, Cell>)[])),
    samples(records) {
      if (records.length === 0) return;
      const lines = records.map((record) => {
        if (!Number.isFinite(record.reward))
          throw new RlptError(
            `${samples.path}: reward ${record.reward} of prompt ${record.prompt_id}, sample ${record.sample_index} is not a number.`,
          );
        return `${JSON.stringify(record)}\n`;
      });
      samples.append(lines.join(""), lines.length);
    },
    pictures: thumbnails.add,
    counts,
    sync: () => {
      for (const log of all) log.sync();
    },
    close: () => {
      for (const log of all) log.close();
    },
  };
}
