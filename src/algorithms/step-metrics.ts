/** What GRPO and PPO alike write about a step: its rollout, advantages, clipped updates and times. */
import * as tf from "@tensorflow/tfjs";
import { mean, standardDeviation } from "../lib/math.ts";
import type { MetricValues } from "../run/metrics.ts";
import type { Batch, Collector } from "./collect.ts";
import { rolloutColumns, rolloutMetrics } from "./metrics.ts";
import { modeColumns, modeMetrics, sliceColumns, sliceMetrics, slicesOf } from "./mode-metrics.ts";
import { tokenMean } from "./rollout.ts";
import type { Stage } from "./stage.ts";
import type { UpdateSums } from "./update.ts";

/** A step that is over. */
export interface SampledStep {
  batch: Batch;
  /** Of each completion; where tokens have their own, their mean. [P][G] */
  advantages: readonly (readonly number[])[];
  /** As the loss had them: one a completion, or one a token. */
  lossAdvantages: readonly number[];
  updates: UpdateSums;
  /** When the updates were done; seconds on the stage's clock. */
  updated: number;
}

export interface StepMetrics {
  /** Names in order. */
  columns: string[];
  of(step: SampledStep): MetricValues;
}

/** @param own columns that the algorithm fills in itself */
export function stepMetrics(
  stage: Stage,
  { columns: drawing, shaping }: Pick<Collector, "columns" | "shaping">,
  own: readonly string[],
): StepMetrics {
  const { partNames, optimizer } = stage.settings;
  const { size } = stage.train;
  const slices = slicesOf(stage.train);
  const rounds = stage.policy.precision !== "f32";
  const columns = [
    ...rolloutColumns(partNames, size !== null),
    ...sliceColumns(slices),
    ...modeColumns(),
    ...drawing,
    ...shaping.columns,
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
    of({ batch, advantages, lossAdvantages, updates, updated }) {
      const { groups, scored, shaped, times, precisionGap } = batch;
      const tokens = scored.flat().reduce((sum, { tokens }) => sum + tokens.length, 0);
      return {
        ...rolloutMetrics(groups, scored, partNames),
        ...(size === null ? {} : { epoch: batch.drawnSoFar / size }),
        ...sliceMetrics(slices, groups, scored),
        ...modeMetrics(scored, advantages),
        ...batch.metrics,
        ...shaped.metrics,
        "advantage/mean": mean(lossAdvantages),
        "advantage/std": standardDeviation(lossAdvantages, 0),
        "policy/entropy": tokenMean(scored, ({ entropies }) => entropies),
        "policy/logprob_mean": tokenMean(scored, ({ logprobs }) => logprobs),
        ...updates.metrics(optimizer.clip_norm),
        ...(rounds
          ? {
              "policy/precision_gap": precisionGap?.mean ?? null,
              "policy/precision_gap_max": precisionGap?.largest ?? null,
            }
          : {}),
        "optim/updates": stage.optimizer.steps,
        "memory/tensors": tf.memory().numTensors,
        "time/rollout_s": times.sampling,
        "time/reward_s": times.rewarding,
        "time/update_s": updated - times.rewarded,
        "time/tokens_per_s": tokens / Math.max(1e-9, times.sampling),
      };
    },
  };
}
