/** `rlpt train`: a resolved recipe to a run directory, from the start or from its newest checkpoint. */
import { existsSync } from "node:fs";
import { isAbsolute, join, relative } from "node:path";
import type { Evaluation } from "../algorithms/evaluate.ts";
import { type GrpoStage, trainGrpo } from "../algorithms/grpo.ts";
import { type PpoController, type PpoStage, trainPpo } from "../algorithms/ppo.ts";
import { type SftStage, trainSft } from "../algorithms/sft.ts";
import type { Stage, StageOutcome, StageResult } from "../algorithms/stage.ts";
import type { RecipeStage } from "../config/load.ts";
import { printResolved } from "../config/print.ts";
import type { Recipe } from "../config/schema.ts";
import { CheckpointError, InterruptedError } from "../lib/errors.ts";
import { VERSION } from "../lib/version.ts";
import { type AdamW, createAdamW, type OptimizerTensor } from "../optim/adamw.ts";
import { type Critic, createCritic } from "../policy/critic.ts";
import { saveAdapter } from "../policy/files/adapter-files.ts";
import { saveModel } from "../policy/files/model-directory.ts";
import { openSafetensors } from "../policy/files/safetensors.ts";
import { writeSafetensors } from "../policy/files/safetensors-write.ts";
import type { ModelFiles, NamedTensor, TrainablePolicy, Trainee } from "../policy/interfaces.ts";
import { type AlarmHistory, newAlarmHistory, nextStageHistory } from "../run/alarms.ts";
import { type Checkpoint, pruneCheckpoints, writeCheckpoint } from "../run/checkpoint.ts";
import { createInterrupt } from "../run/interrupt.ts";
import type { Progress } from "../run/progress.ts";
import { collectProvenance, recordResume, writeProvenance } from "../run/provenance.ts";
import { createRunDirectory, type OpenRun, openRun, writeRecipe } from "../run/run-directory.ts";
import * as parts from "./assemble.ts";

export interface TrainingRequest {
  /** Of the recipe, in order; what is said once is said in the first. */
  stages: readonly RecipeStage[];
  /** Take up this run directory. */
  resume: string | null;
  /** Taken as the run directory when new. */
  runDir: string | null;
  progress: Progress;
  command: readonly string[];
  /** For provenance and directory names, never for results. */
  now: Date;
}

export interface TrainingResult {
  runDir: string;
  outcome: StageOutcome;
  /** Newest checkpoint. */
  checkpoint: string | null;
  first: Evaluation["metrics"] | null;
  last: Evaluation["metrics"] | null;
}

/** What a checkpoint's state.json holds. */
interface TrainingState {
  /** Index of the stage that goes on, or of the last one. */
  stage: number;
  /** Steps of earlier stages. */
  offset: number;
  stepsDone: number;
  /** The stage ended before its last step (`until`). */
  ended: boolean;
  optimizerSteps: number;
  /** Values that the stage's `until` watches. */
  watched: number[];
  /** Absent where run.alarms is off. */
  alarms?: AlarmHistory;
  /** Of PPO's KL controller; absent outside of it. */
  controller?: PpoController;
  /** Steps of the critic's optimizer; absent outside of PPO. */
  criticOptimizerSteps?: number;
  /** At the run's first evaluation: a resumed run still knows where it began. */
  first: Record<string, number> | null;
}

const STATE_TENSORS = "training-state.safetensors";
const REFERENCE_TENSORS = "reference.safetensors";
const CRITIC_TENSORS = "critic.safetensors";

/** What all stages of a run share. */
interface Session {
  request: TrainingRequest;
  files: ModelFiles;
  policy: TrainablePolicy;
  run: OpenRun;
  interrupted: () => Promise<boolean>;
  /** Made by the first stage of PPO, and kept by the stages behind it. */
  critic: Critic | null;
  /** Of the stage that runs or ran last; null where run.alarms is off. */
  alarms: { history: AlarmHistory } | null;
  first: Evaluation["metrics"] | null;
  last: Evaluation["metrics"] | null;
  newest: string | null;
}

