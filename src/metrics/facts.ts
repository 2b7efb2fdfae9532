/** What a step leaves behind, from which its metrics are computed. P prompts, G completions of each, B = P*G. */
import type { Group, ScoredCompletion } from "../types.ts";

/** One optimizer step. */
export interface UpdateStatistics {
  loss: number;
  gradientNorm: number;
  tokens: number;
  /** Sums over tokens by name; `largest_*` are maxima. */
  statistics: Record<string, number>;
  /** Completions that could move the weights / completions; 1 where the algorithm leaves none out. */
  live?: number;
  /** Tokens that the loss treats apart / tokens that carry loss, where it selects any. */
  selected?: number;
}

/** The updates of a step, with what they ran at. */
export interface UpdateFacts {
  updates: readonly UpdateStatistics[];
  /** Learning rate of the last one. */
  lr: number;
  /** Limit of the gradient norm; null: none. */
  clipNorm: number | null;
  /** Optimizer steps since the stage began. */
  optimizerSteps: number;
  /** Live tensors. */
  tensors: number;
}

/** A step that sampled completions. */
export interface StepFacts extends UpdateFacts {
  /** Prompts drawn in the stage, this step's among them. */
  drawn: number;
  /** Prompts of the training data; null: endless. */
  size: number | null;
  groups: readonly Group[];
  /** [P][G] */
  scored: readonly (readonly ScoredCompletion[])[];
  /** Rewards after shaping. [P][G] */
  shaped: readonly (readonly number[])[];
  /** Advantage of each completion; where tokens have their own, their mean. [P][G] */
  advantages: readonly (readonly number[])[];
  /** Advantages as the loss had them: one a completion, or one a token. */
  lossAdvantages: readonly number[];
  precisionGap: { mean: number; largest: number } | null;
  /** Largest |logprob recomputed - logprob while sampling|, nats, where it was recomputed on purpose; else the first update says it. */
  samplerGap?: number | null;
  /** KL estimate of policy from reference policy, nats; null without a reference. */
  kl: { perToken: number; perCompletion?: number; coef?: number } | null;
  critic: CriticFacts | null;
  /** What samplers and shapings say of themselves, by metric name. */
  declared: Readonly<Record<string, number | null | undefined>>;
  /** Seconds. */
  times: { sampling: number; rewarding: number; updating: number };
}

export interface CriticFacts {
  updates: readonly UpdateStatistics[];
  lr: number;
  /** Values and returns of the completions that the critic learns from, a number a token each. */
  samples: readonly { values: Float32Array; returns: Float64Array }[];
}

/** A step of supervised training. */
export interface SupervisedFacts extends UpdateFacts {
  drawn: number;
  size: number | null;
  targets: number;
  /** Tokens in the rows, and with padding. */
  used: number;
  padded: number;
  seconds: number;
}

/** What the loop around the steps of every algorithm knows. */
export interface LoopFacts {
  /** Alarms that the step raises. */
  alarms: readonly string[];
  times: { step: number; evaluation: number | null; checkpoint: number | null; elapsed: number };
  peakBytes: number;
  /** Seconds of compiling since the step before, and the number of programs. */
  compiled: { seconds: number; programs: number } | null;
}
