/** Times forward+backward and generation of one shape on the current backend. */

import * as tf from "@tensorflow/tfjs";
import { peakMemory } from "../../src/lib/peak-memory.ts";
import { createRng } from "../../src/lib/rng.ts";
import type { TokenBatch } from "../../src/policy/interfaces.ts";
import { type DecoderPolicy, initPolicy } from "../../src/policy/policy.ts";
import type { BenchShape } from "./shapes.ts";

export interface Timing {
  /** Median over the runs. */
  seconds: number;
  /** All of them, in order, warm-up left out. */
  runs: number[];
  tokensPerSecond: number;
}

export interface Measurement {
  shape: string;
  parameters: number;
  /** tokens: all of the batch. gflops: 6 * parameters * tokens, the usual count of a training pass. */
  pass: Timing & { gflops: number; loss: number; gradientNorm: number };
  /** tokens: the new ones; the time includes the prompts' prefill. */
  generation: Timing;
  /** Largest resident size of the process so far. */
  peakBytes: number;
}

export interface MeasureOptions {
  /** Runs to take the median of, while they last less than `budgetSeconds` together. */
  runs: number;
  budgetSeconds: number;
}

export async function measureShape(shape: BenchShape, options: MeasureOptions): Promise<Measurement> {
  const policy = initPolicy(shape.config, createRng(1).fork("bench", shape.name));
  try {
    const parameters = policy.parameterCount;
    const batch = makeBatch(shape);
    let result = { loss: 0, gradientNorm: 0 };
    const pass = await time(options, async () => {
      result = await forwardBackward(policy, batch);
    });
    const generation = await time(options, () => generate(policy, shape));
    const tokens = shape.rows * shape.length;
    const { prompts, repeats, newTokens } = shape.generation;
    return {
      shape: shape.name,
      parameters,
      pass: {
        ...pass,
        tokensPerSecond: tokens / pass.seconds,
        gflops: (6 * parameters * tokens) / pass.seconds / 1e9,
        ...result,
      },
      generation: { ...generation, tokensPerSecond: (prompts * repeats * newTokens) / generation.seconds },
      peakBytes: peakMemory(),
    };
  } finally {
    policy.dispose();
  }
}

/** Rows of random tokens, all but the last of each predicting the next. */
export function makeBatch(shape: BenchShape): TokenBatch {
  const { rows, length } = shape;
  const vocabulary = shape.config["vocab_size"] as number;
  const rng = createRng(2).fork("bench", shape.name);
  return fullRows(
    Int32Array.from({ length: rows * length }, (_, i) => rng.integer(vocabulary, i)),
    length,
  );
}

/** Rows without padding; every token but the first of a row is scored. @param tokens [rows * length] */
export function fullRows(tokens: Int32Array, length: number): TokenBatch {
  const rows = tokens.length / length;
  const scored = tokens.length - rows;
  const scoredAt = Int32Array.from({ length: scored }, (_, i) => i + Math.floor(i / (length - 1)));
  return {
    rows,
    length,
    tokens,
    segments: new Int32Array(tokens.length).fill(1),
    positions: Int32Array.from(tokens, (_, i) => i % length),
    scoredAt,
    targets: scoredAt.map((at) => tokens[at + 1]!),
  };
}

/** Mean negative log-likelihood and the norm of its gradient, both read back. */
export async function forwardBackward(
  policy: DecoderPolicy,
  batch: TokenBatch,
): Promise<{ loss: number; gradientNorm: number }> {
  const both = tf.tidy(() => {
    const { loss, gradients } = policy.lossAndGradients(
      () => tf.neg(tf.mean(policy.score(batch, { temperature: 1 }).logprobs)) as tf.Scalar,
    );
    const squares = [...gradients.values()].map((gradient) => tf.sum(tf.square(gradient)));
    return tf.stack([loss, tf.sqrt(tf.addN(squares))]);
  });
  try {
    const [loss, gradientNorm] = await both.data();
    return { loss: loss!, gradientNorm: gradientNorm! };
  } finally {
    both.dispose();
  }
}

/**
 * Prefill and all steps. The logits are read back as a sampler needs them and tokens are fixed, or a program samples
 * by itself where the backend compiles one.
 */
async function generate(policy: DecoderPolicy, shape: BenchShape): Promise<void> {
  const { prompts, repeats, promptTokens, newTokens } = shape.generation;
  const rng = createRng(3).fork("bench", shape.name);
  const token = (index: number) => rng.integer(policy.vocabSize, index);
  const ids = Array.from({ length: prompts }, (_, p) =>
    Int32Array.from({ length: promptTokens }, (_, i) => token(p * promptTokens + i)),
  );
  if (policy.sampleRows) {
    const draws = createRng(4).fork("bench", shape.name);
    await policy.sampleRows(ids, {
      repeats,
      maxNewTokens: newTokens,
      temperature: 1,
      top_p: 1,
      top_k: 0,
      min_p: 0,
      eosIds: [],
      uniform: (row, t) => draws.uniform(row * newTokens + t),
      constraint: () => undefined,
      constrainedTokens: 0,
      ended: () => false,
    });
    return;
  }
  const session = await policy.startGeneration(ids, { repeats, maxNewTokens: newTokens });
  try {
    const next = new Int32Array(session.rows);
    for (let step = 1; step < newTokens; step++) {
      for (let row = 0; row < next.length; row++) next[row] = token(1e6 + step * next.length + row);
      await session.step(next);
    }
  } finally {
    session.dispose();
  }
}

/** One warm-up run, unless it shows that a run is long: then it counts, and is the only one. */
async function time(
  options: MeasureOptions,
  work: () => Promise<void>,
): Promise<Omit<Timing, "tokensPerSecond">> {
  const once = async () => {
    const begin = process.hrtime.bigint();
    await work();
    return Number(process.hrtime.bigint() - begin) / 1e9;
  };
  const first = await once();
  if (first > options.budgetSeconds) return { seconds: first, runs: [first] };
  const runs: number[] = [];
  let spent = 0;
  while (runs.length < options.runs && (runs.length < 3 || spent < options.budgetSeconds)) {
    const seconds = await once();
    runs.push(seconds);
    spent += seconds;
  }
  return { seconds: median(runs), runs };
}

/** @param values at least one */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
