/** One stage of a training run: its parts put together, run, and its checkpoints written. */
import { relative } from "node:path";
import type { Tensor } from "@tensorflow/tfjs";
import type { Evaluation } from "../algorithms/evaluate.ts";
import { algorithmOf } from "../algorithms/kinds.ts";
import { saveMoments } from "../algorithms/learner-state.ts";
import type { LossProbe } from "../algorithms/loss-probe.ts";
import type { Slots } from "../algorithms/slots.ts";
import type { Stage, StageResult, StageSettings } from "../algorithms/stage.ts";
import type { RecipeStage } from "../config/load.ts";
import type { Recipe } from "../config/schema.ts";
import { AlarmError, CheckpointError, InterruptedError } from "../lib/errors.ts";
import { type AdamW, createAdamW } from "../optim/adamw.ts";
import type { ModelFiles, TrainablePolicy, Trainee } from "../policy/interfaces.ts";
import type { JudgeServices } from "../rewards/judge/ask.ts";
import { newAlarmHistory, nextStageHistory } from "../run/alarm-history.ts";
import { alarmNamed } from "../run/alarm-kinds.ts";
import { pruneCheckpoints, writeCheckpoint } from "../run/checkpoint.ts";
import type { Progress } from "../run/progress.ts";
import type { OpenRun } from "../run/run-directory.ts";
import type { UsageMeter } from "../run/usage.ts";
import * as parts from "./assemble.ts";
import { fitting, modelFiles, slotFiles, type TrainingState } from "./checkpoint-contents.ts";
import { openEpisodes } from "./episodes.ts";
import { openStageSource } from "./stage-data.ts";

/** For callers that want a part of a run, or to look into it: plans and replays. */
export interface Steering {
  /** The run ends after this step with a checkpoint, counted from the run's beginning. */
  stopAt?: number;
  /** `run.stop_on` ends nothing: what is made again went on after its alarms. */
  passesAlarms?: boolean;
  /** True ends a stage after `stepsDone` of its steps, as its `until` would. */
  endStage?(stage: number, stepsDone: number): boolean;
  /** True: all completions of the stage take part in its updates. */
  everyRow?(stage: number): boolean;
  /** A stage is over; before its checkpoint is written. */
  stageEnds?(): void;
  /** What is trained in the place of the run's policy: the same, watched. */
  watch?(policy: TrainablePolicy): TrainablePolicy;
  /** Before each optimizer step of the policy: summed over micro-batches, not clipped yet. Borrowed. */
  gradients?(gradients: ReadonlyMap<string, Tensor>): void;
  /** Told what other policy losses would make of each update. */
  probe?: LossProbe;
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
  judges: JudgeServices | null;
  clock: () => number;
  interrupted: () => Promise<boolean>;
  /** All that checkpoints save besides weights' exports. */
  slots: Slots;
  last: Evaluation["metrics"] | null;
  newest: string | null;
}

/** Metrics of the run's first evaluation: a resumed run still knows where it began. */
export function firstEvaluation(slots: Slots) {
  return slots.cell<Record<string, number> | null>("first_evaluation", null, "run");
}

