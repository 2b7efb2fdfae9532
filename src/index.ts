/**
 * rlpt as a library: `import { train, loadPolicy, sample, grade } from "rlpt"`. Nothing here prints or ends the process:
 * progress goes to callbacks, faults are thrown (RlptError and its kinds). docs/library.md shows how it is used,
 * examples/ has a training loop that is written on it.
 */

// recipes: a config to what runs

export {
  findConfig,
  type LoadOptions,
  loadRecipe,
  type RecipeStage,
  type ResolvedRecipe,
} from "./config/load.ts";
export { printResolved } from "./config/print.ts";
export type { Recipe } from "./config/schema.ts";

// whole runs

export type { EvaluatedPrompt, Evaluation } from "./algorithms/evaluate.ts";
export { type EvaluateOptions, evaluate } from "./library/evaluate.ts";
export { type RunOptions, resume, type TrainOptions, train } from "./library/train.ts";
export type { Progress, ProgressRow } from "./run/progress.ts";
export type { TrainingResult } from "./training/train.ts";

// models, prompts and completions

export { type LoadedPolicy, type LoadPolicyOptions, loadPolicy } from "./library/model.ts";
export { type Draws, drawPrompts, openData, sample } from "./library/prompts.ts";
export type { ScoreOptions, TokenBatch, TokenScores, TrainablePolicy } from "./policy/interfaces.ts";
export type { RolloutOptions } from "./rollouts/options.ts";
export type {
  ChatMessage,
  Completion,
  FinishReason,
  Group,
  Prompt,
  PromptSource,
  Tokenizer,
} from "./types.ts";

// rewards

export { createScorer, type Grade, grade, type Scoring } from "./library/score.ts";
export type { RewardInput, RewardPartResult, RewardStatus, ScoredCompletion } from "./types.ts";

// learning: numbers and tensors in, numbers and tensors out

export { groupAdvantages } from "./advantages/group.ts";
export type { AdvantageOptions } from "./advantages/options.ts";
export { type PaddedBatch, padRows, spread, type TokenRow } from "./algorithms/token-batch.ts";
export { tokenWeights } from "./losses/aggregation.ts";
export { clippedPolicyLoss, type PolicyLossInput } from "./losses/clipped-policy.ts";
export type { Aggregation, ClipOptions, KlOptions } from "./losses/options.ts";
export { type AdamW, createAdamW } from "./optim/adamw.ts";
export type { OptimizerOptions } from "./optim/options.ts";
export { learningRate } from "./optim/schedule.ts";

// random numbers: functions of a seed and a purpose

export { createRng, type Rng } from "./lib/rng.ts";

// what is thrown, and the version

/** TensorFlow.js, the copy that policies compute with: another one would not know their tensors. */
export * as tf from "@tensorflow/tfjs";
export { ConfigFaultsError, type Fault } from "./config/faults.ts";
export {
  AlarmError,
  BackendError,
  CheckpointError,
  ConfigError,
  DataError,
  InterruptedError,
  ModelFileError,
  RewardError,
  RlptError,
} from "./lib/errors.ts";
export { VERSION } from "./lib/version.ts";
