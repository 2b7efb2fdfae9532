/**
 * A stage's programs without its card: two steps of the real algorithm at the largest shapes that the config allows, on an
 * executor that records them. The second step's programs are those of all later ones.
 */

import * as tf from "@tensorflow/tfjs";
import { algorithmOf } from "../../algorithms/kinds.ts";
import { sampleGroups } from "../../algorithms/rollout.ts";
import type { Stage } from "../../algorithms/stage.ts";
import type { Platform } from "../../backend/stablehlo/executor.ts";
import { AheadExecutor, type RecordedProgram, type RecordedRun } from "../../backend/xla/ahead-executor.ts";
import { startLazyBackend } from "../../backend/xla/start.ts";
import type { RecipeStage } from "../../config/load.ts";
import type { Recipe } from "../../config/schema.ts";
import { createAdamW } from "../../optim/adamw.ts";
import { createCritic } from "../../policy/critic.ts";
import { parameterCount, zeroWeights } from "../../policy/decoder-weights.ts";
import type { ModelFiles, WeightSource } from "../../policy/interfaces.ts";
import { parseModelConfig } from "../../policy/model-config.ts";
import { encodeExample, encodePrompt } from "../../rollouts/encode.ts";
import * as parts from "../../training/assemble.ts";
import { runAlgorithm, stageSettings } from "../../training/run-stage.ts";
import { openStageSource } from "../../training/stage-data.ts";
import { freshState, unloggedServices, unloggedSettings } from "../../training/unlogged-stage.ts";
import type { Prompt, PromptSource, Tokenizer } from "../../types.ts";
import { type Phase, PhaseNotes, watchCritic, watchOptimizer, watchPolicy } from "./phases.ts";

/** A program of a step. */
export interface StepProgram {
  readonly program: RecordedProgram;
  readonly phase: Phase;
  /** Of one traced step. */
  readonly runs: readonly RecordedRun[];
  /** How often each of them comes in a step of the config; 0 for evaluations, which are no part of one. */
  readonly times: number;
}

export interface StageTrace {
  readonly stage: string;
  readonly programs: StepProgram[];
  readonly parameters: number;
  readonly trainable: number;
  /** Bytes on each card between programs. */
  readonly held: {
    readonly weights: number;
    readonly moments: number;
    readonly reference: number;
    readonly critic: number;
  };
  /** Tokens of the longest prompt and, in supervised training, of its target. */
  readonly longest: { readonly prompt: number; readonly target: number };
}

export interface TraceOptions {
  /** The card, for messages. */
  readonly device: string;
  /** Cards of one machine that share each batch; default 1. */
  readonly devices?: number;
  /** In the place of algorithm.micro_batch_rows. */
  readonly microBatchRows?: number;
  /** Updates only: no generation, no evaluation. */
  readonly updatesOnly?: boolean;
  /** Programs of this phase only; what stays on the card is there in any case. */
  readonly only?: "generation" | "evaluation";
  /** Rows without a gradient take part in updates too. */
  readonly everyRow?: boolean;
  /** Of what will run the programs; default cuda. */
  readonly platform?: Platform;
}

/** Examples that are looked at for the longest one. */
const LOOKED_AT = 2000;
/** Micro-batches of an update that are traced: the first, and one like all others. */
const TRACED = 2;

