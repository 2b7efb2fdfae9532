/** `rlpt train`: a resolved recipe to a run directory, from the start or from its newest checkpoint. */
import { join, relative } from "node:path";
import type { Evaluation } from "../algorithms/evaluate.ts";
import { type GrpoStage, trainGrpo } from "../algorithms/grpo.ts";
import { type SftStage, trainSft } from "../algorithms/sft.ts";
import type { Stage, StageOutcome } from "../algorithms/stage.ts";
import { printResolved } from "../config/print.ts";
import type { Recipe } from "../config/schema.ts";
import { CheckpointError, InterruptedError } from "../lib/errors.ts";
import { VERSION } from "../lib/version.ts";
import { type AdamW, createAdamW, type OptimizerTensor } from "../optim/adamw.ts";
import { saveAdapter } from "../policy/files/adapter-files.ts";
import { saveModel } from "../policy/files/model-directory.ts";
import { openSafetensors } from "../policy/files/safetensors.ts";
import { writeSafetensors } from "../policy/files/safetensors-write.ts";
import type { ModelFiles, NamedTensor, TrainablePolicy } from "../policy/interfaces.ts";
import { type Checkpoint, pruneCheckpoints, writeCheckpoint } from "../run/checkpoint.ts";
import { createInterrupt } from "../run/interrupt.ts";
import type { Progress } from "../run/progress.ts";
import { collectProvenance, recordResume, writeProvenance } from "../run/provenance.ts";
import { createRunDirectory, openRun, writeRecipe } from "../run/run-directory.ts";
import * as parts from "./assemble.ts";

export interface TrainingRequest {
  recipe: Recipe;
  /** Take up this run directory; its recipe.yaml holds `recipe` already, or gets it when `steps` grew. */
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
  stage: string;
  stepsDone: number;
  optimizerSteps: number;
  /** Accuracy and the like at the run's first evaluation: a resumed run still knows where it began. */
  first: Record<string, number> | null;
}

const STATE_TENSORS = "training-state.safetensors";

