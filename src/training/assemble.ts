/** From a resolved recipe to the parts that a command runs: backend, policy, data, rewards. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { EvalOptions } from "../algorithms/eval-options.ts";
import { type EvaluateOptions, type Evaluation, evaluate } from "../algorithms/evaluate.ts";
import type { Scorer } from "../algorithms/stage.ts";
import { type BackendInfo, startBackend } from "../backend/select.ts";
import type { Recipe } from "../config/schema.ts";
import { ConfigError } from "../lib/errors.ts";
import { readRegularFile } from "../lib/regular-file.ts";
import { createRng } from "../lib/rng.ts";
import { initializerRange, randomWeights } from "../policy/decoder-weights.ts";
import { openAdapter } from "../policy/files/adapter-files.ts";
import { openModel, picturesOf, type TemplateOptions } from "../policy/files/model-directory.ts";
import { createTokenizer } from "../policy/files/tokenizer.ts";
import { wordLevelTokenizerFiles } from "../policy/files/word-level.ts";
import type { ModelFiles, TrainablePolicy } from "../policy/interfaces.ts";
import { adapterTensorName } from "../policy/lora.ts";
import { parseModelConfig } from "../policy/model-config.ts";
import { createPolicy, type DecoderPolicy, type PolicyOptions } from "../policy/policy.ts";
import type { JudgeServices } from "../rewards/judge/ask.ts";
import { createScorer } from "../rewards/score.ts";
import type { EpisodeOptions } from "../rollouts/episodes.ts";
import type { Progress } from "../run/progress.ts";
import type { PromptSource } from "../types.ts";

export type Note = (text: string, level?: "info" | "warning") => void;

/**
 * @param model whose size decides whether `auto` compiles programs on the CPU; null for work too short for that
 */
export async function assembleBackend(
  recipe: Pick<Recipe, "backend">,
  model: ModelFiles | null,
): Promise<BackendInfo> {
  return startBackend({
    parameters: model === null ? 0 : parametersOf(model),
    kind: recipe.backend.kind,
    cblas: recipe.backend.cblas,
    library: recipe.backend.library,
    precision: recipe.backend.precision,
    devices: recipe.backend.devices,
    threads: recipe.backend.threads,
  });
}

function parametersOf({ weights }: ModelFiles): number {
  return weights.names.reduce((sum, name) => sum + weights.shape(name).reduce((a, b) => a * b, 1), 0);
}

/**
 * Opens the model that `model:` names, or draws one from the seed.
 * @param options.weights false: only shapes matter, so that weights are neither fetched nor looked for
 */
export async function openRecipeModel(
  recipe: Pick<Recipe, "model" | "seed">,
  note: Note,
  { weights = true }: { weights?: boolean } = {},
): Promise<ModelFiles> {
  const { path, init, tokenizer } = recipe.model;
  if (path !== undefined) {
    const files = await openModel(path, {
      onProgress: downloadNotes(note),
      weights,
      ...templateOptions(recipe),
    });
    for (const warning of files.warnings) note(warning, "warning");
    return files;
  }
  if (init === undefined) throw new ConfigError("model needs path or init");
  const tokenizerFiles = initTokenizerFiles(tokenizer);
  const { chatTemplate, ...variables } = templateOptions(recipe);
  if (chatTemplate !== undefined) tokenizerFiles.set("chat_template.jinja", chatTemplate);
  const opened = createTokenizer(tokenizerFiles, {
    path: "model.tokenizer",
    ...picturesOf(init, tokenizerFiles, typeof tokenizer === "string" ? tokenizer : "model.tokenizer"),
    ...variables,
  });
  const special = { bos_token_id: opened.bosId, eos_token_id: opened.eosIds[0], pad_token_id: opened.padId };
  const config = { ...special, ...init };
  const rng = createRng(recipe.seed).fork("init");
  return {
    source: "model.init",
    config,
    generationConfig: { _from_model_config: true, ...special },
    weights: randomWeights(parseModelConfig(config, "model.init"), rng, initializerRange(config)),
    tokenizer: opened,
    tokenizerFiles,
  };
}

/** `model.chat_template` and `model.chat_template_kwargs`. */
function templateOptions({ model }: Pick<Recipe, "model">): TemplateOptions {
  const { chat_template: path, chat_template_kwargs: variables } = model;
  return {
    ...(path === undefined ? {} : { chatTemplate: readRegularFile(path, LARGEST_TEMPLATE) }),
    ...(variables === undefined ? {} : { templateVariables: variables }),
  };
}

/** Bytes of a chat template. */
const LARGEST_TEMPLATE = 4_000_000;

/** A line for every tenth of a file that is fetched. */
export function downloadNotes(
  note: Note,
): (progress: { file: string; bytes: number; total: number }) => void {
  const tenths = new Map<string, number>();
  return ({ file, bytes, total }) => {
    const tenth = total === 0 ? 10 : Math.floor((10 * bytes) / total);
    if (tenth === tenths.get(file)) return;
    tenths.set(file, tenth);
    note(`fetching ${file}: ${10 * tenth}% of ${(total / 1e6).toFixed(1)} MB`);
  };
}