export async function train(request: TrainingRequest): Promise<TrainingResult> {
  const { stages, progress } = request;
  const { recipe } = stages[0]!;
  const note = progress.note;

  // 1. everything that can be wrong with files is found before a run directory exists
  const backend = await parts.assembleBackend(recipe);
  note(`backend ${backend.kind}: ${backend.description}`);
  const files = await parts.openRecipeModel(recipe, note);
  const policy = parts.assemblePolicy(recipe, files, { trainable: true, reference: false });
  files.weights.close();
  for (const stage of stages) {
    await parts.assembleSource(stage.recipe.data.train, stage.recipe, "train", () => {});
  }
  note(
    `policy ${displayPath(files.source)}: ${policy.parameterCount.toLocaleString("en")} parameters, ${trainableCount(policy).toLocaleString("en")} trainable`,
  );

  // 2. the run directory: new, or taken up
  const provenance = await collectProvenance({
    rlptVersion: VERSION,
    seed: recipe.seed,
    time: request.now,
    command: request.command,
    backend: {
      kind: backend.kind,
      device: backend.device,
      description: backend.description,
      ...backend.versions,
    },
    dataFiles: stages
      .flatMap(({ recipe: { data } }) => [data.train, data.eval])
      .flatMap((data) => (data?.kind === "file" ? [data.path] : [])),
    workingDirectory: process.cwd(),
  });
  const runDir =
    request.resume ??
    createRunDirectory({
      root: recipe.run.root,
      name: recipe.run.name ?? "run",
      seed: recipe.seed,
      time: request.now,
      ...(request.runDir === null ? {} : { directory: request.runDir }),
    });
  const run = await openRun(runDir, { note: (text) => note(text, "warning") });
  const interrupt = createInterrupt((signal) =>
    note(`${signal}: finishing the step and writing a checkpoint; again to stop at once`, "warning"),
  );
  let session: Session | null = null;
  try {
    writeRecipe(runDir, printResolved(request));
    if (request.resume === null) writeProvenance(runDir, provenance);
    else {
      const changes = recordResume(runDir, provenance, run.from?.step ?? 0);
      for (const change of changes) {
        note(`${change}; results may differ from an uninterrupted run`, "warning");
      }
    }

    // 3. the stages, each from the weights of the one before; a resumed run begins inside one
    const state = run.from === null ? null : (run.from.state as TrainingState);
    session = {
      request,
      files,
      policy,
      run,
      interrupted: () => interrupt.poll(),
      critic: null,
      alarms: recipe.run.alarms ? { history: state?.alarms ?? newAlarmHistory() } : null,
      first: state?.first ?? null,
      last: null,
      newest: run.from?.directory ?? null,
    };
    let offset = state?.offset ?? 0;
    for (let index = state?.stage ?? 0; index < stages.length; index++) {
      const resumed = state !== null && index === state.stage ? state : null;
      const done = await runStage(session, index, offset, resumed);
      offset += done;
    }
    return {
      runDir,
      outcome: "finished",
      checkpoint: session.newest,
      first: session.first,
      last: session.last,
    };
  } finally {
    interrupt.dispose();
    run.close();
    session?.critic?.dispose();
    policy.dispose();
  }
}