export async function train(request: TrainingRequest): Promise<TrainingResult> {
  const { recipe, progress } = request;
  const note = progress.note;

  // 1. everything that can be wrong with files is found before a run directory exists
  const backend = await parts.assembleBackend(recipe);
  note(`backend ${backend.kind}: ${backend.description}`);
  const files = await parts.openRecipeModel(recipe, note);
  const usesReference = recipe.algorithm.kind === "grpo" && recipe.algorithm.kl.coef > 0;
  const policy = parts.assemblePolicy(recipe, files, { trainable: true, reference: usesReference });
  files.weights.close();
  const trainSource = await parts.assembleSource(recipe.data.train, recipe, "train", note);
  const evalSource =
    recipe.data.eval === undefined
      ? null
      : await parts.assembleSource(recipe.data.eval, recipe, "eval", note);
  const scorer = await parts.assembleScorer(recipe);
  note(
    `policy ${files.source}: ${policy.parameterCount.toLocaleString("en")} parameters, ${trainableCount(policy).toLocaleString("en")} trainable`,
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
    dataFiles: [recipe.data.train, recipe.data.eval].flatMap((data) =>
      data?.kind === "file" ? [data.path] : [],
    ),
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
  const optimizer = createAdamW(policy.trainable, recipe.optimizer);
  try {
    writeRecipe(runDir, printResolved(recipe));
    if (request.resume === null) writeProvenance(runDir, provenance);
    else {
      const changes = recordResume(runDir, provenance, run.from?.step ?? 0);
      for (const change of changes)
        note(`${change}; results may differ from an uninterrupted run`, "warning");
    }

    // 3. weights, moments and counters of the checkpoint
    const state = run.from === null ? null : restore(run.from, policy, optimizer);
    let first = state?.first ?? null;
    let last: Record<string, number> | null = null;
    let newest = run.from?.directory ?? null;

    const stage: Stage = {
      name: recipe.algorithm.kind,
      seed: recipe.seed,
      steps: recipe.steps,
      stepsDone: state?.stepsDone ?? 0,
      policy,
      tokenizer: files.tokenizer,
      train: trainSource,
      score: scorer,
      evaluate:
        evalSource === null || recipe.eval === undefined
          ? null
          : async () => {
              const evaluation = await parts.runEvaluation(recipe, recipe.eval!, {
                policy,
                files,
                source: evalSource,
                score: scorer,
              });
              first ??= evaluation.metrics;
              last = evaluation.metrics;
              return evaluation;
            },
      evalEvery: recipe.eval?.every ?? 0,
      optimizer,
      logs: run.logs,
      progress,
      checkpointEvery: recipe.run.checkpoint_every,
      checkpoint: async (step, evaluation) => {
        run.logs.sync();
        const written = await writeCheckpoint(runDir, step, {
          files: checkpointFiles(policy, optimizer, files, step === recipe.steps),
          state: {
            stage: recipe.algorithm.kind,
            stepsDone: step,
            optimizerSteps: optimizer.steps,
            first,
          } satisfies TrainingState,
          ...(evaluation === null ? {} : { metrics: evaluation.metrics }),
          logs: run.logs.counts(),
        });
        newest = written.directory;
        await pruneCheckpoints(runDir, { keepLast: recipe.run.keep_last, best: recipe.run.keep_best });
      },
      interrupted: () => interrupt.poll(),
      clock: () => performance.now() / 1000,
    };
    if (stage.stepsDone >= stage.steps) {
      throw new CheckpointError(
        `${runDir} has done its ${stage.stepsDone} steps; to go on, resume it with a larger --steps.`,
      );
    }

    // 4. train
    const outcome = await runStage(recipe, stage, policy);
    if (outcome === "interrupted") {
      throw new InterruptedError(
        `stopped after a checkpoint: ${newest}\ngo on with: rlpt train --resume ${quote(relative("", runDir))}`,
      );
    }
    return { runDir, outcome, checkpoint: newest, first, last };
  } finally {
    interrupt.dispose();
    run.close();
    optimizer.dispose();
    policy.dispose();
    await scorer.close();
  }
}

function runStage(recipe: Recipe, stage: Stage, policy: TrainablePolicy): Promise<StageOutcome> {
  const { algorithm } = recipe;
  switch (algorithm.kind) {
    case "grpo":
      return trainGrpo({
        ...stage,
        grpo: algorithm,
        rollout: recipe.rollout,
        optimizerOptions: recipe.optimizer,
        maxPromptTokens: parts.longestPrompt(recipe, policy),
        samplesEvery: recipe.run.samples_every,
        samplesPrompts: recipe.run.samples_prompts,
        partNames: recipe.rewards.map((part) => part.name ?? part.kind),
      } satisfies GrpoStage);
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
  last: boolean,
): Record<string, (directory: string) => Promise<void>> {
  const adapter = policy.exportAdapter();
  return {
    [STATE_TENSORS]: async (directory) => {
      writeSafetensors(directory, STATE_TENSORS, stateTensors(policy, optimizer));
    },
    ...(adapter === null
      ? {}
      : { adapter: async (directory: string) => saveAdapter(join(directory, "adapter"), adapter) }),
    ...(adapter === null || last
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

function* stateTensors(policy: TrainablePolicy, optimizer: AdamW): Iterable<NamedTensor> {
  for (const [name, variable] of policy.trainable) {
    yield { name: `${name}.w`, shape: variable.shape, data: variable.dataSync<"float32">() };
  }
  yield* optimizer.exportState();
}

/** Puts weights, moments and counters back. @throws CheckpointError when they do not fit the policy */
function restore(checkpoint: Checkpoint, policy: TrainablePolicy, optimizer: AdamW): TrainingState {
  const state = checkpoint.state as TrainingState;
  const source = openSafetensors(join(checkpoint.directory, STATE_TENSORS));
  try {
    const moments: OptimizerTensor[] = [];
    for (const name of policy.trainable.keys()) {
      for (const suffix of ["m", "v"]) {
        const key = `${name}.${suffix}`;
        moments.push({ name: key, shape: source.shape(key), data: source.read(key) });
      }
    }
    optimizer.importState(moments, state.optimizerSteps);
    for (const [name, variable] of policy.trainable) {
      parts.assignVariable(variable, source.read(`${name}.w`), source.shape(`${name}.w`));
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
  return state;
}

function trainableCount(policy: TrainablePolicy): number {
  return [...policy.trainable.values()].reduce((sum, { size }) => sum + size, 0);
}

function quote(path: string): string {
  return /^[\w./:@%+=-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
