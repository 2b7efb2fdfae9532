/** `rlpt sweep`: the trials of a config as child processes, and their Pareto front. */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "csv-stringify/sync";
import type { LoadOptions } from "../config/load.ts";
import { ConfigError, InterruptedError, RlptError } from "../lib/errors.ts";
import { writeFileAtomic } from "../lib/files.ts";
import {
  defaultConcurrency,
  type Job,
  logTail,
  runDirectoryOf,
  runPool,
  statusWords,
  trainingArguments,
} from "../processes/pool.ts";
import { type ComparedRow, compare, paretoRecords, readTrial, type SweepRow } from "../report/sweep-table.ts";
import { isRunDirectory } from "../run/run-directory.ts";
import type { Children } from "../terminal/children.ts";
import { type PlacedTrial, placeTrials } from "./trials.ts";

export interface SweepRequest {
  config: string;
  /** As given to --set; they hold in every trial, over what the trial sets. */
  set: readonly string[];
  backend?: string;
  /** Trials at a time; the config's, else one for each core. */
  concurrency?: number;
  /** Folder of the trials; runs/sweep-<name> when absent. */
  out?: string;
  note: (text: string) => void;
  /** Where the trials are shown while they go on. */
  children?: Children;
  /** Looks at the files of all trials before one starts. */
  check?: (runs: readonly { config: string; options: LoadOptions }[]) => Promise<void>;
}

export interface SweepResult {
  out: string;
  rows: ComparedRow[];
}

interface Placed extends PlacedTrial {
  runDir: string;
  log: string;
}

/** @throws ConfigError before anything starts, when one trial's config is wrong */
export async function sweep(request: SweepRequest): Promise<SweepResult> {
  const { config, note } = request;
  const { base, sweep: options, trials } = placeTrials(config, loadOptions(request));
  if (base.recipe.data.eval === undefined)
    throw new ConfigError(`${config}: trials are compared by an evaluation; add data.eval`);
  const out = request.out ?? join(base.recipe.run.root, `sweep-${base.recipe.run.name}`);

  // 1. every trial's recipe and files are checked before the first starts
  const placed = trials.map(
    (one): Placed => ({ ...one, runDir: join(out, one.name), log: join(out, `${one.name}.log`) }),
  );
  await request.check?.(trials.map((one) => ({ config, options: one.options })));

  // 2. what is done is left alone, what was begun is taken up
  mkdirSync(out, { recursive: true });
  const jobs: Job[] = [];
  for (const { name, runDir, log, options: load } of placed) {
    // killed before it wrote its recipe: nothing in it yet
    if (existsSync(runDir) && !isRunDirectory(runDir)) rmSync(runDir, { recursive: true });
    const args = await trainingArguments(runDir, config, load);
    if (args !== null) jobs.push({ name, args, log });
  }
  const concurrency = request.concurrency ?? options.concurrency ?? defaultConcurrency();
  note(
    `sweep of ${placed.length} trials, ${placed.length - jobs.length} done already, ${Math.min(concurrency, jobs.length)} at a time, in ${out}`,
  );

  // 3. the others, each a process of its own
  let ended = 0;
  const results = await runPool(jobs, {
    concurrency,
    onStart: (job) => request.children?.begin(job.name, runDirectoryOf(job)),
    onEnd: (_job, { name, status, seconds }) => {
      request.children?.end(name);
      note(`${++ended}/${jobs.length} ${name}: ${statusWords(status)} after ${seconds.toFixed(0)} s`);
    },
    onInterrupt: (signal) => note(`${signal}: the trials finish their step and write a checkpoint`),
  });

  // 4. the table of all that is finished, whatever failed
  const unfinished = new Set(results.filter(({ status }) => status !== 0).map(({ name }) => name));
  const finished = placed.filter(({ name }) => !unfinished.has(name));
  const rows = compare(finished.flatMap((one) => trialRows(one, options.score)));
  if (rows.length > 0) {
    writeFileAtomic(join(out, "pareto.csv"), stringify(paretoRecords(rows), { header: true }));
  }
  const failed = results.find(({ status }) => status !== 0 && status !== 130 && status !== null);
  if (failed !== undefined) {
    const { log } = placed.find(({ name }) => name === failed.name)!;
    throw new RlptError(
      `trial ${failed.name}: ${statusWords(failed.status)}; the end of ${log}:\n${logTail(log)}\n` +
        "Run the same command again to go on: finished trials are not run again.",
    );
  }
  if (unfinished.size > 0)
    throw new InterruptedError(`${unfinished.size} trials are left; run the same command again to go on`);
  if (rows.length === 0) {
    throw new RlptError(
      `${out}: no trial measured how often it thinks, so there is nothing to compare; prompts or completions need think tags`,
    );
  }
  return { out, rows };
}

function loadOptions({ set, backend }: SweepRequest): LoadOptions {
  return { set, ...(backend === undefined ? {} : { backend }) };
}

function trialRows({ trial, runDir }: Placed, score: string): SweepRow[] {
  const whens = trial.start ? (["start", "end"] as const) : (["end"] as const);
  return whens
    .map((when) => readTrial(runDir, { point: trial.point, seed: trial.seed, when, set: trial.set }, score))
    .filter((row) => row !== null);
}
