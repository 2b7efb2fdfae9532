/** `rlpt pipeline`: runs an experiment's arms as child processes, what is done already left as it is. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { loadRecipe } from "../config/load.ts";
import { CheckpointError, InterruptedError, RlptError } from "../lib/errors.ts";
import { writeFileAtomic } from "../lib/files.ts";
import { mean } from "../lib/math.ts";
import { type MeanInterval, studentInterval } from "../lib/statistics.ts";
import { csvLine, readCsvTable } from "../run/append-log.ts";
import { type ArmRun, type Experiment, selectedDataset } from "./experiment.ts";
import { type Job, logTail, runPool, trainingArguments } from "./process-pool.ts";
import { selectFromPool, writeSelection } from "./selection.ts";
import { poolFromRun } from "./selection-pool.ts";

export interface PipelineOptions {
  /** Results go to <root>/<experiment>/. */
  root: string;
  concurrency: number;
  note: (text: string) => void;
}

export interface ArmResult {
  arm: string;
  draw: number;
  seed: number;
  runDir: string;
  step: number;
  value: number;
  tokens: number | null;
}

export interface Comparison {
  first: string;
  second: string;
  /** By seed, in the experiment's order; draws are averaged before. */
  differences: number[];
  interval: MeanInterval;
}

export interface PipelineResult {
  directory: string;
  results: ArmResult[];
  comparisons: Comparison[];
}

/**
 * Arms in waves: first those that depend on nothing, then those whose data these selected. A finished run is
 * not run again, a killed one goes on from its checkpoint; both only if recipe and data files are the same.
 * @throws RlptError naming the runs that failed, InterruptedError after Ctrl-C
 */
export async function runExperiment(
  experiment: Experiment,
  options: PipelineOptions,
): Promise<PipelineResult> {
  const directory = join(options.root, experiment.options.experiment);
  mkdirSync(directory, { recursive: true });
  let waiting = [...experiment.runs];
  const finished = new Set<string>();
  while (waiting.length > 0) {
    const ready = waiting.filter(
      ({ select, seed }) => select === null || finished.has(`${select.from}-s${seed}`),
    );
    waiting = waiting.filter((run) => !ready.includes(run));
    const jobs: Job[] = [];
    for (const run of ready) {
      const set =
        run.select === null ? run.set : [...run.set, await selectFor(run, directory, experiment, options)];
      const args = await trainingArguments(join(directory, run.id), experiment.config, {
        set,
        seed: run.seed,
      });
      if (args === null) options.note(`${run.id}: done already`);
      else
        jobs.push({
          name: run.id,
          args: [...args, "--quiet"],
          log: join(directory, "logs", `${run.id}.log`),
        });
    }
    await runJobs(jobs, options);
    for (const { id } of ready) finished.add(id);
  }
  return summarise(experiment, directory);
}

async function runJobs(jobs: readonly Job[], options: PipelineOptions): Promise<void> {
  const results = await runPool(jobs, {
    concurrency: options.concurrency,
    onStart: ({ name, args }) => options.note(`${name}: ${args.includes("--resume") ? "goes on" : "begins"}`),
    onEnd: ({ name }, { status, seconds }) =>
      options.note(
        `${name}: ${status === 0 ? "done" : `ended with status ${status}`} after ${seconds.toFixed(0)} s`,
      ),
    onInterrupt: (signal) =>
      options.note(`${signal}: the runs write a checkpoint and stop; again to stop at once`),
  });
  if (results.some(({ status }) => status === null || status === 130)) {
    throw new InterruptedError("stopped; the same command goes on from the checkpoints");
  }
  const failed = jobs.filter((_, i) => results[i]!.status !== 0);
  if (failed.length > 0) {
    const told = failed.map(({ name, log }) => `${name} failed; the end of ${log}:\n${indent(logTail(log))}`);
    throw new RlptError(told.join("\n"));
  }
}

const indent = (text: string): string => text.replaceAll(/^/gm, "  ");

/** Selects for one run; the same files come out every time. @returns the override that trains on them */
async function selectFor(
  run: ArmRun,
  directory: string,
  experiment: Experiment,
  { note }: PipelineOptions,
): Promise<string> {
  const { from, threshold, top, count, random, round, signal, epochs, max_invalid } = run.select!;
  const source = experiment.runs.find(({ arm, seed }) => arm === from && seed === run.seed)!;
  const pool = await poolFromRun(join(directory, source.id), { signal, epochs: epochs ?? null, stage: null });
  const settings = {
    rule:
      threshold !== undefined
        ? { kind: "threshold" as const, threshold }
        : top !== undefined
          ? { kind: "top" as const, share: top }
          : { kind: "count" as const, count: count! },
    round: round ?? null,
    // another draw for every seed, too
    random: random ? 1000 * run.seed + run.draw : null,
    maxInvalid: max_invalid,
    source: { signal, epochs: epochs ?? null, from: source.id },
  };
  const selection = selectFromPool(pool, settings);
  if (selection.size === 0) {
    throw new CheckpointError(
      `${run.id}: no problem of ${source.id} reaches the threshold; nothing to train on.`,
    );
  }
  const path = await writeSelection(join(directory, "data", run.id), pool, selection, settings);
  const kinds = Object.entries(selection.slices)
    .filter(([name]) => name.startsWith("kind="))
    .map(([name, { selected, pool: all }]) => `${name.slice(5)} ${selected} of ${all}`);
  note(
    `${run.id}: ${selection.size} of ${pool.rows.length} problems${kinds.length > 0 ? ` (${kinds.join(", ")})` : ""}`,
  );
  const { recipe } = loadRecipe(experiment.config, { set: source.set, seed: source.seed });
  return `data.train=${JSON.stringify(selectedDataset(recipe.data.train, path))}`;
}

/** Final values from eval.csv of every run; written as results.csv and differences.csv. */
export function summarise({ options, runs }: Experiment, directory: string): PipelineResult {
  const results = runs.map((run): ArmResult => {
    const runDir = join(directory, run.id);
    const path = join(runDir, "eval.csv");
    const rows = existsSync(path)
      ? readCsvTable(path).rows.filter((row) => row["slice"] === options.slice)
      : [];
    const last = rows.at(-1);
    const value = last?.[options.metric];
    if (last === undefined || value === undefined || value === "") {
      throw new CheckpointError(`${path}: has no ${options.metric} for slice ${options.slice}.`);
    }
    const { arm, draw, seed } = run;
    const tokens = last["tokens_mean"];
    const step = Number(last["step"]);
    return { arm, draw, seed, runDir, step, value: Number(value), tokens: tokens ? Number(tokens) : null };
  });
  const of = (arm: string, seed: number) =>
    mean(results.filter((one) => one.arm === arm && one.seed === seed).map(({ value }) => value));
  const comparisons = options.compare.map(([first, second]): Comparison => {
    const differences = options.seeds.map((seed) => of(first, seed) - of(second, seed));
    return { first, second, differences, interval: studentInterval(differences) };
  });
  writeFileAtomic(
    join(directory, "results.csv"),
    csvLine(["arm", "draw", "seed", "step", options.metric, "tokens_mean"]) +
      results.map((one) => csvLine([one.arm, one.draw, one.seed, one.step, one.value, one.tokens])).join(""),
  );
  writeFileAtomic(
    join(directory, "differences.csv"),
    csvLine(["first", "second", "seeds", "mean", "low", "high"]) +
      comparisons
        .map(({ first, second, differences, interval }) =>
          csvLine([first, second, differences.length, interval.mean, interval.low, interval.high]),
        )
        .join(""),
  );
  return { directory, results, comparisons };
}
