/** What a probe saw of a stage, taken to the config's own sizes. Pure. */
import { rowsOf, rowsOfUpdate } from "../algorithms/declaration.ts";
import { algorithmOf } from "../algorithms/kinds.ts";
import { batchShape } from "../algorithms/token-batch.ts";
import type { RecipeStage } from "../config/load.ts";
import { cacheBytes } from "../policy/cache-size.ts";
import type { DecoderConfig } from "../policy/interfaces.ts";
import type { StageUsage } from "../run/usage.ts";
import type { PassShape, Peaks } from "./meter.ts";
import { mostLiveGroups, passWeight, secondsAt } from "./scale.ts";
import type { StageCost, StageCounts, UpdateCost } from "./types.ts";

export interface Observation {
  rows: number;
  /** Token limit of its completions. */
  maxNewTokens: number;
  /** All completions took part in its updates, whether they could move the weights or not. */
  everyRow: boolean;
  evaluation: { prompts: number; probed: number };
  usage: StageUsage;
  checkpoint: { last: number; inner: number };
  counts: StageCounts;
  peaks: Peaks;
}

/** @param observations of one stage, the smaller size first */
export function stageCost(
  { name, recipe }: RecipeStage,
  config: DecoderConfig,
  observations: readonly Observation[],
): StageCost {
  const { algorithm, rollout, eval: evaluation } = recipe;
  const beginning = observations[0]!.usage;
  const { usage, counts, peaks, checkpoint, maxNewTokens, evaluation: seen } = observations.at(-1)!;
  const declared = algorithmOf(algorithm);
  const batch = declared.batch(algorithm, rollout);
  const sampled = declared.samples;
  const rows = batch.units;
  const stretch = sampled ? rollout.max_new_tokens / maxNewTokens : 1;
  const at = (seconds: (one: Observation) => number) =>
    secondsAt(
      observations.map((one) => ({ rows: one.rows, seconds: seconds(one) })),
      rows,
      stretch,
    );
  const update = updateCost(recipe, observations, at);
  const step_s = at((one) => steadyStep(one.usage) - steadyUpdate(one.usage)) + update.live * update.all_s;
  const evaluationLimit = evaluation?.max_new_tokens ?? rollout.max_new_tokens;

  // the largest passes that the config allows
  const completions = rowsOf(batch);
  const updateRows = Math.min(algorithm.micro_batch_rows ?? Number.POSITIVE_INFINITY, rowsOfUpdate(batch));
  const { longestPrompt } = peaks;
  const largestUpdate: PassShape = sampled
    ? updateShape(updateRows, rollout.group_size, longestPrompt, rollout.max_new_tokens)
    : { rows: updateRows, length: batch.rowLength ?? peaks.update?.length ?? 0 };
  const largestGeneration: PassShape = {
    rows: Math.max(
      sampled ? Math.min(completions, rollout.batch_rows ?? completions) : 0,
      evaluation === undefined ? 0 : Math.min(evaluation.batch_rows, seen.prompts * evaluation.samples),
    ),
    length:
      longestPrompt + Math.max(sampled ? rollout.max_new_tokens : 0, seen.prompts > 0 ? evaluationLimit : 0),
  };
  const live = liveRows(recipe, observations.at(-1)!, updateRows);
  const expectedRows = Math.min(updateRows, Math.max(completionsOf(peaks.update), live));
  const completion = Math.min(peaks.longestCompletion, rollout.max_new_tokens);
  const expectedUpdate: PassShape = sampled
    ? updateShape(expectedRows, rollout.group_size, longestPrompt, completion)
    : { ...largestUpdate, rows: updateRows };
  const stays = counts.weights + counts.moments + counts.reference + counts.critic;
  const { compiled } = peaks;
  const activations = Math.max(
    0,
    (compiled === null ? (peaks.update?.bytes ?? 0) - stays : compiled.update) - counts.gradients,
  );
  const grown = (shape: PassShape) =>
    peaks.update === null
      ? activations
      : activations * Math.max(1, passWeight(config, shape) / passWeight(config, peaks.update));
  const generation =
    compiled === null ? Math.max(0, (peaks.generation?.bytes ?? 0) - stays) : compiled.generation;
  const cacheGrowth =
    peaks.generation === null
      ? 0
      : cacheBytes(config, largestGeneration) - cacheBytes(config, peaks.generation);
  return {
    stage: name,
    basis: compiled === null ? "measured" : "compiled",
    counts,
    activations: {
      seen: activations,
      bytes: grown(expectedUpdate),
      limit: grown(largestUpdate),
      note: peaks.update === null || activations === 0 ? "" : shapeWords(expectedUpdate),
    },
    generation: {
      seen: generation,
      bytes: generation,
      limit: generation + Math.max(0, cacheGrowth),
      note: peaks.generation === null ? "" : shapeWords(peaks.generation),
    },
    step_s,
    update,
    compile_s:
      observations.reduce((sum, one) => sum + one.usage.compile_s, 0) +
      compilesLater(update, recipe.steps, peaks),
    first_step_s:
      step_s + Math.max(0, beginning.first_step_s - beginning.first_steps * steadyStep(beginning)),
    evaluation_s:
      usage.evaluations === 0 || seen.probed === 0
        ? 0
        : (usage.evaluation_s / usage.evaluations) * (seen.prompts / seen.probed) * stretch,
    checkpoint_s: usage.checkpoints === 0 ? 0 : usage.checkpoint_s / usage.checkpoints,
    checkpoint_bytes: checkpoint.inner,
    last_checkpoint_bytes: checkpoint.last,
  };
}

