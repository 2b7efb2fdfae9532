/** `rlpt pipeline`: runs an experiment's arms as child processes, what is done already left as it is. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { loadRecipe } from "../config/load.ts";
import type { SelectOptions } from "../config/select-options.ts";
import { CheckpointError, RlptError } from "../lib/errors.ts";
import { writeFileAtomic } from "../lib/files.ts";
import { mean } from "../lib/math.ts";
import { type MeanInterval, studentInterval } from "../lib/statistics.ts";
import { type Job, trainingArguments } from "../processes/pool.ts";
import { csvLine, readCsvTable } from "../run/append-log.ts";
import type { Children } from "../terminal/children.ts";
import { runJobs, selectTrainingData } from "./arm-runs.ts";
import type { ArmRun, Experiment } from "./experiment.ts";

export interface PipelineOptions {
  /** Results go to <root>/<experiment>/. */
  root: string;
  concurrency: number;
  note: (text: string) => void;
  /** Where the runs are shown while they go on. */
  children?: Children;
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
        run.select === null
          ? run.set
          : [...run.set, await selectFor(run, run.select, directory, experiment, options.note)];
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
    const failed = await runJobs(jobs, options);
    if (failed.length > 0) throw new RlptError(failed.map(({ told }) => told).join("\n"));
    for (const { id } of ready) finished.add(id);
  }
  return summarise(experiment, directory);
}

/** Selects for one run. @returns the override that trains on it */
async function selectFor(
  run: ArmRun,
  select: SelectOptions,
  directory: string,
  { runs, config }: Experiment,
  note: (text: string) => void,
): Promise<string> {
  const source = runs.find(({ arm, seed }) => arm === select.from && seed === run.seed)!;
  return selectTrainingData({
    id: run.id,
    select,
    seed: run.seed,
    draw: run.draw,
    directory: join(directory, "data", run.id),
    source: {
      id: source.id,
      runDir: join(directory, source.id),
      pool: loadRecipe(config, { set: source.set, seed: source.seed }).recipe.data.train,
    },
    note,
  });
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
  // no column twice
  const withTokens = options.metric !== "tokens_mean";
  writeFileAtomic(
    join(directory, "results.csv"),
    csvLine(["arm", "draw", "seed", "step", options.metric, ...(withTokens ? ["tokens_mean"] : [])]) +
      results
        .map((one) =>
          csvLine([one.arm, one.draw, one.seed, one.step, one.value, ...(withTokens ? [one.tokens] : [])]),
        )
        .join(""),
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
