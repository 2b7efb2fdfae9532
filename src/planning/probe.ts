/** Measures what a run costs here: its first steps, made by the code that trains, in a folder that goes away. */

import { existsSync } from "node:fs";
import { freemem } from "node:os";
import { join } from "node:path";
import { algorithmOf } from "../algorithms/kinds.ts";
import type { RecipeStage } from "../config/load.ts";
import type { Recipe } from "../config/schema.ts";
import { headWeight, parameterCount } from "../policy/decoder-weights.ts";
import type { DecoderConfig, TrainablePolicy } from "../policy/interfaces.ts";
import { parseModelConfig } from "../policy/model-config.ts";
import { checkpointDirectory, checkpointSteps } from "../run/checkpoint.ts";
import type { Progress } from "../run/progress.ts";
import { readProvenance } from "../run/provenance.ts";
import { bytesOf, readUsage, type StageUsage } from "../run/usage.ts";
import * as parts from "../training/assemble.ts";
import { train } from "../training/train.ts";
import { evaluationPrompts } from "./evaluation-prompts.ts";
import { createTensorMeter, type Peaks } from "./meter.ts";
import { LONG_STEP, type ProbeSizes, probeSizes } from "./scale.ts";
import { type Observation, stageCost } from "./stage-cost.ts";
import type { EngineCosts, StageCounts } from "./types.ts";

/** A stage is probed for so much processor time, and for at least `FEWEST` steps, of which the first warms up; two more where programs are compiled. */
const SECONDS = 3;
const FEWEST = 3;
const MOST = 12;
/** Evaluations of less work than this are made whole, others for one batch; in floating-point operations. */
const LONG_EVALUATION = 1e11;

/** A stage at one size: what the probe trains in the place of a stage of the recipe. */
interface Probed extends RecipeStage {
  /** In the recipe. */
  index: number;
  rows: number;
  sizes: ProbeSizes;
  /** Smaller than the stage: its rewards say nothing of the run's. */
  reduced: boolean;
  /** Prompts of an evaluation, and of the probe's. */
  evaluation: { prompts: number; probed: number };
}

/**
 * Runs in a process of its own, so that its peak is the run's.
 * @param directory new; it holds a run afterwards
 * @param longStep steps of more operations are probed at smaller sizes
 */
export async function probe(
  stages: readonly RecipeStage[],
  directory: string,
  longStep = LONG_STEP,
): Promise<EngineCosts> {
  const began = performance.now();
  const model = await parts.openRecipeModel(stages[0]!.recipe, () => {});
  const config = parseModelConfig(model.config, model.source);
  model.weights.close();
  const probed: Probed[] = [];
  for (const [index, stage] of stages.entries()) {
    const sizes = stageSizes(stage.recipe, parameterCount(config), longStep);
    const positions = stage.recipe.model.max_positions ?? config.maxPositions;
    const prompts = await evaluationPrompts(stage.recipe, { tokenizer: model.tokenizer, positions });
    for (const rows of sizes.rows) {
      probed.push(shortened(stage, index, rows, sizes, prompts, parameterCount(config)));
    }
  }

  const meter = createTensorMeter();
  const seen: { counts: StageCounts; peaks: Peaks }[] = [];
  let stageBegan = process.cpuUsage();
  let compiles = false;
  try {
    await train({
      stages: probed,
      resume: null,
      runDir: directory,
      progress: silent,
      command: [],
      now: new Date(0),
      steering: {
        passesAlarms: true,
        watch(policy) {
          const counts = countStage(policy, config, probed[seen.length]!.recipe);
          seen.push({ counts, peaks: meter.take() });
          stageBegan = process.cpuUsage();
          compiles = policy.compilation() !== null;
          return meter.watch(policy);
        },
        everyRow: (index) => probed[index]!.reduced,
        endStage(index, stepsDone) {
          const { sizes, recipe } = probed[index]!;
          const fewest = (sizes.rows.length > 1 ? 2 : FEWEST) + (compiles ? 2 : 0);
          const { user, system } = process.cpuUsage(stageBegan);
          const enough = user + system >= 1e6 * SECONDS && stepsDone >= fewest;
          return enough || stepsDone >= Math.min(MOST, recipe.steps);
        },
        stageEnds: () => {
          seen.at(-1)!.peaks = meter.take();
        },
      },
    });
  } finally {
    meter.dispose();
  }

  const usage = readUsage(directory)!;
  const checkpoints = checkpointSteps(directory).map((step) => checkpointBytes(directory, step));
  const observations = probed.map((stage, i): Observation & { index: number } => ({
    index: stage.index,
    rows: stage.rows,
    maxNewTokens: stage.sizes.maxNewTokens,
    everyRow: stage.reduced,
    evaluation: stage.evaluation,
    usage: usage.stages[i]!,
    checkpoint: checkpoints[i]!,
    ...seen[i]!,
  }));
  const steps = usage.stages.reduce((sum, stage) => sum + stage.steps, 0);
  const logs = (names: readonly string[]) =>
    names.reduce((sum, name) => sum + bytesOf(join(directory, name)), 0);
  const backend = readProvenance(directory)!.backend as Record<string, string>;
  return {
    engine: String(backend["kind"]),
    description: `${backend["description"]}; ${backend["device"]}`,
    basis: "measured",
    startup_s: usage.startup_s,
    processors: usage.cpu_s / usage.total_s,
    peak_bytes: usage.peak_rss_bytes,
    available_bytes: availableMemory(),
    stages: stages.map((stage, index) =>
      stageCost(
        stage,
        config,
        observations.filter((one) => one.index === index),
      ),
    ),
    step_log_bytes: logs(["metrics.csv", "samples.jsonl", "prompts.csv"]) / steps,
    evaluation_log_bytes: evaluationLogs(directory, observations),
    fixed_log_bytes: logs(["recipe.yaml", "provenance.json"]),
    how: describe(stages, probed, usage.stages),
    seconds: (performance.now() - began) / 1000,
  };
}

