/** One optimizer step over micro-batches whose losses add up, and its statistics. */
import * as tf from "@tensorflow/tfjs";
import { RlptError } from "../lib/errors.ts";
import type { UpdateStatistics } from "../metrics/facts.ts";
import type { AdamW } from "../optim/adamw.ts";
import type { Trainee } from "../policy/interfaces.ts";
import { batchShape, byPrompt } from "./token-batch.ts";

export interface MicroBatchLoss {
  loss: tf.Scalar;
  /** Sums over tokens; see the loss's list of names. */
  statistics: tf.Tensor1D | null;
  /** Tokens that the sums count. */
  tokens: number;
}

/**
 * Adds up the gradients of the micro-batches, clips, and makes one AdamW step. Without any micro-batch the
 * gradient is 0: the moments decay, as they would in PyTorch.
 * @throws RlptError when the loss or the gradient's norm is not finite; the weights are spoilt then
 * @param lossOf builds the loss of one micro-batch; runs inside tidy
 * @param names of the statistics it returns
 */
export async function applyGradients<T>(
  { policy, optimizer }: { policy: Trainee; optimizer: AdamW },
  microBatches: readonly T[],
  lr: number,
  lossOf: (microBatch: T) => MicroBatchLoss,
  names: readonly string[],
): Promise<UpdateStatistics> {
  const total: UpdateStatistics = { loss: 0, gradientNorm: 0, tokens: 0, statistics: {} };
  // read after the optimizer's step: a backend that compiles programs makes one of it all
  const { gradients: sum, losses, statistics, tokens } = sumGradients(policy, microBatches, lossOf);
  total.tokens = tokens;
  let norm: tf.Scalar | null = null;
  try {
    for (const [name, { shape }] of policy.trainable) if (!sum.has(name)) sum.set(name, tf.zeros(shape));
    norm = optimizer.step(sum, lr);
    tf.dispose([...sum.values()]);
    sum.clear();
    total.gradientNorm = (await norm.data())[0]!;
    for (const loss of losses) total.loss += (await loss.data())[0]!;
    for (const values of statistics) addStatistics(total.statistics, names, await values.data());
    if (!Number.isFinite(total.gradientNorm) || !Number.isFinite(total.loss)) {
      throw new RlptError(
        `the loss is ${total.loss} and the gradient's norm ${total.gradientNorm}: the run stops before they reach a checkpoint. ` +
          `Lower optimizer.lr (${lr} in this step) and start from a checkpoint before; ` +
          "if this is the first step, see with rlpt sample whether the model itself speaks sense.",
      );
    }
  } finally {
    tf.dispose([...sum.values(), ...losses, ...statistics]);
    norm?.dispose();
  }
  return total;
}

/** What micro-batches add up to; the caller disposes the tensors. */
export interface SummedGradients {
  /** A weight that no micro-batch reaches is absent. */
  gradients: Map<string, tf.Tensor>;
  /** One of each micro-batch, as with statistics. */
  losses: tf.Scalar[];
  statistics: tf.Tensor1D[];
  tokens: number;
}

export function sumGradients<T>(
  policy: Trainee,
  microBatches: readonly T[],
  lossOf: (microBatch: T) => MicroBatchLoss,
): SummedGradients {
  const sum = new Map<string, tf.Tensor>();
  const losses: tf.Scalar[] = [];
  const statistics: tf.Tensor1D[] = [];
  let tokens = 0;
  const accumulates = microBatches.length > 1;
  try {
    if (accumulates) for (const [name, { shape }] of policy.trainable) sum.set(name, tf.zeros(shape));
    for (const microBatch of microBatches) {
      const { loss, gradients } = policy.lossAndGradients(() => {
        const result = lossOf(microBatch);
        if (result.statistics !== null) statistics.push(tf.keep(result.statistics));
        tokens += result.tokens;
        return result.loss;
      });
      losses.push(loss);
      for (const [name, gradient] of gradients) {
        const before = sum.get(name);
        if (before === undefined) sum.set(name, gradient);
        else {
          sum.set(name, tf.add(before, gradient));
          tf.dispose([before, gradient]);
        }
      }
      // one program serves every micro-batch, and its memory is free before the next
      if (accumulates) policy.settle();
    }
  } catch (error) {
    tf.dispose([...sum.values(), ...losses, ...statistics]);
    throw error;
  }
  return { gradients: sum, losses, statistics, tokens };
}

export function addStatistics(
  total: Record<string, number>,
  names: readonly string[],
  values: ArrayLike<number>,
): void {
  for (const [i, name] of names.entries()) {
    const before = total[name];
    const value = values[i]!;
    if (before === undefined) total[name] = value;
    else total[name] = name.startsWith("largest_") ? Math.max(before, value) : before + value;
  }
}

/** Collects the updates of one step, from which src/metrics computes. */
export class UpdateSums {
  readonly updates: UpdateStatistics[] = [];
  /** Of the last one. */
  lr = 0;

  add(update: UpdateStatistics, lr: number): void {
    this.updates.push(update);
    this.lr = lr;
  }
}

/**
 * Splits samples into micro-batches: rows of like length together, so that little is padded, or the rows of a prompt
 * together, so that it is computed once, whichever is fewer tokens.
 * @param rows of a micro-batch; all when absent
 */
export function splitByLength<T extends { promptTokens: Int32Array; completion: { tokens: Int32Array } }>(
  samples: readonly T[],
  rows: number | undefined,
): T[][] {
  const length = ({ promptTokens, completion }: T) => promptTokens.length + completion.tokens.length;
  const sorted = [...samples].sort((a, b) => length(b) - length(a));
  const size = rows ?? Math.max(1, sorted.length);
  const byLength = chunks(sorted, size);
  if (byLength.length < 2) return byLength;
  const groups = byPrompt(sorted.map(({ promptTokens }) => ({ prompt: promptTokens })));
  const together: T[][] = [];
  for (const part of groups.flatMap((group) => chunks(group, size))) {
    const own = part.map((i) => sorted[i]!);
    const last = together.at(-1);
    if (last !== undefined && last.length + own.length <= size) last.push(...own);
    else together.push(own);
  }
  return tokensOf(together) < tokensOf(byLength) ? together : byLength;
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) =>
    items.slice(i * size, (i + 1) * size),
  );
}

/** Tokens computed, padding included. */
function tokensOf<T extends { promptTokens: Int32Array; completion: { tokens: Int32Array } }>(
  microBatches: readonly T[][],
): number {
  return microBatches.reduce((sum, micro) => {
    const { rows, length } = batchShape(
      micro.map(({ promptTokens, completion }) => ({ prompt: promptTokens, completion: completion.tokens })),
    );
    return sum + rows * length;
  }, 0);
}
