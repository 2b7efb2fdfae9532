/** One stage of a training run: its parts put together, run, and its checkpoints written. */

import { relative } from "node:path";
import type { Tensor } from "@tensorflow/tfjs";
import type { Evaluation } from "../algorithms/evaluate.ts";
import { type GrpoStage, trainGrpo } from "../algorithms/grpo.ts";
import { type PpoController, type PpoStage, trainPpo } from "../algorithms/ppo.ts";
import { type SftStage, trainSft } from "../algorithms/sft.ts";
import type { Stage, StageResult } from "../algorithms/stage.ts";
import type { RecipeStage } from "../config/load.ts";
import type { Recipe } from "../config/schema.ts";
import { CheckpointError, InterruptedError } from "../lib/errors.ts";
import { type AdamW, createAdamW } from "../optim/adamw.ts";
import { type Critic, createCritic } from "../policy/critic.ts";
import type { ModelFiles, TrainablePolicy } from "../policy/interfaces.ts";
import { type AlarmHistory, newAlarmHistory, nextStageHistory } from "../run/alarms.ts";
import { pruneCheckpoints, writeCheckpoint } from "../run/checkpoint.ts";
import type { Progress } from "../run/progress.ts";
import type { OpenRun } from "../run/run-directory.ts";
import type { UsageMeter } from "../run/usage.ts";
import * as parts from "./assemble.ts";
import {
  CRITIC_TENSORS,
  checkpointFiles,
  freezeReference,
  hasCritic,
  restore,
  STATE_TENSORS,
  type TrainingState,
} from "./checkpoint-contents.ts";
import { openStageSource } from "./stage-data.ts";

/** For callers that want a part of a run, or to look into it: plans and replays. */
export interface Steering {
  /** The run ends behind this step with a checkpoint, counted from the run's beginning. */
  stopAt?: number;
  /** True ends a stage behind `stepsDone` of its steps, as its `until` would. */
  endStage?(stage: number, stepsDone: number): boolean;
  /** True: all completions of the stage take part in its updates. */
  everyRow?(stage: number): boolean;
  /** A stage is over; before its checkpoint is written. */
  stageEnds?(): void;
  /** What is trained in the place of the run's policy: the same, watched. */
  watch?(policy: TrainablePolicy): TrainablePolicy;
  /** Before each optimizer step of the policy: summed over micro-batches, not clipped yet. Borrowed. */
  gradients?(gradients: ReadonlyMap<string, Tensor>): void;
}

/** What all stages of a run share. */
export interface Session {
  /** Of the recipe, in order. */
  stages: readonly RecipeStage[];
  progress: Progress;
  steering: Steering;
  files: ModelFiles;
  policy: TrainablePolicy;
  run: OpenRun;
  usage: UsageMeter;
  clock: () => number;
  interrupted: () => Promise<boolean>;
  /** Made by the first stage of PPO, and kept by the stages behind it. */
  critic: Critic | null;
  /** Of the stage that runs or ran last; null where run.alarms is off. */
  alarms: { history: AlarmHistory } | null;
  first: Evaluation["metrics"] | null;
  last: Evaluation["metrics"] | null;
  newest: string | null;
}

