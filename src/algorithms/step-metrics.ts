/** From a step that sampled to the facts that its metrics are computed from, for every algorithm that samples. */
import { columnsOf, type Measure, type MetricValues, type Setting, valuesOf } from "../metrics/define.ts";
import type { StepFacts } from "../metrics/facts.ts";
import { sampledAfter, sampledBefore } from "../metrics/table.ts";
import { optimizerMetrics } from "../metrics/update.ts";
import type { Batch, Collector } from "./collect.ts";
import { slicesOf } from "./slices.ts";
import type { Stage } from "./stage.ts";
import type { UpdateSums } from "./update.ts";

/** A step that is over. */
export interface SampledStep extends Pick<StepFacts, "advantages" | "lossAdvantages" | "kl" | "samplerGap"> {
  batch: Batch;
  updates: UpdateSums;
  critic: { updates: UpdateSums; samples: NonNullable<StepFacts["critic"]>["samples"] } | null;
  /** When the updates were done; seconds on the stage's clock. */
  updated: number;
}

export interface StepMetrics {
  /** Names in order. */
  columns: string[];
  of(step: SampledStep): MetricValues;
}

/** @param measures what the algorithm has beside what every step that samples has */
export function stepMetrics(
  stage: Stage,
  { columns: drawing, shaping }: Pick<Collector, "columns" | "shaping">,
  measures: readonly Measure[],
): StepMetrics {
  const { partNames, optimizer } = stage.settings;
  const { size } = stage.train;
  const setting: Setting = {
    size,
    parts: partNames,
    slices: slicesOf(stage.train),
    alarms: [],
    measures: new Set([
      ...measures,
      ...(stage.settings.credit == null ? [] : ["episodes" as const]),
      ...(stage.policy.precision === "f32" ? [] : ["precision" as const]),
    ]),
  };
  return {
    columns: [
      ...columnsOf(sampledBefore, setting),
      ...drawing,
      ...shaping.columns,
      ...columnsOf(sampledAfter, setting),
    ],
    of({ batch, updates, critic, updated, ...step }) {
      const { groups, scored, shaped, times, precisionGap } = batch;
      const facts: StepFacts = {
        ...step,
        groups,
        scored,
        precisionGap,
        drawn: batch.drawnSoFar,
        size,
        shaped: shaped.rewards,
        declared: { ...batch.metrics, ...shaped.metrics },
        updates: updates.updates,
        lr: updates.lr,
        clipNorm: optimizer.clip_norm,
        critic:
          critic === null
            ? null
            : { updates: critic.updates.updates, lr: critic.updates.lr, samples: critic.samples },
        times: { sampling: times.sampling, rewarding: times.rewarding, updating: updated - times.rewarded },
        optimizerSteps: stage.optimizer.steps,
        tensors: stage.policy.tensorsInUse(),
      };
      return {
        ...valuesOf(sampledBefore, setting, facts),
        ...facts.declared,
        ...valuesOf(sampledAfter, setting, facts),
        ...valuesOf(optimizerMetrics, setting, facts),
      };
    },
  };
}