/** One stage, from its beginning or from a checkpoint inside it. @returns steps it has done in all */
async function runStage(
  session: Session,
  index: number,
  offset: number,
  resumed: TrainingState | null,
): Promise<number> {
  const { request, files, policy, run } = session;
  const { progress } = request;
  const { name, recipe, until } = request.stages[index]!;
  const last = index === request.stages.length - 1;
  const over = resumed !== null && (resumed.ended || resumed.stepsDone >= recipe.steps);
  if (over && last) {
    throw new CheckpointError(
      `${run.directory} has done its ${resumed.stepsDone} steps; to go on, resume it with a larger --steps.`,
    );
  }
  const optimizer = createAdamW(policy.trainable, recipe.optimizer);
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
    const trainSource = await parts.assembleSource(recipe.data.train, recipe, "train", progress.note);
    const evalSource =
      recipe.data.eval === undefined
        ? null
        : await parts.assembleSource(recipe.data.eval, recipe, "eval", progress.note);
    const watched = resumed?.watched ?? [];
    if (resumed === null && session.alarms !== null) {
      const comparable = evaluatesAlike(request.stages[index - 1]?.recipe, recipe);
      const { history } = session.alarms;
      session.alarms = { history: comparable ? nextStageHistory(history) : newAlarmHistory() };
    }
    const controller: PpoController = resumed?.controller ?? {
      klCoefficient: recipe.algorithm.kind === "ppo" ? recipe.algorithm.kl.coef : 0,
    };

    const stage: Stage = {
      name,
      seed: recipe.seed,
      steps: recipe.steps,
      offset,
      stepsDone: resumed?.stepsDone ?? 0,
      policy,
      tokenizer: files.tokenizer,
      train: trainSource,
      score,
      evaluate:
        evalSource === null || recipe.eval === undefined
          ? null
          : async () => {
              const evaluation = await parts.runEvaluation(recipe, recipe.eval!, {
                policy,
                files,
                source: evalSource,
                score,
              });
              session.first ??= evaluation.metrics;
              session.last = evaluation.metrics;
              return evaluation;
            },
      evalEvery: recipe.eval?.every ?? 0,
      evaluateFirst: index === 0,
      until: until ?? null,
      watched,
      alarms: session.alarms,
      optimizer,
      logs: run.logs,
      progress,
      checkpointEvery: recipe.run.checkpoint_every,
      checkpoint: async (stepsDone, ended, evaluation) => {
        run.logs.sync();
        await policy.prepareExport();
        await optimizer.prepareExport();
        const isEnd = ended && last;
        const written = await writeCheckpoint(run.directory, offset + stepsDone, {
          files: {
            ...checkpointFiles(policy, optimizer, files, isEnd, usesReference),
            ...(critic === null ? {} : criticFiles(critic, criticOptimizer)),
          },
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
        await pruneCheckpoints(run.directory, { keepLast: recipe.run.keep_last, best: recipe.run.keep_best });
      },
      interrupted: session.interrupted,
      clock: () => performance.now() / 1000,
    };
    const { outcome, stepsDone } = await runAlgorithm(
      recipe,
      stage,
      policy,
      critic === null || criticOptimizer === null ? null : { critic, criticOptimizer, controller },
    );
    if (outcome === "interrupted") {
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

function runAlgorithm(
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

/**
 * model/ is what other tools load; the training state is what a resume needs, exact in float32. With LoRA the
 * adapter is in every checkpoint, and the merged model in the last one only: it is as large as the base.
 */
function checkpointFiles(
  policy: TrainablePolicy,
  optimizer: AdamW,
  files: ModelFiles,
  isEnd: boolean,
  usesReference: boolean,
): Record<string, (directory: string) => Promise<void>> {
  const adapter = policy.exportAdapter();
  const reference = usesReference ? policy.exportReference() : null;
  return {
    [STATE_TENSORS]: async (directory) => {
      writeSafetensors(directory, STATE_TENSORS, stateTensors(policy, optimizer));
    },
    ...(reference === null
      ? {}
      : {
          [REFERENCE_TENSORS]: async (directory: string) => {
            writeSafetensors(directory, REFERENCE_TENSORS, reference);
          },
        }),
    ...(adapter === null
      ? {}
      : { adapter: async (directory: string) => saveAdapter(join(directory, "adapter"), adapter) }),
    ...(adapter === null || isEnd
      ? {
          model: async (directory: string) => {
            await saveModel(join(directory, "model"), {
              config: files.config,
              generationConfig: files.generationConfig,
              tokenizerFiles: files.tokenizerFiles,
              weights: policy.exportWeights(),
            });
          },
        }
      : {}),
  };
}

function criticFiles(
  critic: Critic,
  optimizer: AdamW | null,
): Record<string, (directory: string) => Promise<void>> {
  return {
    [CRITIC_TENSORS]: async (directory) => {
      writeSafetensors(directory, CRITIC_TENSORS, stateTensors(critic, optimizer));
    },
  };
}

function hasCritic({ directory }: Checkpoint): boolean {
  return existsSync(join(directory, CRITIC_TENSORS));
}

/** Weights as `<name>.w`, and moments where there is an optimizer. */
function* stateTensors({ trainable }: Trainee, optimizer: AdamW | null): Iterable<NamedTensor> {
  for (const [name, variable] of trainable) {
    yield { name: `${name}.w`, shape: variable.shape, data: variable.dataSync<"float32">() };
  }
  if (optimizer !== null) yield* optimizer.exportState();
}

/**
 * Puts weights and, unless the stage is over, moments back.
 * @throws CheckpointError when they do not fit
 */
function restore(
  checkpoint: Checkpoint,
  file: string,
  { trainable }: Trainee,
  moments: { optimizer: AdamW; steps: number } | null,
): void {
  const source = openSafetensors(join(checkpoint.directory, file));
  const read = (key: string): OptimizerTensor => ({
    name: key,
    shape: source.shape(key),
    data: source.read(key),
  });
  try {
    const names = [...trainable.keys()];
    moments?.optimizer.importState(
      names.flatMap((name) => [read(`${name}.m`), read(`${name}.v`)]),
      moments.steps,
    );
    for (const [name, variable] of trainable) {
      const { data, shape } = read(`${name}.w`);
      parts.assignVariable(variable, data, shape);
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CheckpointError(
      `${checkpoint.directory} does not fit this recipe: ${reason}. Were the model's or LoRA's settings changed?`,
      { cause: error },
    );
  } finally {
    source.close();
  }
}

/** The policy at the start of the stage becomes the reference; a resumed stage reads it from its checkpoint. */
function freezeReference(policy: TrainablePolicy, from: Checkpoint | null): void {
  const path = from === null ? null : join(from.directory, REFERENCE_TENSORS);
  if (path === null || !existsSync(path)) {
    policy.freezeReference();
    return;
  }
  const source = openSafetensors(path);
  try {
    policy.importReference(
      source.names.map((name) => ({ name, shape: source.shape(name), data: source.read(name) })),
    );
  } finally {
    source.close();
  }
}

/** Can a stage's evaluations be compared with those of the stage before? */
function evaluatesAlike(before: Recipe | undefined, { data, eval: evaluation }: Recipe): boolean {
  if (before === undefined) return false;
  const key = (of: Pick<Recipe, "data" | "eval">) =>
    JSON.stringify([of.data.eval, { ...of.eval, every: null }]);
  return key(before) === key({ data, eval: evaluation });
}

function trainableCount(policy: TrainablePolicy): number {
  return [...policy.trainable.values()].reduce((sum, { size }) => sum + size, 0);
}

function quote(path: string): string {
  return /^[\w./:@%+=-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

/** Relative where that is shorter: a model inside the working directory. */
function displayPath(path: string): string {
  const inside = relative("", path);
  return isAbsolute(path) && !inside.startsWith("..") ? inside : path;
}
