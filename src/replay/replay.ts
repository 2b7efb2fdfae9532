/**
 * `rlpt replay`: one step of a run again, and with other settings on the same batch.
 *
 * A run keeps no batches: every draw is a function of seed, stage, step, prompt and sample, so the batch of a step
 * follows from the weights before it. The nearest earlier checkpoint (or the run's beginning) is taken up, the
 * steps in between are made again, and then the step itself: as it was, and as it would have been.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { loadRecipe, type RecipeStage } from "../config/load.ts";
import { CheckpointError, ConfigError, InterruptedError } from "../lib/errors.ts";
import type { PolicyLossOptions } from "../losses/policy-kinds.ts";
import { readCsvTable } from "../run/append-log.ts";
import {
  type Checkpoint,
  checkpointDirectory,
  checkpointSteps,
  checkpointsDirectory,
  openCheckpoint,
} from "../run/checkpoint.ts";
import type { Progress } from "../run/progress.ts";
import { isRunDirectory } from "../run/run-directory.ts";
import type { SampleRecord } from "../run/samples.ts";
import { verdictsName } from "../run/verdict-log.ts";
import { isStateFile } from "../training/checkpoint-contents.ts";
import { Preflight } from "../training/preflight.ts";
import type { Steering } from "../training/run-stage.ts";
import { train } from "../training/train.ts";
import { changedSettings } from "./changed-settings.ts";
import { compareDirections, createHostSum, type Direction, readWeights } from "./directions.ts";
import { type ComparedLoss, compareLosses } from "./losses.ts";

export interface ReplayRequest {
  runDir: string;
  /** Counted from 1, as in metrics.csv. */
  step: number;
  /** As given to --set; may change how the batch is scored and learned from, not the batch. */
  set: readonly string[];
  /** Policy losses to compare on the batch: their names, or null for all; absent: none. */
  losses?: readonly PolicyLossOptions["kind"][] | null;
  note: (text: string) => void;
}

/** What a step left behind. */
export interface ReplayedStep {
  /** Row of metrics.csv; blank cells are left out. */
  metrics: Record<string, string>;
  /** All completions of the batch, in order; none in supervised training. */
  samples: SampleRecord[];
}

export interface Replay {
  step: number;
  stage: string;
  algorithm: string;
  /** Step of the checkpoint that was taken up; 0 is the run's beginning. */
  from: number;
  /** Does the replay give what the run has on disk? null: the run has nothing to compare with. */
  stored: {
    /** Files of the step's checkpoint, byte for byte. */
    weights: boolean | null;
    /** Columns of metrics.csv that differ; times are not compared. */
    metrics: string[] | null;
    /** Completions of samples.jsonl, with rewards and advantages. */
    samples: { compared: number; differing: number } | null;
  };
  original: ReplayedStep;
  changed: null | {
    /** Key path, was, is. */
    settings: { path: string; was: unknown; is: unknown }[];
    step: ReplayedStep;
    /** Compares the step's gradients, summed over its updates, before clipping. */
    gradient: Direction;
    /** Compares the changes of the weights. */
    update: Direction;
  };
  /** At the updates of the step, of the changed one where settings were changed; the own loss first. null: not asked for. */
  losses: ComparedLoss[] | null;
}