/** An update of this many completions, of whole groups but for the last. */
function updateShape(rows: number, groupSize: number, prompt: number, completion: number): PassShape {
  const prompts = Array.from({ length: Math.ceil(rows / groupSize) }, () => ({ length: prompt }));
  return batchShape(
    Array.from({ length: rows }, (_, i) => ({
      prompt: prompts[Math.floor(i / groupSize)]!,
      completion: { length: completion },
    })),
  );
}

function completionsOf(shape: PassShape | null): number {
  return shape === null ? 0 : shape.rows * (shape.shared?.completions ?? 1);
}

/** Rows of the largest update of the stage, were groups as often without a difference as in the probe. */
function liveRows(
  recipe: RecipeStage["recipe"],
  { rows, usage, peaks, everyRow }: Observation,
  updateRows: number,
): number {
  const { algorithm, rollout, steps } = recipe;
  const { samples, batch } = algorithmOf(algorithm);
  if (!samples || everyRow) return updateRows;
  const { units, rowsPerUnit, passes, minibatches } = batch(algorithm, rollout);
  const all = usage.steps * passes * rows * rowsPerUnit;
  const groups = mostLiveGroups(units, peaks.updateRows / all, steps);
  return Math.min(updateRows, Math.ceil((groups * rowsPerUnit) / minibatches));
}

function updateCost(
  recipe: RecipeStage["recipe"],
  observations: readonly Observation[],
  at: (seconds: (one: Observation) => number) => number,
): UpdateCost {
  const all_s = at(({ usage, everyRow }) => {
    const live = everyRow ? 1 : steadyLive(usage);
    return live === 0 ? 0 : steadyUpdate(usage) / live;
  });
  const { algorithm } = recipe;
  if (!algorithmOf(algorithm).measuring.leavesOut(algorithm)) return { all_s, live: 1, basis: "algorithm" };
  const { usage, everyRow } = observations.at(-1)!;
  return everyRow
    ? { all_s, live: 1, basis: "assumed" }
    : { all_s, live: usage.live / usage.steps, basis: "probe" };
}

/** Sizes of an update that a compiled backend pads to, each half of the one before; and lengths of its rows. */
const SIZES = 5;
const LENGTHS = 2;

/**
 * Seconds of compiling that a run has before it and the probe has not seen: fewer or more completions in updates, and
 * shorter or longer ones, are new programs (token-batch.ts). The quickstart's 100 steps meet 10 shapes.
 */
function compilesLater(update: UpdateCost, steps: number, { compiled }: Peaks): number {
  if (compiled === null) return 0;
  const expected = Math.min(steps, update.basis === "algorithm" ? LENGTHS : SIZES * LENGTHS);
  return Math.max(0, expected - compiled.updates) * compiled.update_s;
}

/** Seconds of an update, mean of the steps that neither begin nor compile. */
function steadyUpdate({ steps, first_steps, update_s, first_update_s }: StageUsage): number {
  return steps > first_steps ? (update_s - first_update_s) / (steps - first_steps) : update_s / steps;
}

/** Share of completions in it. */
function steadyLive({ steps, first_steps, live, first_live }: StageUsage): number {
  return steps > first_steps ? (live - first_live) / (steps - first_steps) : live / steps;
}

/** Mean of the steps that neither begin nor compile. */
export function steadyStep({ steps, first_steps, steps_s, first_step_s }: StageUsage): number {
  return steps > first_steps ? (steps_s - first_step_s) / (steps - first_steps) : steps_s / steps;
}

function shapeWords({ rows, length, shared }: PassShape): string {
  if (shared) {
    const { promptLength, completions, completionLength } = shared;
    return `${rows} x (${promptLength} + ${completions} x ${completionLength}) tokens`;
  }
  return `${rows} rows x ${length} tokens`;
}