/** One stage, from its beginning or from a checkpoint inside it. @returns steps it has done in all */
export async function runStage(
  session: Session,
  index: number,
  offset: number,
  resumed: TrainingState | null,
): Promise<number> {
  const { stages, files, policy, run, progress, steering, usage } = session;
  const { name, recipe, until } = stages[index]!;
  const last = index === stages.length - 1;
  const over = resumed !== null && (resumed.ended || resumed.stepsDone >= recipe.steps);
  if (over && last) {
    throw new CheckpointError(
      `${run.directory} has done its ${resumed.stepsDone} steps; to go on, resume it with a larger --steps.`,
    );
  }
  const optimizer = observed(createAdamW(policy.trainable, recipe.optimizer), steering);
  const score = await parts.assembleScorer(recipe);
  let criticOptimizer: AdamW | null = null;
  try {
    if (resumed !== null) {
      restore(run.from!, STATE_TENSORS, policy, over ? null : { optimizer, steps: resumed.optimizerSteps });
    }
    if (recipe.algorithm.kind === "ppo" || (resumed !== null && hasCritic(run.from!))) {
      session.critic ??= createCritic(policy);
    }
    const critic = session.critic;
    if (critic !== null && recipe.algorithm.kind === "ppo") {
      criticOptimizer = createAdamW(critic.trainable, recipe.optimizer);
    }
    if (critic !== null && resumed !== null) {
      const steps = resumed.criticOptimizerSteps ?? 0;
      const moments = criticOptimizer === null || over ? null : { optimizer: criticOptimizer, steps };
      restore(run.from!, CRITIC_TENSORS, critic, moments);
    }
    if (over) return resumed.stepsDone;
    const usesReference = "kl" in recipe.algorithm && recipe.algorithm.kl.coef > 0;
    if (usesReference) freezeReference(policy, resumed === null ? null : run.from!);
    else policy.dropReference();
    const positions = recipe.model.max_positions ?? policy.config.maxPositions;
    const openData = (part: "train" | "eval") =>
      openStageSource(recipe, part, files.tokenizer, positions, progress.note);
    const trainSource = await openData("train");
    const evalSource = recipe.data.eval === undefined ? null : await openData("eval");
    const watched = resumed?.watched ?? [];
    if (resumed === null && session.alarms !== null) {
      const comparable = evaluatesAlike(stages[index - 1]?.recipe, recipe);
      const { history } = session.alarms;
      session.alarms = { history: comparable ? nextStageHistory(history) : newAlarmHistory() };
    }
    const controller: PpoController = resumed?.controller ?? {
      klCoefficient: recipe.algorithm.kind === "ppo" ? recipe.algorithm.kl.coef : 0,
    };

    const save = async (stepsDone: number, ended: boolean, evaluation: Evaluation | null): Promise<void> => {
      if (ended) steering.stageEnds?.();
      run.logs.sync();
      await policy.prepareExport();
      await optimizer.prepareExport();
      const learners = { policy, optimizer, critic, criticOptimizer };
      const written = await writeCheckpoint(run.directory, offset + stepsDone, {
        files: checkpointFiles(learners, files, { isEnd: ended && last, usesReference }),
        state: {
          stage: index,
          offset,
          stepsDone,
          ended: ended && stepsDone < recipe.steps,
          optimizerSteps: optimizer.steps,
          watched,
          ...(session.alarms === null ? {} : { alarms: session.alarms.history }),
          ...(criticOptimizer === null ? {} : { controller, criticOptimizerSteps: criticOptimizer.steps }),
          first: session.first,
        } satisfies TrainingState,
        ...(evaluation === null ? {} : { metrics: evaluation.metrics }),
        logs: run.logs.counts(),
      });
      session.newest = written.directory;
      const { keep_last: keepLast, keep_every: keepEvery, keep_best: best } = recipe.run;
      await pruneCheckpoints(run.directory, { keepLast, keepEvery, best });
    };
    const trained = steering.watch?.(policy) ?? policy;
    const stopAt = steering.stopAt ?? Number.POSITIVE_INFINITY;
    let stepsSoFar = resumed?.stepsDone ?? 0;
    usage.stage(name);
    const stage: Stage = {
      name,
      seed: recipe.seed,
      steps: recipe.steps,
      offset,
      stepsDone: resumed?.stepsDone ?? 0,
      policy: trained,
      tokenizer: files.tokenizer,
      train: trainSource,
      score,
      evaluate:
        evalSource === null || recipe.eval === undefined
          ? null
          : () =>
              usage.evaluation(async () => {
                const used = { policy: trained, files, source: evalSource, score };
                const evaluation = await parts.runEvaluation(recipe, recipe.eval!, used);
                session.first ??= evaluation.metrics;
                session.last = evaluation.metrics;
                return evaluation;
              }),
      evalEvery: recipe.eval?.every ?? 0,
      evaluateFirst: index === 0,
      until: until ?? null,
      watched,
      alarms: session.alarms,
      optimizer,
      logs: {
        ...run.logs,
        metrics: (step, values) => {
          run.logs.metrics(step, values);
          stepsSoFar = step - offset;
          usage.step(
            Number(values["time/step_s"]),
            values["time/update_s"] === undefined
              ? undefined
              : { seconds: Number(values["time/update_s"]), live: Number(values["optim/live"] ?? 1) },
          );
        },
      },
      progress,
      checkpointEvery: recipe.run.checkpoint_every,
      checkpoint: async (stepsDone, ended, evaluation) => {
        await usage.checkpoint(() => save(stepsDone, ended, evaluation));
        usage.write();
      },
      ...(steering.endStage === undefined
        ? {}
        : { endsEarly: (stepsDone) => steering.endStage!(index, stepsDone) }),
      everyRow: steering.everyRow?.(index) ?? false,
      interrupted: async () => (await session.interrupted()) || offset + stepsSoFar >= stopAt,
      clock: session.clock,
    };
    const { outcome, stepsDone } = await runAlgorithm(
      recipe,
      stage,
      trained,
      critic === null || criticOptimizer === null ? null : { critic, criticOptimizer, controller },
    );
    if (outcome === "interrupted" && offset + stepsDone < stopAt) {
      throw new InterruptedError(
        `stopped after a checkpoint: ${session.newest}\ngo on with: rlpt train --resume ${quote(relative("", run.directory))}`,
      );
    }
    return stepsDone;
  } finally {
    optimizer.dispose();
    criticOptimizer?.dispose();
    await score.close();
  }
}

