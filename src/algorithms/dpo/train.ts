/**
 * DPO, direct preference optimisation (R. Rafailov et al., arXiv:2305.18290): from pairs of a chosen and a rejected text, without
 * samples and without a reward. The reference is the policy that the stage began with: a frozen copy, or the adapter
 * switched off.
 */
import * as tf from "@tensorflow/tfjs";
import { DataError } from "../../lib/errors.ts";
import { createRng } from "../../lib/rng.ts";
import { DPO_STATISTICS, dpoLoss } from "../../losses/dpo.ts";
import { columnsOf, type Setting, valuesOf } from "../../metrics/define.ts";
import { type PreferenceFacts, preferenceMetrics } from "../../metrics/preference.ts";
import { optimizerMetrics } from "../../metrics/update.ts";
import { learningRate } from "../../optim/schedule.ts";
import { encodePrompt, encodeTarget } from "../../rollouts/encode.ts";
import { shuffledOrder } from "../../samplers/shuffled-order.ts";
import type { Prompt } from "../../types.ts";
import { runSteps, type Stage, type StageResult } from "../stage.ts";
import { type PaddedBatch, padRows, spread, type TokenRow } from "../token-batch.ts";
import { applyGradients } from "../update.ts";
import type { DpoOptions } from "./options.ts";

/** Chosen and rejected, on the same prompt. */
interface Pair {
  rows: [TokenRow, TokenRow];
  /** log ref of both texts, nats. */
  reference: [number, number];
}

export async function trainDpo(stage: Stage<DpoOptions>): Promise<StageResult> {
  const { settings } = stage;
  const { clock } = stage.services;
  const options = settings.algorithm;
  const order = shuffledOrder(stage.train, createRng(settings.seed).fork(settings.name));
  const { size } = stage.train;
  const setting: Setting = { size, parts: [], slices: [], alarms: [], measures: new Set() };
  const pairsAtOnce = Math.floor((options.micro_batch_rows ?? 2 * options.pairs_per_step) / 2);

  return runSteps(stage, columnsOf(preferenceMetrics, setting), async (step) => {
    // 1. the step's pairs
    const began = clock();
    const drawn = order.draw(step * options.pairs_per_step, options.pairs_per_step);
    const rows = drawn.map((prompt) => encodePair(stage, prompt));
    const chunks = Array.from({ length: Math.ceil(rows.length / pairsAtOnce) }, (_, i) =>
      rows.slice(i * pairsAtOnce, (i + 1) * pairsAtOnce),
    );

    // 2. logprobs of both texts under the reference policy
    stage.policy.look(rows.flat().map(({ pictures }) => pictures));
    const microBatches: Pair[][] = [];
    for (const chunk of chunks) microBatches.push(await withReference(stage, chunk, pairsAtOnce));

    // 3. forward, backward and AdamW, in micro-batches of whole pairs
    const lr = learningRate(settings.optimizer, step, settings.steps);
    const update = await applyGradients(
      stage,
      microBatches,
      lr,
      (micro) => {
        const padded = padPairs(stage, micro, pairsAtOnce);
        const reference = tf.tensor1d(micro.flatMap((pair) => pair.reference)); // [2 Q]
        const texts = textLogprobs(stage, padded, 2 * micro.length, false); // [2 Q]
        const { loss, statistics } = dpoLoss(texts, reference, options, 1 / rows.length);
        return { loss, statistics, tokens: padded.starts.at(-1)! };
      },
      DPO_STATISTICS,
    );

    // 4. what is written down
    const facts: PreferenceFacts = {
      drawn: (step + 1) * options.pairs_per_step,
      size,
      pairs: rows.length,
      updates: [update],
      lr,
      clipNorm: settings.optimizer.clip_norm,
      optimizerSteps: stage.optimizer.steps,
      tensors: stage.policy.tensorsInUse(),
      seconds: clock() - began,
    };
    return { ...valuesOf(preferenceMetrics, setting, facts), ...valuesOf(optimizerMetrics, setting, facts) };
  });
}

function encodePair({ settings, tokenizer, train }: Stage<DpoOptions>, prompt: Prompt): Pair["rows"] {
  const { pair } = prompt;
  if (pair === undefined) {
    throw new DataError(`prompt ${prompt.id} of ${train.name} has no pair: DPO needs one (data.train.pair)`);
  }
  // one array for both, so that the prompt is computed once
  const { tokens: promptTokens, pictures } = encodePrompt(tokenizer, prompt, settings.maxPromptTokens);
  const row = (text: string): TokenRow => {
    const completion = encodeTarget(tokenizer, prompt, text, settings.algorithm.end_token);
    const length = promptTokens.length + completion.length;
    if (length > settings.maxPromptTokens) {
      throw new DataError(
        `pair ${prompt.id} of ${train.name} has a text of ${length} tokens with its prompt, the model takes ${settings.maxPromptTokens}`,
      );
    }
    return { prompt: promptTokens, pictures, completion };
  };
  return [row(pair.chosen), row(pair.rejected)];
}

async function withReference(
  stage: Stage<DpoOptions>,
  rows: readonly Pair["rows"][],
  pairsAtOnce: number,
): Promise<Pair[]> {
  const pairs = rows.map((one): Pair => ({ rows: one, reference: [0, 0] }));
  const sums = tf.tidy(() => textLogprobs(stage, padPairs(stage, pairs, pairsAtOnce), 2 * rows.length, true));
  const numbers = await sums.data<"float32">();
  sums.dispose();
  return pairs.map((pair, i) => ({ ...pair, reference: [numbers[2 * i]!, numbers[2 * i + 1]!] }));
}

function padPairs({ policy }: Stage<DpoOptions>, pairs: readonly Pair[], pairsAtOnce: number): PaddedBatch {
  return padRows(
    pairs.flatMap(({ rows }) => rows),
    policy.fewShapes,
    2 * pairsAtOnce,
  );
}

/** Logprob of each row's whole completion, differentiable for the policy. Inside tidy. [rows] */
function textLogprobs(
  { policy }: Stage<DpoOptions>,
  padded: PaddedBatch,
  rows: number,
  reference: boolean,
): tf.Tensor1D {
  const { logprobs } = policy.score(padded.batch, { temperature: 1, reference }); // [K]
  const memberOf = (row: number) => spread(padded, (i) => (i === row ? 1 : 0)); // [K]
  const members = Array.from({ length: rows }, (_, row) => Array.from(memberOf(row)));
  const sums = tf.matMul(tf.tensor2d(members), tf.reshape(logprobs, [-1, 1])); // [rows, 1]
  return tf.reshape(sums, [rows]);
}