/** @throws ConfigError for a step that the run has not made, or a setting that would make another batch */
export async function replay(request: ReplayRequest): Promise<Replay> {
  const { runDir, step, note } = request;
  if (!isRunDirectory(runDir)) throw new ConfigError(`${runDir}: is not a run directory (no recipe.yaml)`);
  const recipe = join(runDir, "recipe.yaml");
  const whole = loadRecipe(recipe);
  const original = whole.stages;
  const preflight = new Preflight({ fetch: true, weights: true, parts: ["train"] });
  const rows = readCsvTable(join(runDir, "metrics.csv")).rows;
  const row = rows.find((one) => Number(one["step"]) === step);
  if (row === undefined) {
    throw new ConfigError(
      `--step ${step}: ${runDir} has made ${rows.length === 0 ? "no step" : `steps ${rows[0]!["step"]} to ${rows.at(-1)!["step"]}`}`,
    );
  }
  const index = original.findIndex(({ name }) => name === row["stage"]);
  const stage = original[index]!;
  const changed = request.set.length === 0 ? null : loadRecipe(recipe, { set: request.set }).stages;
  const settings = changed === null ? [] : changedSettings(stage.recipe, changed[index]!.recipe);
  if (changed !== null && settings.length === 0) {
    throw new ConfigError(
      `--set changes nothing in stage ${stage.name}, which made step ${step}${original.length > 1 ? `; a stage's own settings are under stages.${index}` : ""}`,
    );
  }

  const comparison =
    request.losses === undefined ? null : compareLosses((changed ?? original)[index]!.recipe, request.losses);

  // its files may be others, or gone, since the run was made
  for (const stages of [original, ...(changed === null ? [] : [changed])]) {
    const originOf: typeof whole.originOf = (_, path) => whole.originOf(index, path);
    const loaded = { ...whole, stages: [stages[index]!], originOf };
    for (const text of await preflight.check(loaded)) note(text);
  }

  const scratch = mkdtempSync(join(tmpdir(), "rlpt-replay-"));
  try {
    // 1. to the weights before the step
    const nearest = await nearestCheckpoint(runDir, step - 1);
    const from = nearest?.step ?? 0;
    let before = nearest;
    if (from < step - 1) {
      note(`steps ${from + 1} to ${step - 1} are made again`);
      const to = { stages: original, stopAt: step - 1, note };
      before = await runTo(join(scratch, "before"), nearest, runDir, to);
    }

    // 2. the step as it was
    const weights = createHostSum();
    const gradients = createHostSum();
    const first = join(scratch, "original");
    const look: Steering = {
      gradients: gradients.add,
      watch(policy) {
        weights.add(policy.trainable);
        return policy;
      },
    };
    const after = await runTo(first, before, runDir, {
      stages: original,
      stopAt: step,
      note: quiet,
      steering: changed === null ? { ...(comparison === null ? {} : { probe: comparison.probe }) } : look,
    });
    const recomputed = readStep(first, step);

    // 3. as it would have been
    let other: Replay["changed"] = null;
    if (changed !== null) {
      const second = join(scratch, "changed");
      const otherGradients = createHostSum();
      const stages = original.map((one, i) => (i === index ? changed[i]! : one));
      const otherAfter = await runTo(second, before, runDir, {
        stages,
        stopAt: step,
        note: quiet,
        steering: {
          gradients: otherGradients.add,
          ...(comparison === null ? {} : { probe: comparison.probe }),
        },
      });
      other = {
        settings,
        step: readStep(second, step),
        gradient: compareDirections(await gradients.read(), await otherGradients.read()),
        update: compareDirections(
          readWeights(after.directory),
          readWeights(otherAfter.directory),
          await weights.read(),
        ),
      };
    }
    return {
      step,
      stage: stage.name,
      algorithm: stage.recipe.algorithm.kind,
      from,
      stored: {
        weights: await sameWeights(runDir, step, after),
        metrics: differingColumns(row, recomputed.metrics),
        samples: compareSamples(runDir, step, recomputed.samples),
      },
      original: recomputed,
      changed: other,
      losses: comparison?.read() ?? null,
    };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const quiet = (): void => {};

interface Target {
  stages: readonly RecipeStage[];
  stopAt: number;
  note: (text: string) => void;
  steering?: Steering;
}

/** Trains in a directory of its own from a checkpoint, or from the beginning, to a step. */
async function runTo(
  directory: string,
  from: Checkpoint | null,
  runDir: string,
  { stages, stopAt, note, steering = {} }: Target,
): Promise<Checkpoint> {
  if (from !== null) {
    mkdirSync(checkpointsDirectory(directory), { recursive: true });
    link(from.directory, join(checkpointsDirectory(directory), basename(from.directory)));
    // so that another engine or version than the run's is remarked upon
    const provenance = join(runDir, "provenance.json");
    if (existsSync(provenance)) cpSync(provenance, join(directory, "provenance.json"));
  }
  const progress: Progress = {
    start() {},
    step() {},
    // what the run has in its logs and the scratch directory has not is no news
    note: (text, _level, about) => {
      if (about === "changed-inputs") note(text);
    },
    stop() {},
  };
  await train({
    stages: stages.map(bare),
    resume: from === null ? null : directory,
    runDir: directory,
    progress,
    command: [],
    now: new Date(0),
    steering: { ...steering, stopAt, passesAlarms: true },
    verdicts: join(runDir, verdictsName),
  }).catch((error: unknown) => {
    // what a run says then is about its checkpoint; this one goes away
    throw error instanceof InterruptedError ? new InterruptedError("stopped") : error;
  });
  return openCheckpoint(checkpointDirectory(directory, stopAt), "sizes");
}

/** Only what moves weights, and every completion of the step in samples.jsonl. */
function bare(stage: RecipeStage): RecipeStage {
  const { eval: _eval, data, ...recipe } = stage.recipe;
  const { eval: _data, ...train } = data;
  return {
    ...stage,
    recipe: {
      ...recipe,
      data: train,
      run: {
        ...recipe.run,
        alarms: false,
        checkpoint_every: Number.MAX_SAFE_INTEGER,
        keep_last: Number.MAX_SAFE_INTEGER,
        keep_best: null,
        samples_every: 1,
        samples_prompts: Number.MAX_SAFE_INTEGER,
      },
    },
  };
}

/** A link, so that large checkpoints are not copied; a copy where there are no links. */
function link(target: string, path: string): void {
  try {
    symlinkSync(resolve(target), path, "dir");
  } catch {
    cpSync(target, path, { recursive: true });
  }
}

/** The newest whole checkpoint of a step up to `step`; null when there is none. */
async function nearestCheckpoint(runDir: string, step: number): Promise<Checkpoint | null> {
  for (const each of checkpointSteps(runDir).reverse()) {
    if (each > step) continue;
    try {
      return await openCheckpoint(checkpointDirectory(runDir, each), "hashes");
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
    }
  }
  return null;
}

function readStep(directory: string, step: number): ReplayedStep {
  const row = readCsvTable(join(directory, "metrics.csv")).rows.find((one) => Number(one["step"]) === step)!;
  return {
    metrics: Object.fromEntries(Object.entries(row).filter(([, cell]) => cell !== "")),
    samples: readSamples(directory, step),
  };
}

function readSamples(directory: string, step: number): SampleRecord[] {
  const path = join(directory, "samples.jsonl");
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line) as SampleRecord).filter((sample) => sample.step === step);
}

