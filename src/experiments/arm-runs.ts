/** What pipelines and reproductions share: arms as child processes, and data that one arm selects for another. */

import type { SelectOptions } from "../config/select-options.ts";
import type { DatasetOptions } from "../data/dataset-options.ts";
import { CheckpointError, InterruptedError } from "../lib/errors.ts";
import { type Job, logTail, runDirectoryOf, runPool, statusWords } from "../processes/pool.ts";
import { poolFromRun } from "../selection/pool.ts";
import { selectFromPool, writeSelection } from "../selection/select.ts";
import type { Children } from "../terminal/children.ts";
import { selectedDataset } from "./experiment.ts";

export interface FailedJob {
  name: string;
  /** What happened, with the end of its log. */
  told: string;
}

/**
 * Runs the jobs side by side and says how they go.
 * @returns those that failed
 * @throws InterruptedError after Ctrl-C
 */
export async function runJobs(
  jobs: readonly Job[],
  { concurrency, note, children }: { concurrency: number; note: (text: string) => void; children?: Children },
): Promise<FailedJob[]> {
  let ended = 0;
  const results = await runPool(jobs, {
    concurrency,
    onStart: (job) => {
      const name = job.label ?? job.name;
      note(`${name}: ${job.args.includes("--resume") ? "goes on" : "begins"}`);
      children?.begin(name, runDirectoryOf(job));
    },
    onEnd: ({ name, label }, { status, seconds }) => {
      children?.end(label ?? name);
      note(
        `${label ?? name}: ${statusWords(status)} after ${seconds.toFixed(0)} s` +
          (jobs.length > 1 ? ` (${++ended} of ${jobs.length})` : ""),
      );
    },
    onInterrupt: (signal) => note(`${signal}: the runs write a checkpoint and stop; again to stop at once`),
  });
  if (results.some(({ status }) => status === null || status === 130)) {
    throw new InterruptedError("stopped; the same command goes on from the checkpoints");
  }
  return jobs
    .map((job, i) => ({ ...job, status: results[i]!.status }))
    .filter(({ status }) => status !== 0)
    .map(({ name, log, status }) => ({
      name,
      told: `${name}: ${statusWords(status)}; the end of ${log}:\n${logTail(log).replaceAll(/^/gm, "  ")}`,
    }));
}

export interface Selecting {
  /** For messages: the run that will train on the selection. */
  id: string;
  select: SelectOptions;
  seed: number;
  draw: number;
  /** Where the subset and its provenance go. */
  directory: string;
  /** The finished run whose rewards are scored, and what it was trained on. */
  source: { id: string; runDir: string; pool: DatasetOptions };
  note: (text: string) => void;
}

/** Selects for one run; the same files come out every time. @returns the override that trains on them */
export async function selectTrainingData({
  id,
  select,
  seed,
  draw,
  directory,
  source,
  note,
}: Selecting): Promise<string> {
  const { threshold, top, count, random, round, signal, epochs, max_invalid } = select;
  const pool = await poolFromRun(source.runDir, { signal, epochs: epochs ?? null, stage: null });
  const settings = {
    rule:
      threshold !== undefined
        ? { kind: "threshold" as const, threshold }
        : top !== undefined
          ? { kind: "top" as const, share: top }
          : { kind: "count" as const, count: count! },
    round: round ?? null,
    // another draw for every seed, too
    random: random ? 1000 * seed + draw : null,
    maxInvalid: max_invalid,
    source: { signal, epochs: epochs ?? null, from: source.id },
  };
  const selection = selectFromPool(pool, settings);
  if (selection.size === 0) {
    throw new CheckpointError(
      `${id}: no problem of ${source.id} reaches the threshold; nothing to train on.`,
    );
  }
  const path = await writeSelection(directory, pool, selection, settings);
  const kinds = Object.entries(selection.slices)
    .filter(([name]) => name.startsWith("kind="))
    .map(([name, { selected, pool: all }]) => `${name.slice(5)} ${selected} of ${all}`);
  note(
    `${id}: ${selection.size} of ${pool.rows.length} problems${kinds.length > 0 ? ` (${kinds.join(", ")})` : ""}`,
  );
  return `data.train=${JSON.stringify(selectedDataset(source.pool, path))}`;
}