const silent: Progress = { start() {}, step() {}, note() {}, stop() {} };

/** Bytes that this process may still take. */
function availableMemory(): number {
  // beyond what the probe itself has taken
  return freemem() + process.memoryUsage.rss();
}

function stageSizes({ algorithm, rollout }: Recipe, parameters: number, longStep: number): ProbeSizes {
  const { samples, batch } = algorithmOf(algorithm);
  const { units, rowsPerUnit, rowLength } = batch(algorithm, rollout);
  const newTokens = samples ? rollout.max_new_tokens : null;
  return probeSizes(parameters, units, rowsPerUnit * (newTokens ?? rowLength ?? 256), newTokens, longStep);
}

/** The stage's first steps only, one batch of its evaluation, and a checkpoint at its end. */
function shortened(
  stage: RecipeStage,
  index: number,
  rows: number,
  sizes: ProbeSizes,
  prompts: number,
  parameters: number,
): Probed {
  const { recipe } = stage;
  const { algorithm, rollout, eval: evaluation } = recipe;
  const { samples: sampled, measuring } = algorithmOf(algorithm);
  const reduced = sizes.rows.length > 1 || (sampled && sizes.maxNewTokens < rollout.max_new_tokens);
  const { samples, batch_rows } = evaluation ?? { samples: 1, batch_rows: 1 };
  const tokens = evaluation?.max_new_tokens ?? rollout.max_new_tokens;
  const long = 2 * parameters * tokens * prompts * samples > LONG_EVALUATION;
  const probed = Math.min(prompts, reduced ? 2 : long ? Math.ceil(batch_rows / samples) : prompts);
  const limit = sampled ? sizes.maxNewTokens : rollout.max_new_tokens;
  return {
    ...stage,
    // usage.json adds up what has the same name
    name: sizes.rows.length > 1 ? `${stage.name} of ${rows}` : stage.name,
    until: undefined,
    index,
    rows,
    sizes,
    reduced: sampled && reduced,
    evaluation: { prompts, probed },
    recipe: {
      ...recipe,
      algorithm: measuring.withUnits(algorithm, rows),
      rollout: {
        ...rollout,
        max_new_tokens: limit,
        prompts_per_step: sampled ? rows : rollout.prompts_per_step,
      },
      eval: evaluation && { ...evaluation, every: 0, ...(probed === 0 ? {} : { limit: probed }) },
      run: { ...recipe.run, checkpoint_every: Number.MAX_SAFE_INTEGER, keep_last: 1000 },
    },
  };
}

/** What stays in memory all the time, from shapes. */
function countStage(policy: TrainablePolicy, config: DecoderConfig, recipe: Recipe): StageCounts {
  const { algorithm, model } = recipe;
  const trainable = [...policy.trainable.values()].reduce((sum, { size }) => sum + size, 0);
  const adapters = model.lora === undefined ? 0 : trainable;
  // reference.ts: adapters switched off are the reference of LoRA
  const { usesReference, critic: hasCritic } = algorithmOf(algorithm);
  const reference = usesReference(algorithm) && model.lora === undefined ? trainable : 0;
  const head = policy.trainable.get(headWeight(config))?.size ?? 0;
  const critic = hasCritic ? trainable - head + config.hiddenSize : 0;
  return {
    parameters: policy.parameterCount,
    trainable,
    frozen: model.lora === undefined ? 0 : policy.parameterCount,
    weights: policy.weightBytes + 4 * adapters,
    gradients: 4 * trainable,
    moments: 8 * trainable,
    reference: 4 * reference,
    critic: 12 * critic,
  };
}

/** A checkpoint's bytes, and without the merged model that only LoRA's last one holds. */
function checkpointBytes(runDir: string, step: number): { last: number; inner: number } {
  const directory = checkpointDirectory(runDir, step);
  const last = bytesOf(directory);
  const adapter = existsSync(join(directory, "adapter"));
  return { last, inner: adapter ? last - bytesOf(join(directory, "model")) : last };
}

/** Bytes that one whole evaluation writes. */
function evaluationLogs(directory: string, observations: readonly Observation[]): number {
  const written = observations.reduce(
    (sum, { usage, evaluation }) => sum + usage.evaluations * evaluation.probed,
    0,
  );
  const count = observations.reduce((sum, { usage }) => sum + usage.evaluations, 0);
  if (count === 0 || written === 0) return 0;
  const prompts = Math.max(...observations.map(({ evaluation }) => evaluation.prompts));
  const perPrompt = bytesOf(join(directory, "eval-prompts.csv")) / written;
  return bytesOf(join(directory, "eval.csv")) / count + perPrompt * prompts;
}

function describe(
  stages: readonly RecipeStage[],
  probed: readonly Probed[],
  usage: readonly StageUsage[],
): string {
  return probed
    .map(({ index, rows, sizes, recipe: { algorithm, rollout } }, i) => {
      const { steps } = usage[i]!;
      const { samples, batch } = algorithmOf(algorithm);
      const { unit, rowsPerUnit } = batch(algorithm, rollout);
      const kind = samples ? `${unit} x ${rowsPerUnit}` : unit;
      const small = sizes.rows.length > 1 ? "; scaled from smaller steps" : "";
      const limit = !samples ? "" : ` of up to ${rollout.max_new_tokens} tokens`;
      return `${stages[index]!.name}: ${steps} steps of ${rows} ${kind}${limit}${small}`;
    })
    .join("; ");
}