async function sameWeights(runDir: string, step: number, after: Checkpoint): Promise<boolean | null> {
  if (!checkpointSteps(runDir).includes(step)) return null;
  const stored = await openCheckpoint(checkpointDirectory(runDir, step), "hashes");
  const again = await openCheckpoint(after.directory, "hashes");
  const files = new Set([...Object.keys(stored.manifest.files), ...Object.keys(again.manifest.files)]);
  return [...files]
    .filter(isStateFile)
    .every((name) => stored.manifest.files[name]?.sha256 === again.manifest.files[name]?.sha256);
}

/** Times and memory differ between equal runs; alarms and evaluations are not made again. */
const INCOMPARABLE = /^(time\/|memory\/|alarm)/;

function differingColumns(stored: Record<string, string>, made: Record<string, string>): string[] {
  return Object.entries(stored)
    .filter(([name, cell]) => !INCOMPARABLE.test(name) && cell !== (made[name] ?? ""))
    .map(([name]) => name);
}

function compareSamples(
  runDir: string,
  step: number,
  made: readonly SampleRecord[],
): Replay["stored"]["samples"] {
  const stored = readSamples(runDir, step);
  if (stored.length === 0) return null;
  const key = ({ prompt_id, sample_index }: SampleRecord) => `${prompt_id}\0${sample_index}`;
  const byKey = new Map(made.map((sample) => [key(sample), JSON.stringify(sample)]));
  const differing = stored.filter((sample) => byKey.get(key(sample)) !== JSON.stringify(sample)).length;
  return { compared: stored.length, differing };
}