/** One stage, from its beginning or from a checkpoint inside it. @returns steps it has done in all */
export async function runStage(
  session: Session,
  index: number,
  offset: number,
  resumed: TrainingState | null,
): Promise<number> {
  const { stages, files, policy, run, progress, steering, usage, slots } = session;
  const { name, recipe } = stages[index]!;
  const isLast = index === stages.length - 1;
  const over = resumed !== null && (resumed.ended || resumed.stepsDone >= recipe.steps);
  if (over && isLast) {
    throw new CheckpointError(
      `${run.directory} has done its ${resumed.stepsDone} steps; to go on, resume it with a larger --steps.`,
    );
  }
  if (over) {
    await slots.endStage();
    return resumed.stepsDone;
  }
  const optimizers: AdamW[] = [];
  const newOptimizer = (trainee: Trainee, slot: string): AdamW => {
    const made = createAdamW(trainee.trainable, recipe.optimizer);
    optimizers.push(made);
    saveMoments(slots, slot, trainee, made);
    return made;
  };
  const score = await parts.assembleScorer(recipe, session.judges);
  const episodes = await openEpisodes(recipe);
  try {
    const optimizer = fitting(run.from, () => {
      keepReference(session, recipe);
      return observed(newOptimizer(policy, "moments"), steering);
    });
    const train = await openData(session, recipe, "train");
    const trained = steering.watch?.(policy) ?? policy;
    const evaluate = await openEvaluation(session, recipe, trained, { score, episodes });
    const alarms = recipe.run.alarms ? slots.cell("alarms", newAlarmHistory(), "run") : null;
    if (alarms !== null && resumed === null) {
      const comparable = evaluatesAlike(stages[index - 1]?.recipe, recipe);
      alarms.value = comparable ? nextStageHistory(alarms.value) : newAlarmHistory();
    }
    const save = async (stepsDone: number, ended: boolean, evaluation: Evaluation | null): Promise<void> => {
      if (ended) steering.stageEnds?.();
      run.logs.sync();
      await policy.prepareExport();
      const { saved, files: tensors } = await slots.save();
      const written = await writeCheckpoint(run.directory, offset + stepsDone, {
        files: { ...slotFiles(tensors), ...modelFiles(policy, files, { isEnd: ended && isLast }) },
        state: {
          stage: index,
          offset,
          stepsDone,
          ended: ended && stepsDone < recipe.steps,
          slots: saved,
        } satisfies TrainingState,
        ...(evaluation === null ? {} : { metrics: evaluation.metrics }),
        logs: run.logs.counts(),
      });
      session.newest = written.directory;
      const { keep_last: keepLast, keep_every: keepEvery, keep_best: best } = recipe.run;
      await pruneCheckpoints(run.directory, { keepLast, keepEvery, best });
    };
    const stopAt = steering.stopAt ?? Number.POSITIVE_INFINITY;
    let stepsSoFar = resumed?.stepsDone ?? 0;
    usage.stage(name);
    const stage: Stage<Recipe["algorithm"]> = {
      settings: {
        ...stageSettings(stages[index]!, policy),
        offset,
        evaluateFirst: index === 0,
        everyRow: steering.everyRow?.(index) ?? false,
        ...(steering.passesAlarms === true ? { stopOn: [] } : {}),
      },
      services: {
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
        clock: session.clock,
        evaluate,
        checkpoint: async (stepsDone, ended, evaluation) => {
          await usage.checkpoint(() => save(stepsDone, ended, evaluation));
          usage.write();
        },
        newOptimizer: (trainee, slot) => fitting(run.from, () => newOptimizer(trainee, slot)),
        interrupted: async () => (await session.interrupted()) || offset + stepsSoFar >= stopAt,
        ...(steering.probe === undefined ? {} : { probe: steering.probe }),
        ...(steering.endStage === undefined
          ? {}
          : { endsEarly: (stepsDone) => steering.endStage!(index, stepsDone) }),
      },
      state: { stepsDone: resumed?.stepsDone ?? 0, slots, alarms },
      policy: trained,
      optimizer,
      tokenizer: files.tokenizer,
      train,
      score,
      episodes,
    };
    const { outcome, stepsDone, begun } = await runAlgorithm(stage);
    const resumable = `go on with: rlpt train --resume ${quote(relative("", run.directory))}`;
    if (outcome === "interrupted" && offset + stepsDone < stopAt) {
      throw new InterruptedError(`stopped after a checkpoint: ${session.newest}\n${resumable}`);
    }
    // an alarm with the run's last step stops nothing: it is done
    if (begun.length > 0 && !(outcome === "finished" && isLast)) {
      const said = begun.map(
        ({ name, message }) => `alarm ${name}: ${message}\n  ${alarmNamed(name).remedy}`,
      );
      throw new AlarmError(
        `step ${offset + stepsDone}: stopped by run.stop_on, after a checkpoint: ${session.newest}\n${said.join("\n")}\n` +
          `what the run did: rlpt why ${quote(relative("", run.directory))}\n${resumable}; an alarm stops it again only when it ends and begins anew`,
      );
    }
    await slots.endStage();
    return stepsDone;
  } finally {
    for (const one of optimizers) one.dispose();
    await score.close();
    await episodes?.host.close();
  }
}

