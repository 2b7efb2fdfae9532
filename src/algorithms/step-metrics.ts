/** From a step that sampled to the facts that its metrics are computed from, for every algorithm that samples. */
import * as tf from "@tensorflow/tfjs";
import { columnsOf, type Measure, type MetricValues, type Setting, valuesOf } from "../metrics/define.ts";
import type { StepFacts } from "../metrics/facts.ts";
import { sampledAfter, sampledBefore } from "../metrics/table.ts";
import { optimizerMetrics } from "../metrics/update.ts";
import { type Shaped, shapingColumns } from "../rewards/shaping.ts";
import type { RolloutStage } from "./rollout.ts";
import { slicesOf } from "./slices.ts";
import type { UpdateSums } from "./update.ts";

/** A step that is over. */
export interface SampledStep
  extends Pick<
    StepFacts,
    "groups" | "scored" | "advantages" | "lossAdvantages" | "precisionGap" | "kl" | "clipNorm" | "times"
  > {
  /** Prompts drawn in the stage before this step. */
  position: number;
  shaped: Shaped;
  updates: UpdateSums;
  critic: { updates: UpdateSums; samples: NonNullable<StepFacts["critic"]>["samples"] } | null;
}

export interface StepMetrics {
  /** Names in order. */
  columns: string[];
  of(step: SampledStep): MetricValues;
}

/** @param measures what the algorithm has beside what every step that samples has */
export function stepMetrics(stage: RolloutStage, measures: readonly Measure[]): StepMetrics {
  const { size } = stage.train;
  const setting: Setting = {
    size,
    parts: stage.partNames,
    slices: slicesOf(stage.train),
    alarms: [],
    measures: new Set([...measures, ...(stage.policy.precision === "f32" ? [] : ["precision" as const])]),
  };
  return {
    columns: [
      ...columnsOf(sampledBefore, setting),
      ...shapingColumns(stage.shaping),
      ...columnsOf(sampledAfter, setting),
    ],
    of({ position, shaped, updates, critic, ...step }) {
      const facts: StepFacts = {
        ...step,
        drawn: position + step.groups.length,
        size,
        shaped: shaped.rewards,
        updates: updates.updates,
        lr: updates.lr,
        critic:
          critic === null
            ? null
            : { updates: critic.updates.updates, lr: critic.updates.lr, samples: critic.samples },
        optimizerSteps: stage.optimizer.steps,
        tensors: tf.memory().numTensors,
      };
      return {
        ...valuesOf(sampledBefore, setting, facts),
        ...shaped.metrics,
        ...valuesOf(sampledAfter, setting, facts),
        ...valuesOf(optimizerMetrics, setting, facts),
      };
    },
  };
}
