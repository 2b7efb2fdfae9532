/** Plans of several runs: a sweep's trials, an experiment's arms. Runs of the same shapes share one probe. */
import { type LoadOptions, loadRecipe, type RecipeStage } from "../config/load.ts";
import { loadExperiment } from "../experiments/experiment.ts";
import { placeTrials } from "../experiments/trials.ts";
import { defaultConcurrency } from "../processes/pool.ts";
import { estimate } from "./estimate.ts";
import { type CostSource, freeDisk, probeInChild } from "./plan.ts";
import type { BatchPlan, EngineCosts, Plan } from "./types.ts";

/** One run of a batch. */
interface Planned {
  name: string;
  options: LoadOptions;
  /** Runs of a wave start when all of the one before are over. */
  wave: number;
}

export interface BatchOptions {
  concurrency?: number;
  note: (text: string) => void;
  costsOf?: CostSource;
}

/** The trials of a config's sweep section. @throws ConfigError where it has none */
export function planSweep(config: string, options: LoadOptions, batch: BatchOptions): Promise<BatchPlan> {
  const { sweep, trials } = placeTrials(config, options);
  const runs = trials.map(({ name, options: load }): Planned => ({ name, wave: 0, options: load }));
  return planBatch(config, config, runs, {
    ...batch,
    concurrency: batch.concurrency ?? sweep.concurrency ?? defaultConcurrency(),
  });
}

/** The arms of an experiment file. Arms on selected data are probed on the data they select from. */
export function planExperiment(
  file: string,
  set: readonly string[],
  batch: BatchOptions,
): Promise<BatchPlan> {
  const { config, runs } = loadExperiment(file, { set: [...set] });
  const waves = new Map<string, number>();
  const planned = runs.map((run): Planned => {
    const wave = run.select === null ? 0 : waves.get(`${run.select.from}-s${run.seed}`)! + 1;
    waves.set(run.id, wave);
    return { name: run.id, wave, options: { set: run.set, seed: run.seed } };
  });
  return planBatch(file, config, planned, {
    ...batch,
    concurrency: batch.concurrency ?? defaultConcurrency(),
  });
}

async function planBatch(
  file: string,
  config: string,
  planned: readonly Planned[],
  { concurrency, note, costsOf = probeInChild }: BatchOptions & { concurrency: number },
): Promise<BatchPlan> {
  const loaded = planned.map((run) => ({ ...run, stages: loadRecipe(config, run.options).stages }));
  const costs = new Map<string, { name: string; costs: EngineCosts }>();
  const plans: Record<string, Plan> = {};
  const runs: (BatchPlan["runs"][number] & { wave: number })[] = [];
  for (const { name, wave, stages, options } of loaded) {
    const key = costKey(stages);
    let found = costs.get(key);
    if (found === undefined) {
      note(`probe of ${name}`);
      found = { name, costs: await costsOf(config, options) };
      costs.set(key, found);
    }
    const plan = estimate(config, stages, found.costs, freeDisk(stages[0]!.recipe.run.root));
    plans[found.name] ??= plan;
    runs.push({
      name,
      plan: found.name,
      wave,
      total_s: plan.total_s,
      peak_bytes: plan.memory.peak_bytes,
      disk_bytes: plan.disk.checkpoints_bytes + plan.disk.rest_bytes,
    });
  }
  const largest = runs.map(({ peak_bytes }) => peak_bytes).sort((a, b) => b - a);
  return {
    version: 1,
    config: file,
    concurrency,
    runs: runs.map(({ wave: _, ...run }) => run),
    plans,
    total_s: wavesSeconds(runs, concurrency),
    peak_bytes: sum(largest.slice(0, concurrency)),
    disk_bytes: sum(runs.map(({ disk_bytes }) => disk_bytes)),
  };
}

/** What a step's cost depends on: runs that are equal in it share a probe. */
function costKey(stages: readonly RecipeStage[]): string {
  return JSON.stringify(
    stages.map(({ recipe: { model, data, rollout, algorithm, rewards, eval: evaluation, backend } }) => {
      const shapes = (options: typeof data.train | undefined) => {
        if (options === undefined) return null;
        // which labels and which draws: neither moves a length
        const { need: _need, seed: _seed, ...rest } = options as Record<string, unknown>;
        return rest;
      };
      return {
        model,
        rollout,
        algorithm,
        backend,
        rewards: rewards.map(({ weight: _, ...part }) => part),
        train: shapes(data.train),
        eval: shapes(data.eval),
        evaluation: evaluation && { ...evaluation, every: 0 },
      };
    }),
  );
}

/** Seconds until all are done: each worker takes the next run in order, and waves wait for each other. */
export function wavesSeconds(
  runs: readonly { wave: number; total_s: number }[],
  concurrency: number,
): number {
  let seconds = 0;
  for (let wave = 0; runs.some((run) => run.wave === wave); wave++) {
    const free = Array.from({ length: concurrency }, () => 0);
    for (const { total_s } of runs.filter((run) => run.wave === wave)) {
      const next = free.indexOf(Math.min(...free));
      free[next]! += total_s;
    }
    seconds += Math.max(...free);
  }
  return seconds;
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
