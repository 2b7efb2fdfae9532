/** From what an engine says of a step to what a run takes. Pure. */
import type { RecipeStage } from "../config/load.ts";
import type { EngineCosts, MemoryPart, Plan, StageCost, StagePlan } from "./types.ts";

/** tfjs's WebAssembly heap ends here, whatever the machine has. */
export const WASM_HEAP = 4_294_901_760;

/**
 * A process grows over a long run beyond its largest step: heaps that are not compacted, rows kept for logs and
 * alarms. Reached after `GROWN` steps; docs/benchmarks.md says what was seen.
 */
const GROWTH = 0.05;
const GROWN = 100;

/** @param freeDisk bytes where runs go */
export function estimate(
  config: string,
  stages: readonly RecipeStage[],
  costs: EngineCosts,
  freeDisk: number,
): Plan {
  const planned = stages.map((stage, index) => planStage(stage, index, costs.stages[index]!));
  // stages take turns in one process; what the process has besides tensors was there at the probe's peak
  const tensors = (size: "seen" | "bytes" | "limit") =>
    Math.max(...costs.stages.map((cost) => held(cost, size)));
  const heaviest = costs.stages.find((cost) => held(cost, "bytes") === tensors("bytes"))!;
  const steps = planned.reduce((sum, stage) => sum + stage.steps, 0);
  const grown = 1 + GROWTH * Math.min(1, steps / GROWN);
  const peak = grown * (costs.peak_bytes + tensors("bytes") - tensors("seen"));
  const limit = grown * (costs.peak_bytes + tensors("limit") - tensors("seen"));
  const room = costs.engine === "wasm" ? WASM_HEAP : Number.POSITIVE_INFINITY;
  const fits = (bytes: number, tensorBytes: number) => bytes <= costs.available_bytes && tensorBytes <= room;
  const { counts } = heaviest;
  const total = costs.startup_s + planned.reduce((sum, { total_s }) => sum + total_s, 0);
  const withLive = (live: number) =>
    total +
    planned.reduce(
      (sum, { steps, update }) =>
        sum + (update.basis === "algorithm" ? 0 : steps * (live - update.live) * update.all_s),
      0,
    );
  return {
    version: 1,
    config,
    engine: costs.engine,
    description: costs.description,
    basis: costs.basis,
    parameters: {
      total: counts.parameters,
      trainable: counts.trainable,
      frozen: counts.frozen,
    },
    memory: {
      parts: memoryParts(heaviest, peak),
      peak_bytes: peak,
      limit_bytes: limit,
      available_bytes: costs.available_bytes,
      fits: fits(limit, tensors("limit")) ? "yes" : fits(peak, tensors("bytes")) ? "below its limits" : "no",
    },
    startup_s: costs.startup_s,
    stages: planned,
    total_s: total,
    range_s: { low: withLive(0), high: withLive(1) },
    cpu_s: total * costs.processors,
    disk: planDisk(stages, planned, costs, freeDisk),
    how: costs.how,
    probe_s: costs.seconds,
  };
}

/** A stage's times from those of a step, an evaluation and a checkpoint. */
export function planStage(
  { name, recipe, until }: RecipeStage,
  index: number,
  cost: Pick<StageCost, "step_s" | "first_step_s" | "update" | "compile_s" | "evaluation_s" | "checkpoint_s">,
): StagePlan {
  const { steps, run, eval: evaluation, data, algorithm } = recipe;
  const evaluates = data.eval !== undefined && evaluation !== undefined;
  const evaluations = evaluates ? times(steps, evaluation.every) + (index === 0 ? 1 : 0) : 0;
  const checkpoints = times(steps, run.checkpoint_every);
  const evaluation_s = evaluations * cost.evaluation_s;
  const checkpoint_s = checkpoints * cost.checkpoint_s;
  const steps_s = cost.first_step_s + (steps - 1) * cost.step_s;
  const { update } = cost;
  return {
    stage: name,
    algorithm: algorithm.kind,
    steps,
    step_s: cost.step_s,
    first_step_s: cost.first_step_s,
    steps_s,
    first_steps: 1,
    first_update_s: update.live * update.all_s,
    update_s: steps * update.live * update.all_s,
    first_live: update.live,
    live: steps * update.live,
    update,
    evaluations,
    evaluation_s,
    checkpoints,
    checkpoint_s,
    compile_s: cost.compile_s,
    total_s: steps_s + evaluation_s + checkpoint_s + cost.compile_s,
    until: until !== undefined,
  };
}