/** The policy at the start of the stage becomes the reference; a resumed stage finds it in its checkpoint. */
function keepReference({ policy, slots }: Session, { algorithm }: Recipe): void {
  if (!algorithmOf(algorithm).usesReference(algorithm)) {
    policy.dropReference();
    return;
  }
  let restored = false;
  slots.tensors("reference", {
    save: () => policy.exportReference(),
    load({ names, read }) {
      policy.importReference(names.map(read));
      restored = true;
    },
  });
  if (!restored) policy.freezeReference();
}

function openData({ policy, files, progress }: Session, recipe: Recipe, part: "train" | "eval") {
  const positions = recipe.model.max_positions ?? policy.config.maxPositions;
  return openStageSource(recipe, part, files.tokenizer, positions, progress.note);
}

/** Evaluates the policy on the recipe's data; null where it has none. */
async function openEvaluation(
  session: Session,
  recipe: Recipe,
  policy: TrainablePolicy,
  { score, episodes }: Pick<Stage, "score" | "episodes">,
): Promise<Stage["services"]["evaluate"]> {
  const { files, usage, progress } = session;
  const { data, eval: options } = recipe;
  if (data.eval === undefined || options === undefined) return null;
  const source = await openData(session, recipe, "eval");
  const first = firstEvaluation(session.slots);
  return () =>
    usage.evaluation(async () => {
      const used = { policy, files, source, score, episodes: episodes ?? null };
      const evaluation = await parts.runEvaluation(recipe, options, used, progress);
      first.value ??= evaluation.metrics;
      session.last = evaluation.metrics;
      return evaluation;
    });
}

/** A stage's settings by its recipe alone. */
export function stageSettings(
  { name, recipe, until }: RecipeStage,
  policy: TrainablePolicy,
): Omit<StageSettings<Recipe["algorithm"]>, "offset" | "evaluateFirst" | "everyRow"> {
  const {
    algorithm,
    rollout,
    optimizer,
    sampler,
    shaping,
    rewards,
    run,
    eval: evaluation,
    environment,
  } = recipe;
  return {
    name,
    seed: recipe.seed,
    steps: recipe.steps,
    algorithm,
    rollout,
    optimizer,
    sampler,
    shaping,
    partNames: rewards.map((part) => part.name ?? part.kind),
    partWeights: rewards.map(({ weight }) => weight),
    credit: environment === undefined ? null : { kind: environment.credit, gamma: environment.gamma },
    environmentParts: rewards.flatMap((part) =>
      part.kind === "environment" ? [part.name ?? part.kind] : [],
    ),
    maxPromptTokens: algorithmOf(algorithm).samples
      ? parts.longestPrompt(recipe, policy)
      : (recipe.model.max_positions ?? policy.config.maxPositions),
    evalEvery: evaluation?.every ?? 0,
    until: until ?? null,
    checkpointEvery: run.checkpoint_every,
    stopOn: run.stop_on ?? [],
    samplesPrompts: run.samples_prompts,
    samplesEvery: run.samples_every,
  };
}

/** Runs the stage's algorithm. */
export async function runAlgorithm(stage: Stage<Recipe["algorithm"]>): Promise<StageResult> {
  const train = await algorithmOf(stage.settings.algorithm).trainer();
  return train(stage);
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
