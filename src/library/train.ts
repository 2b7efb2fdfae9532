/** Runs of a recipe from a program: what `rlpt train` does, without a terminal. */
import { join } from "node:path";
import { type LoadOptions, loadRecipe, type ResolvedRecipe } from "../config/load.ts";
import type { Interrupt } from "../run/interrupt.ts";
import type { Progress } from "../run/progress.ts";
import { readRecipe } from "../run/run-directory.ts";
import { Preflight } from "../training/preflight.ts";
import * as training from "../training/train.ts";

/** How a run is watched and stopped. */
export interface RunOptions {
  /** Told what goes on; what is left out is not shown. */
  progress?: Partial<Progress>;
  /** Once aborted, the run finishes its step, writes a checkpoint and rejects with InterruptedError. Signals of the process are the program's own. */
  signal?: AbortSignal;
}

export interface TrainOptions extends RunOptions {
  /** Taken as the run directory; it must be new or empty. When absent: a new one in `run.root`, named after recipe, time and seed. */
  runDir?: string;
}

/**
 * Trains by a recipe: checks its files, samples, scores, updates, and writes metrics and checkpoints, as `rlpt train` does.
 * Same recipe, same seed: the same bytes as there. One run at a time in a process, for there is one tensor backend.
 * @param recipe from loadRecipe, or what it takes: a file, or the name of a config that comes with rlpt
 * @returns run directory, newest checkpoint, and metrics of the first and the last evaluation
 * @throws ConfigFaultsError with all that is wrong with recipe, data, rewards and model, before a run directory exists
 * @throws InterruptedError when `signal` was aborted, after a checkpoint
 * @throws AlarmError when an alarm of `run.stop_on` began, after a checkpoint
 * @throws RlptError of another kind when the run fails
 */
export async function train(
  recipe: ResolvedRecipe | string,
  options: TrainOptions = {},
): Promise<training.TrainingResult> {
  const loaded = typeof recipe === "string" ? loadRecipe(recipe) : recipe;
  return run(loaded, { resume: null, runDir: options.runDir ?? null }, options);
}

/**
 * Goes on with a run from its newest whole checkpoint, exactly: the end is that of a run that was never interrupted.
 * @param runDir its directory
 * @param options.steps a larger number of steps than the run was begun with
 * @throws CheckpointError when it is no run directory, is damaged, or has no steps left
 */
export async function resume(
  runDir: string,
  options: RunOptions & Pick<LoadOptions, "steps"> = {},
): Promise<training.TrainingResult> {
  readRecipe(runDir); // says so when it is no run directory
  const { steps } = options;
  const loaded = loadRecipe(join(runDir, "recipe.yaml"), steps === undefined ? {} : { steps });
  return run(loaded, { resume: runDir, runDir: null }, options);
}

async function run(
  loaded: ResolvedRecipe,
  where: Pick<training.TrainingRequest, "resume" | "runDir">,
  { progress = {}, signal }: RunOptions,
): Promise<training.TrainingResult> {
  const warnings = await new Preflight({ fetch: true, weights: true }).check(loaded);
  const told = withDefaults(progress);
  for (const text of warnings) told.note(text, "warning");
  return training.train({
    stages: loaded.stages,
    givenModel: loaded.givenModel,
    ...where,
    progress: told,
    fit: async (...stage) => (await import("../planning/memory-limit.ts")).fitToMemory(...stage),
    command: process.argv.slice(1),
    now: new Date(),
    interrupt: interruptBy(signal),
  });
}

function withDefaults(progress: Partial<Progress>): Progress {
  const nothing = (): void => {};
  // methods of an object of the caller's keep it as their `this`
  const given = (name: "start" | "step" | "note" | "stop") =>
    (progress[name] as ((...args: unknown[]) => void) | undefined)?.bind(progress) ?? nothing;
  return {
    ...(progress.run === undefined ? {} : { run: progress.run.bind(progress) }),
    ...(progress.phase === undefined ? {} : { phase: progress.phase.bind(progress) }),
    ...(progress.evaluation === undefined ? {} : { evaluation: progress.evaluation.bind(progress) }),
    ...(progress.remark === undefined ? {} : { remark: progress.remark.bind(progress) }),
    start: given("start"),
    step: given("step"),
    note: given("note"),
    stop: given("stop"),
  };
}

function interruptBy(signal: AbortSignal | undefined): Interrupt {
  return {
    get requested() {
      return signal?.aborted === true;
    },
    signal: null,
    async poll() {
      // a loop that awaits settled promises alone would never let the program's own timers through
      await new Promise((resolve) => setImmediate(resolve));
      return signal?.aborted === true;
    },
    dispose() {},
  };
}