/** How often something happens that is done every so many steps and at the end. @param every 0: only then */
function times(steps: number, every: number): number {
  return every === 0 ? 1 : Math.ceil(steps / every);
}

function stays({ counts }: StageCost): number {
  return counts.weights + counts.moments + counts.reference + counts.critic;
}

/** Tensors at the peak: generation and updates take turns. */
function held(cost: StageCost, size: "seen" | "bytes" | "limit"): number {
  const { counts, activations, generation } = cost;
  return stays(cost) + Math.max(counts.gradients + activations[size], generation[size]);
}

function memoryParts(cost: StageCost, peak: number): MemoryPart[] {
  const { counts, activations, generation, basis } = cost;
  const fixed = (name: MemoryPart["name"], bytes: number, note = ""): MemoryPart[] =>
    bytes === 0 ? [] : [{ name, bytes, basis: "shapes", note }];
  return [
    ...fixed(
      "weights",
      counts.weights,
      counts.weights < 4 * (counts.trainable + counts.frozen)
        ? "frozen ones held in less than float32"
        : "float32",
    ),
    ...fixed("optimizer moments", counts.moments),
    ...fixed("reference policy", counts.reference),
    ...fixed("critic", counts.critic, "weights, moments, gradients"),
    ...fixed("gradients", counts.gradients),
    { name: "activations", bytes: activations.bytes, basis, note: activations.note },
    ...(generation.bytes === 0
      ? []
      : [{ name: "generation" as const, bytes: generation.bytes, basis, note: generation.note }]),
    { name: "program", bytes: Math.max(0, peak - held(cost, "bytes")), basis, note: "" },
  ];
}

function planDisk(
  stages: readonly RecipeStage[],
  planned: readonly StagePlan[],
  costs: EngineCosts,
  free: number,
): Plan["disk"] {
  const { run, data } = stages[0]!.recipe;
  const written = planned.reduce((sum, { checkpoints }) => sum + checkpoints, 0);
  const best = run.keep_best !== null && data.eval !== undefined ? 1 : 0;
  const anchors = run.keep_every === undefined ? 0 : anchorSteps(planned, stages, run.keep_every);
  const kept = Math.min(written, run.keep_last + best + anchors);
  const last = costs.stages.at(-1)!;
  const steps = planned.reduce((sum, stage) => sum + stage.steps, 0);
  const evaluations = planned.reduce((sum, stage) => sum + stage.evaluations, 0);
  return {
    checkpoints: kept,
    checkpoints_bytes: (kept - 1) * last.checkpoint_bytes + last.last_checkpoint_bytes,
    rest_bytes:
      steps * costs.step_log_bytes + evaluations * costs.evaluation_log_bytes + costs.fixed_log_bytes,
    free_bytes: free,
  };
}

/** Checkpoints that stay because `run.keep_every` divides their step. */
function anchorSteps(planned: readonly StagePlan[], stages: readonly RecipeStage[], every: number): number {
  let offset = 0;
  let count = 0;
  for (const [i, { steps }] of planned.entries()) {
    const { checkpoint_every } = stages[i]!.recipe.run;
    for (let step = 1; step <= steps; step++) {
      const written = step % checkpoint_every === 0 || step === steps;
      if (written && (offset + step) % every === 0) count++;
    }
    offset += steps;
  }
  return count;
}