/** Shows the gradients of each step before it is made. */
function observed(optimizer: AdamW, { gradients: show }: Steering): AdamW {
  if (show === undefined) return optimizer;
  return Object.create(optimizer, {
    step: {
      value: (gradients: ReadonlyMap<string, Tensor>, learningRate: number) => {
        show(gradients);
        return optimizer.step(gradients, learningRate);
      },
    },
  }) as AdamW;
}

/** Runs the stage's algorithm. @param actorCritic for PPO only */
export function runAlgorithm(
  recipe: Recipe,
  stage: Stage,
  policy: TrainablePolicy,
  actorCritic: Pick<PpoStage, "critic" | "criticOptimizer" | "controller"> | null,
): Promise<StageResult> {
  const { algorithm } = recipe;
  const sampling = {
    ...stage,
    rollout: recipe.rollout,
    optimizerOptions: recipe.optimizer,
    maxPromptTokens: parts.longestPrompt(recipe, policy),
    samplesEvery: recipe.run.samples_every,
    samplesPrompts: recipe.run.samples_prompts,
    partNames: recipe.rewards.map((part) => part.name ?? part.kind),
    shaping: recipe.shaping,
  };
  switch (algorithm.kind) {
    case "grpo":
      return trainGrpo({ ...sampling, grpo: algorithm } satisfies GrpoStage);
    case "ppo":
      if (actorCritic === null) throw new Error("PPO without a critic");
      return trainPpo({ ...sampling, ...actorCritic, ppo: algorithm } satisfies PpoStage);
    case "sft":
      return trainSft({
        ...stage,
        sft: algorithm,
        optimizerOptions: recipe.optimizer,
        maxPromptTokens: recipe.model.max_positions ?? policy.config.maxPositions,
      } satisfies SftStage);
    default: {
      const unreachable: never = algorithm;
      throw new Error(`unknown algorithm ${JSON.stringify(unreachable)}`);
    }
  }
}

/** Can a stage's evaluations be compared with those of the stage before? */
function evaluatesAlike(before: Recipe | undefined, { data, eval: evaluation }: Recipe): boolean {
  if (before === undefined) return false;
  const key = (of: Pick<Recipe, "data" | "eval">) =>
    JSON.stringify([of.data.eval, { ...of.eval, every: null }]);
  return key(before) === key({ data, eval: evaluation });
}

function quote(path: string): string {
  return /^[\w./:@%+=-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
