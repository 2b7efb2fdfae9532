/**
 * What other policy losses would make of an update: their gradients at the same weights, on the same samples, with the same
 * weights of the mean and the same KL and entropy terms. Nothing is learned from them.
 */
import * as tf from "@tensorflow/tfjs";
import type { Rng } from "../lib/rng.ts";
import { type PolicyLossOptions, policyLosses } from "../losses/policy-kinds.ts";
import { importanceOf, statisticsOf } from "../losses/policy-loss.ts";
import {
  advantageOf,
  lossInput,
  microBatchLoss,
  type PolicySample,
  type PolicyStepOptions,
  padSamples,
} from "./passes.ts";
import type { Stage } from "./stage.ts";
import { selectTokens } from "./token-selection.ts";
import { addStatistics, splitByLength, sumGradients } from "./update.ts";

/** What a loss is at one update. */
export interface LossReading {
  loss: PolicyLossOptions["kind"];
  /** The loss that the update is made by. */
  own: boolean;
  value: number;
  /** Squared norm of its gradient over all trained weights, and inner product with the own loss's. */
  square: number;
  product: number;
  /** Tokens that have an advantage and carry loss; of them, those that the loss holds or leaves out. */
  tokens: number;
  held: number;
  /** Sums of the weights that it gives these tokens' policy gradients, and of the squares. */
  importance: number;
  importanceSquared: number;
}

/** @param samples of the update, none left out, as the update's loss finds them @param draws of the update */
export type LossProbe = (
  stage: Stage,
  samples: readonly PolicySample[],
  options: PolicyStepOptions,
  draws: Rng,
) => Promise<void>;

/** Every loss with the options it has of itself; the recipe's own as it says. @param kinds null: all */
export function comparedLosses(
  own: PolicyLossOptions,
  kinds: readonly PolicyLossOptions["kind"][] | null,
): PolicyLossOptions[] {
  const others = policyLosses
    .filter(({ kind }) => kind !== own.kind && (kinds === null || kinds.includes(kind)))
    .map(({ kind, options }): PolicyLossOptions => options.parse({ kind }));
  return [own, ...others];
}

/** @param seen called once an update, the own loss first */
export function openLossProbe(
  losses: readonly PolicyLossOptions[],
  seen: (readings: LossReading[]) => void,
): LossProbe {
  return async (stage, samples, options, draws) => {
    const readings: LossReading[] = [];
    let ownGradient: ReadonlyMap<string, Float32Array> | null = null;
    for (const [i, loss] of losses.entries()) {
      const { reading, gradient } = await readLoss(stage, samples, { ...options, loss }, draws);
      ownGradient ??= gradient;
      const product = inner(ownGradient, gradient);
      readings.push({ ...reading, own: i === 0, square: inner(gradient, gradient), product });
    }
    seen(readings);
  };
}

async function readLoss(
  stage: Stage,
  samples: readonly PolicySample[],
  options: PolicyStepOptions,
  draws: Rng,
): Promise<{
  reading: Omit<LossReading, "own" | "square" | "product">;
  gradient: Map<string, Float32Array>;
}> {
  const { samples: chosen } = selectTokens(samples, options.loss, draws);
  const most = options.micro_batch_rows ?? samples.length;
  const live = chosen.filter(({ weight }) => weight > 0);
  const microBatches = splitByLength(live, options.micro_batch_rows);
  const names = statisticsOf(options.loss);
  const made = sumGradients(stage.policy, microBatches, (micro) =>
    microBatchLoss(stage, micro, options, most),
  );
  const gradient = new Map<string, Float32Array>();
  const statistics: Record<string, number> = {};
  let value = 0;
  try {
    for (const [name, tensor] of made.gradients) gradient.set(name, (await tensor.data<"float32">()).slice());
    for (const loss of made.losses) value += (await loss.data())[0]!;
    for (const values of made.statistics) addStatistics(statistics, names, await values.data());
  } finally {
    tf.dispose([...made.gradients.values(), ...made.losses, ...made.statistics]);
  }
  const before = new Map(chosen.map((sample, i) => [sample, samples[i]!]));
  const weights = { tokens: 0, held: 0, importance: 0, importanceSquared: 0 };
  for (const micro of microBatches) {
    const sums = tf.tidy(() => {
      const { input } = lossInput(stage, micro, options, most);
      // tokens that had an advantage before the loss dropped any
      const had = padSamples(stage, micro, most).perToken((sample, t) => advantageOf(before.get(sample)!, t));
      const counted = tf.cast(tf.logicalAnd(tf.greater(input.weights, 0), tf.notEqual(had, 0)), "float32");
      const left = tf.cast(tf.notEqual(input.advantages, 0), "float32");
      const importance = tf.mul(tf.mul(importanceOf(input, options), left), counted);
      return tf.stack([
        tf.sum(counted),
        tf.sum(tf.mul(tf.sub(1, left), counted)),
        tf.sum(importance),
        tf.sum(tf.square(importance)),
      ]);
    });
    const [tokens, dropped, importance, squared] = await sums.data();
    sums.dispose();
    weights.tokens += tokens!;
    weights.held += dropped!;
    weights.importance += importance!;
    weights.importanceSquared += squared!;
  }
  weights.held += (statistics["clipped_low"] ?? 0) + (statistics["clipped_high"] ?? 0);
  return { reading: { loss: options.loss.kind, value, ...weights }, gradient };
}

function inner(a: ReadonlyMap<string, Float32Array>, b: ReadonlyMap<string, Float32Array>): number {
  let sum = 0;
  for (const [name, values] of a) {
    const others = b.get(name)!;
    for (let i = 0; i < values.length; i++) sum += values[i]! * others[i]!;
  }
  return sum;
}
