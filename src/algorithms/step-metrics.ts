/** What GRPO and PPO alike write about a step: its rollout, advantages, clipped updates and times. */
import * as tf from "@tensorflow/tfjs";
import { mean, standardDeviation } from "../lib/math.ts";
import { type Shaped, shapingColumns } from "../rewards/shaping.ts";
import type { MetricValues } from "../run/metrics.ts";
import type { Group, ScoredCompletion } from "../types.ts";
import { rolloutColumns, rolloutMetrics } from "./metrics.ts";
import { modeColumns, modeMetrics, sliceColumns, sliceMetrics, slicesOf } from "./mode-metrics.ts";
import { type RolloutStage, tokenMean } from "./rollout.ts";
import type { UpdateSums } from "./update.ts";

/** A step that is over. */
export interface SampledStep {
  /** Prompts drawn in the stage before this step. */
  position: number;
  groups: readonly Group[];
  scored: readonly ScoredCompletion[][];
  shaped: Shaped;
  /** Of each completion; where tokens have their own, their mean. [P][G] */
  advantages: readonly (readonly number[])[];
  /** As the loss had them: one a completion, or one a token. */
  lossAdvantages: readonly number[];
  updates: UpdateSums;
  /** From `precisionGap`. */
  precisionGap: { mean: number; largest: number } | null;
  /** Gradient norm limit of the updates. */
  clipNorm: number | null;
  /** Seconds: when the rollout began, when it was sampled, scored, and the update done. */
  times: { began: number; sampled: number; rewarded: number; updated: number };
}

export interface StepMetrics {
  /** Names in order. */
  columns: string[];
  of(step: SampledStep): MetricValues;
}

/** @param own columns that the algorithm fills in itself */
export function stepMetrics(stage: RolloutStage, own: readonly string[]): StepMetrics {
  const { size } = stage.train;
  const slices = slicesOf(stage.train);
  const rounds = stage.policy.precision !== "f32";
  const columns = [
    ...rolloutColumns(stage.partNames, size !== null),
    ...sliceColumns(slices),
    ...modeColumns(),
    ...shapingColumns(stage.shaping),
    "advantage/mean",
    "advantage/std",
    "policy/loss",
    "policy/entropy",
    "policy/ratio_mean",
    "policy/ratio_max",
    "policy/clip_fraction",
    "policy/clip_low",
    "policy/clip_high",
    "policy/update_kl",
    "policy/sampler_gap",
    ...(rounds ? ["policy/precision_gap", "policy/precision_gap_max"] : []),
    "policy/logprob_mean",
    ...own,
    "time/rollout_s",
    "time/reward_s",
    "time/update_s",
    "time/tokens_per_s",
  ];
  return {
    columns,
    of({
      position,
      groups,
      scored,
      shaped,
      advantages,
      lossAdvantages,
      updates,
      precisionGap,
      clipNorm,
      times,
    }) {
      const tokens = scored.flat().reduce((sum, { tokens }) => sum + tokens.length, 0);
      const sampling = times.sampled - times.began;
      return {
        ...rolloutMetrics(groups, scored, stage.partNames),
        ...(size === null ? {} : { epoch: (position + groups.length) / size }),
        ...sliceMetrics(slices, groups, scored),
        ...modeMetrics(scored, advantages),
        ...shaped.metrics,
        "advantage/mean": mean(lossAdvantages),
        "advantage/std": standardDeviation(lossAdvantages, 0),
        "policy/entropy": tokenMean(scored, ({ entropies }) => entropies),
        "policy/logprob_mean": tokenMean(scored, ({ logprobs }) => logprobs),
        ...updates.metrics(clipNorm),
        ...(rounds
          ? {
              "policy/precision_gap": precisionGap?.mean ?? null,
              "policy/precision_gap_max": precisionGap?.largest ?? null,
            }
          : {}),
        "optim/updates": stage.optimizer.steps,
        "memory/tensors": tf.memory().numTensors,
        "time/rollout_s": sampling,
        "time/reward_s": times.rewarded - times.sampled,
        "time/update_s": times.updated - times.rewarded,
        "time/tokens_per_s": tokens / Math.max(1e-9, sampling),
      };
    },
  };
}
