/** The append-only files of a run: metrics.csv, eval.csv, eval-prompts.csv, samples.jsonl, prompts.csv. */
import { join } from "node:path";
import { RlptError } from "../lib/errors.ts";
import { type Cell, openAppendLog, openCsvLog } from "./append-log.ts";
import { evaluationColumns } from "./logs-options.ts";
import { type MetricValues, openMetricsLog } from "./metrics.ts";
import type { SampleRecord } from "./samples.ts";

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

/** Rows in each file; a checkpoint keeps it, and resuming cuts the files back to it. */
export interface LogCounts {
  "metrics.csv": number;
  "eval.csv": number;
  "eval-prompts.csv": number;
  "samples.jsonl": number;
  "prompts.csv": number;
}

const noRows: LogCounts = {
  "metrics.csv": 0,
  "eval.csv": 0,
  "eval-prompts.csv": 0,
  "samples.jsonl": 0,
  "prompts.csv": 0,
};

export interface RunLogs {
  /** Fixes the stage's metric columns; see MetricsLog.startStage. */
  startStage(stage: string, columns: readonly string[]): void;
  metrics(step: number, values: MetricValues): void;
  evaluation(rows: readonly EvaluationRow[]): void;
  evaluationPrompts(rows: readonly EvaluationPromptRow[]): void;
  samples(records: readonly SampleRecord[]): void;
  prompts(rows: readonly PromptRow[]): void;
  counts(): LogCounts;
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
  // checkpoints of older versions do not count every file
  const keep = { ...noRows, ...from?.counts };
  const metrics = openMetricsLog(join(runDir, "metrics.csv"), {
    rows: keep["metrics.csv"],
    step: from?.step ?? 0,
  });
  const evaluations = openCsvLog(join(runDir, "eval.csv"), evaluationColumns, keep["eval.csv"]);
  const evaluationPrompts = openCsvLog(
    join(runDir, "eval-prompts.csv"),
    evaluationPromptColumns,
    keep["eval-prompts.csv"],
  );
  const prompts = openCsvLog(join(runDir, "prompts.csv"), promptColumns, keep["prompts.csv"]);
  const samples = openAppendLog(join(runDir, "samples.jsonl"), {
    quoted: false,
    header: "",
    keepRows: keep["samples.jsonl"],
  });
  const counts = (): LogCounts => ({
    "metrics.csv": metrics.rows,
    "eval.csv": evaluations.rows,
    "eval-prompts.csv": evaluationPrompts.rows,
    "samples.jsonl": samples.rows,
    "prompts.csv": prompts.rows,
  });
  const now = counts();
  for (const name of Object.keys(now) as (keyof LogCounts)[]) {
    if (now[name] < keep[name])
      note(
        `${join(runDir, name)} holds ${now[name]} rows, but held ${keep[name]} when the checkpoint of step ` +
          `${from?.step} was written; the missing ones stay missing.`,
      );
  }
  const all = [metrics, evaluations, evaluationPrompts, prompts, samples];
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
    counts,
    sync: () => {
      for (const log of all) log.sync();
    },
    close: () => {
      for (const log of all) log.close();
    },
  };
}