/** @param files of the model; its weights are not read */
export async function traceStage(
  { name, recipe }: RecipeStage,
  files: ModelFiles,
  options: TraceOptions,
): Promise<StageTrace> {
  const config = parseModelConfig(files.config, files.source);
  const { tokenizer } = files;
  const positions = recipe.model.max_positions ?? config.maxPositions;
  const source = await openStageSource(recipe, "train", tokenizer, positions, () => {});
  const longest = longestExample(source, tokenizer);
  const { traced, share, epochs } = shortened(recipe, options.microBatchRows);
  const { algorithm } = traced;
  const declared = algorithmOf(algorithm);
  const token = plainToken(tokenizer, recipe.rollout.stop);
  const executor = new AheadExecutor({
    device: options.device,
    count: options.devices ?? 1,
    ...(options.platform === undefined ? {} : { platform: options.platform }),
    numbers: ({ type }) => (type === "i32" ? token : 0),
  });
  tf.enableProdMode();
  const backend = await startLazyBackend(executor);
  backend.precision = recipe.backend.precision;
  const dtype = files.config["torch_dtype"] ?? files.config["dtype"];
  const zeros = zeroWeights(config, dtype === "bfloat16" ? "BF16" : "F32");
  const weights: WeightSource = { ...zeros, quantised: (name) => files.weights.quantised?.(name) ?? null };
  const policy = parts.assemblePolicy(traced, { ...files, weights }, { trainable: true, reference: false });
  const { weightBytes } = policy;
  const optimizer = createAdamW(policy.trainable, traced.optimizer);
  const critic = declared.critic ? createCritic(policy) : null;
  const criticOptimizer = critic === null ? null : createAdamW(critic.trainable, traced.optimizer);
  const usesReference = declared.usesReference(algorithm);
  if (usesReference) policy.freezeReference();

  const notes = new PhaseNotes(executor);
  const generated: StepProgram[] = [];
  const runsOf = new Map<RecordedProgram, number>();
  /** Programs that ran since the last call. */
  const collect = (times: (phase: Phase) => number): StepProgram[] =>
    executor.programs.flatMap((program): StepProgram[] => {
      const runs = program.runs.slice(runsOf.get(program) ?? 0);
      runsOf.set(program, program.runs.length);
      const phase = runs[0]?.phase as Phase;
      return runs.length === 0 ? [] : [{ program, phase, runs, times: times(phase) }];
    });
  const example = always(source.name, longest.example);
  let step = 0;
  const watchedPolicy = watchPolicy(notes, policy, token);
  const settings = {
    ...stageSettings({ name, recipe: traced, until: undefined }, policy),
    ...unloggedSettings,
    // one prompt stands for all
    sampler: { kind: "shuffled" as const },
    everyRow: options.everyRow ?? false,
  };
  const state = freshState();
  // the algorithm finds it made already, and watched
  if (critic !== null)
    state.slots.keep(
      "critic",
      () => watchCritic(notes, critic),
      () => null,
    );
  await runAlgorithm({
    settings,
    services: {
      ...unloggedServices(
        () => {
          step++;
          if (step === 1) collect(() => 0);
        },
        () => 0,
        traced.optimizer,
      ),
      newOptimizer: () => watchOptimizer(notes, criticOptimizer!, "critic step", "critic optimizer step"),
    },
    state,
    policy: watchedPolicy,
    optimizer: watchOptimizer(notes, optimizer, "training step", "optimizer step"),
    tokenizer,
    train: example,
    score: alternating,
  });
  const updates = collect((phase) => {
    const perRows = ["micro-batch", "critic micro-batch", "reference logprobs", "values"].includes(phase);
    const perEpoch = !["reference logprobs", "values"].includes(phase);
    return (perRows ? 1 / share : 1) * (perEpoch ? epochs : 1);
  });
  // after the updates, when everything that stays is on the card
  if (options.updatesOnly !== true) {
    if (declared.samples && options.only !== "evaluation") {
      notes.set("generation");
      const prompts = Array.from({ length: recipe.rollout.prompts_per_step }, (_, i) => example.at(i));
      const { maxPromptTokens, seed } = settings;
      await sampleGroups(
        { tokenizer, policy, settings: { rollout: recipe.rollout, maxPromptTokens, seed, name } },
        prompts,
        0,
      );
      generated.push(...collect(() => 1));
    }
    if (recipe.data.eval !== undefined && recipe.eval !== undefined && options.only !== "generation") {
      notes.set("evaluation");
      const evalSource = await openStageSource(recipe, "eval", tokenizer, positions, () => {});
      const size = Math.min(
        Math.max(1, Math.floor(recipe.eval.batch_rows / recipe.eval.samples)),
        evalSource.size ?? Number.POSITIVE_INFINITY,
        recipe.eval.limit ?? Number.POSITIVE_INFINITY,
      );
      const longestEval = longestExample(evalSource, tokenizer).example;
      await parts.runEvaluation(recipe, recipe.eval, {
        policy,
        files,
        source: { ...always(evalSource.name, longestEval), size },
        score: alternating,
      });
      generated.push(...collect(() => 0));
    }
  }
  const trainable = [...policy.trainable.values()].reduce((sum, { size }) => sum + size, 0);
  const adapters = recipe.model.lora === undefined ? 0 : trainable;
  const criticSize =
    critic === null ? 0 : [...critic.trainable.values()].reduce((sum, { size }) => sum + size, 0);
  const parameters = parameterCount(config);
  policy.dispose();
  optimizer.dispose();
  criticOptimizer?.dispose();
  critic?.dispose();
  return {
    stage: name,
    programs: options.only === undefined ? [...generated, ...updates] : generated,
    parameters,
    trainable,
    held: {
      weights: weightBytes + 4 * adapters,
      moments: 8 * trainable,
      reference: usesReference && recipe.model.lora === undefined ? 4 * trainable : 0,
      critic: 12 * criticSize,
    },
    longest: { prompt: longest.prompt, target: longest.target },
  };
}