function initTokenizerFiles(tokenizer: Recipe["model"]["tokenizer"]): Map<string, Uint8Array> {
  if (tokenizer === undefined) throw new ConfigError("model.init needs model.tokenizer");
  if (typeof tokenizer === "string") {
    const names = [
      "tokenizer.json",
      "tokenizer_config.json",
      "chat_template.jinja",
      "special_tokens_map.json",
      "preprocessor_config.json",
      "processor_config.json",
    ];
    return new Map(
      names.flatMap((name) => {
        try {
          return [[name, new Uint8Array(readFileSync(join(tokenizer, name)))] as const];
        } catch {
          return [];
        }
      }),
    );
  }
  const { tokens, pad, eos, separator } = tokenizer;
  const bos = tokenizer.bos ?? eos;
  return wordLevelTokenizerFiles(
    tokens,
    { pad, bos, eos },
    { separator, addBos: tokenizer.bos !== undefined },
  );
}

/** The policy of a recipe, trainable as it says. */
export function assemblePolicy(
  recipe: Pick<Recipe, "model" | "seed">,
  files: ModelFiles,
  options: { trainable: boolean; reference: boolean },
): DecoderPolicy {
  const { lora, rematerialise, max_positions, base_dtype, trained_parts } = recipe.model;
  return createPolicy(files, {
    trainable: options.trainable ? (lora ? "lora" : "full") : "none",
    ...(lora && options.trainable
      ? {
          lora: { rank: lora.rank, alpha: lora.alpha, targets: lora.targets, useRslora: lora.use_rslora },
        }
      : {}),
    ...(lora?.adapter === undefined ? {} : { adapter: readAdapter(lora.adapter) }),
    ...(trained_parts === undefined ? {} : { parts: trained_parts }),
    ...(max_positions === undefined ? {} : { maxPositions: max_positions }),
    ...(base_dtype === undefined ? {} : { baseDtype: base_dtype }),
    reference: options.reference,
    rematerialise,
    rng: createRng(recipe.seed).fork("lora"),
  });
}

/** A PEFT directory as the policy takes it. */
export function readAdapter(directory: string): NonNullable<PolicyOptions["adapter"]> {
  const adapter = openAdapter(directory);
  try {
    const tensors = adapter.pairs.flatMap((pair) => [
      { name: adapterTensorName(pair.module, "A"), shape: pair.shapeA, data: pair.readA() },
      { name: adapterTensorName(pair.module, "B"), shape: pair.shapeB, data: pair.readB() },
    ]);
    return { tensors, config: adapter.rawConfig, source: adapter.source };
  } finally {
    adapter.close();
  }
}

/** @param judges who answers the questions of parts of kind judge; null where there are none */
export function assembleScorer(
  recipe: Pick<Recipe, "rewards" | "max_error_share" | "seed">,
  judges: JudgeServices | null,
): Promise<Scorer & { close(): Promise<void> }> {
  return createScorer(recipe.rewards, { maxErrorShare: recipe.max_error_share, seed: recipe.seed, judges });
}

/** Most tokens a prompt may have, so that a completion of `maxNewTokens` still fits. */
export function longestPrompt(recipe: Pick<Recipe, "model" | "rollout">, policy: TrainablePolicy): number {
  const positions = recipe.model.max_positions ?? policy.config.maxPositions;
  return recipe.rollout.max_prompt_tokens ?? Math.max(1, positions - recipe.rollout.max_new_tokens);
}

/** An evaluation as the recipe describes it. */
export function evaluateOptions(
  recipe: Recipe,
  options: EvalOptions,
  source: PromptSource,
  policy: TrainablePolicy,
): EvaluateOptions {
  const { rollout } = recipe;
  return {
    dataset: source.name,
    temperature: options.temperature,
    top_p: options.top_p ?? rollout.top_p,
    top_k: options.top_k ?? rollout.top_k,
    min_p: options.min_p ?? rollout.min_p,
    stop: rollout.stop,
    groupSize: options.samples,
    maxNewTokens: options.max_new_tokens ?? rollout.max_new_tokens,
    batchRows: options.batch_rows,
    limit: options.limit ?? null,
    maxPromptTokens: longestPrompt(recipe, policy),
    contradiction: recipe.rewards.find((part) => part.kind === "contradiction") ?? null,
  };
}

export async function runEvaluation(
  recipe: Recipe,
  options: EvalOptions,
  parts: {
    policy: TrainablePolicy;
    files: ModelFiles;
    source: PromptSource;
    score: Scorer;
    /** Where completions are episodes. */
    episodes?: EpisodeOptions | null;
  },
  progress?: Progress,
): Promise<Evaluation> {
  const total = Math.min(
    parts.source.size ?? Number.POSITIVE_INFINITY,
    options.limit ?? Number.POSITIVE_INFINITY,
  );
  const onPrompts = (done: number): void => progress?.phase?.("evaluating", { done, total });
  onPrompts(0);
  const evaluation = await evaluate(
    parts.policy,
    parts.files.tokenizer,
    parts.source,
    parts.score,
    {
      ...evaluateOptions(recipe, options, parts.source, parts.policy),
      onPrompts,
      episodes: parts.episodes ?? null,
    },
    createRng(recipe.seed).fork("eval"),
  );
  progress?.phase?.("");
  return evaluation;
}
