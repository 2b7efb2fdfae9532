/** `rlpt train --smoke`: a step or two of each stage as it will be, and what that says of the run in full. */
import type { RecipeStage } from "../config/load.ts";
import type { StageUsage, Usage } from "../run/usage.ts";
import { planStage } from "./estimate.ts";
import { evaluationPrompts } from "./evaluation-prompts.ts";
import { steadyStep } from "./stage-cost.ts";

const STEPS = 2;
/** Prompts of its evaluations, at most. */
const PROMPTS = 32;

/**
 * The same stages, cut short. Steps keep their sizes, so that what does not fit into memory shows; evaluations are at the start
 * and at the end of each stage, of a few prompts. The run has a name of its own.
 */
export function smokeStages(stages: readonly RecipeStage[]): RecipeStage[] {
  return stages.map(({ name, recipe }) => {
    const { optimizer, run, eval: evaluation } = recipe;
    const steps = Math.min(STEPS, recipe.steps);
    return {
      name,
      until: undefined,
      recipe: {
        ...recipe,
        steps,
        optimizer: { ...optimizer, warmup_steps: Math.min(optimizer.warmup_steps, steps) },
        run: { ...run, name: `${run.name ?? "run"}-smoke` },
        ...(evaluation === undefined
          ? {}
          : { eval: { ...evaluation, every: 0, limit: Math.min(PROMPTS, evaluation.limit ?? PROMPTS) } }),
      },
    };
  });
}

export interface RunEstimate {
  /** Were a batch of an evaluation in full to take as long as the few prompts here, and were time to grow with its prompts. */
  low_s: number;
  high_s: number;
  /** What the seconds are made of. */
  steps: number;
  evaluations: number;
  /** A stage may end before its last step. */
  atMost: boolean;
}

/**
 * What the run in full takes at the pace of a smoke run.
 * @param stages in full
 * @param smoke the same, cut short
 * @returns null where a stage left no times
 */
export async function estimateFromSmoke(
  stages: readonly RecipeStage[],
  smoke: readonly RecipeStage[],
  usage: Usage,
): Promise<RunEstimate | null> {
  const total: RunEstimate = {
    low_s: usage.startup_s,
    high_s: usage.startup_s,
    steps: 0,
    evaluations: 0,
    atMost: false,
  };
  for (const [index, stage] of stages.entries()) {
    const seen = usage.stages.find((one) => one.stage === stage.name);
    if (seen === undefined || seen.steps === 0) return null;
    const prompts = await evaluationPrompts(stage.recipe);
    const short = Math.max(1, await evaluationPrompts(smoke[index]!.recipe));
    const { samples, batch_rows } = stage.recipe.eval ?? { samples: 1, batch_rows: 1 };
    const batches = (count: number) => Math.ceil((count * samples) / batch_rows);
    const planned = (grown: number) => planStage(stage, index, stageCost(seen, grown));
    const most = planned(prompts / short);
    total.low_s += planned(batches(prompts) / batches(short)).total_s;
    total.high_s += most.total_s;
    total.steps += most.steps;
    total.evaluations += most.evaluations;
    total.atMost ||= most.until;
  }
  return total;
}

/** Times of a stage's steps as they were; its memory is not looked at. @param grown evaluations in full have so many times the prompts */
function stageCost(usage: StageUsage, grown: number): Parameters<typeof planStage>[2] {
  const step_s = steadyStep(usage);
  const each = (seconds: number, count: number) => (count === 0 ? 0 : seconds / count);
  return {
    step_s,
    first_step_s: usage.steps_s - (usage.steps - 1) * step_s,
    update: { all_s: 0, live: 1, basis: "algorithm" },
    compile_s: usage.compile_s,
    evaluation_s: grown * each(usage.evaluation_s, usage.evaluations),
    checkpoint_s: each(usage.checkpoint_s, usage.checkpoints),
  };
}