/** Every group has a difference in reward, so every completion is in the update. */
const alternating: Stage["score"] = async (inputs) =>
  inputs.map((_, i) => ({ reward: i % 2, status: "ok", parts: {}, correct: i % 2 === 1, thinks: null }));

/**
 * Two steps that update everything, one epoch each, on so few rows that each update has `TRACED` micro-batches.
 * @returns share of the config's rows that is left
 */
function shortened(
  recipe: Recipe,
  microBatchRows = recipe.algorithm.micro_batch_rows,
): { traced: Recipe; share: number; epochs: number } {
  const { rollout } = recipe;
  const { measuring, batch } = algorithmOf(recipe.algorithm);
  const { units, rowsPerUnit, minibatches, passes } = batch(recipe.algorithm, rollout);
  const rows = microBatchRows ?? Number.POSITIVE_INFINITY;
  const kept = Math.min(units, Math.ceil((TRACED * rows * minibatches) / rowsPerUnit));
  const once = measuring.onePass(measuring.withUnits(recipe.algorithm, kept));
  return {
    traced: {
      ...recipe,
      steps: 2,
      run: { ...recipe.run, samples_every: 0 },
      rollout: { ...rollout, prompts_per_step: kept },
      algorithm: microBatchRows === undefined ? once : { ...once, micro_batch_rows: microBatchRows },
    },
    share: kept / units,
    epochs: passes,
  };
}

interface LongestExample {
  example: Prompt;
  prompt: number;
  target: number;
}

function longestExample(source: PromptSource, tokenizer: Tokenizer): LongestExample {
  const count = Math.min(source.size ?? LOOKED_AT, LOOKED_AT);
  let longest: LongestExample | null = null;
  for (let i = 0; i < count; i++) {
    const example = source.at(i);
    const learns = example.target !== undefined || example.conversation !== undefined;
    const row = learns
      ? encodeExample(tokenizer, example, Number.POSITIVE_INFINITY, undefined, "size")
      : null;
    const { prompt: ids } = row ?? {
      prompt: encodePrompt(tokenizer, example, Number.POSITIVE_INFINITY, "size").tokens,
    };
    const prompt = ids.length;
    const target = row?.completion.length ?? 0;
    if (longest === null || prompt + target > longest.prompt + longest.target)
      longest = { example, prompt, target };
  }
  if (longest === null) throw new RangeError(`${source.name} has no rows`);
  return longest;
}

function always(name: string, example: Prompt): PromptSource {
  return { name, size: null, at: (index) => ({ ...example, id: `${example.id}-${index}` }) };
}

/** A token that ends no completion. */
function plainToken({ size, eosIds, decode }: Tokenizer, stop: readonly string[]): number {
  for (let id = size - 1; id > 0; id--) {
    const text = decode([id]);
    if (!eosIds.includes(id) && text !== "" && !stop.some((end) => end.includes(text) || text.includes(end)))
      return id;
  }
  return 0;
}
