/**
 * Supervised fine-tuning on targets: loss on the completion's tokens only, mean over tokens of the step.
 * Also how the laboratory's base models are made, from random weights.
 */
import * as tf from "@tensorflow/tfjs";
import { DataError } from "../../lib/errors.ts";
import { createRng } from "../../lib/rng.ts";
import { crossEntropyLoss } from "../../losses/cross-entropy.ts";
import { columnsOf, type Setting, valuesOf } from "../../metrics/define.ts";
import type { SupervisedFacts } from "../../metrics/facts.ts";
import { supervisedMetrics } from "../../metrics/loop.ts";
import { optimizerMetrics } from "../../metrics/update.ts";
import { learningRate } from "../../optim/schedule.ts";
import { encodeExample } from "../../rollouts/encode.ts";
import { shuffledOrder } from "../../samplers/shuffled-order.ts";
import type { Prompt } from "../../types.ts";
import { runSteps, type Stage, type StageResult } from "../stage.ts";
import { bucket, firstFit, packRows, spread, type TokenRow } from "../token-batch.ts";
import { applyGradients } from "../update.ts";
import type { SftOptions } from "./options.ts";

export async function trainSft(stage: Stage<SftOptions>): Promise<StageResult> {
  const { settings, policy } = stage;
  const { clock } = stage.services;
  const options = settings.algorithm;
  const order = shuffledOrder(stage.train, createRng(settings.seed).fork(settings.name));
  const position = { next: 0, drawn: [] as TokenRow[] };
  const { size } = stage.train;
  const setting: Setting = { size, parts: [], slices: [], alarms: [], measures: new Set() };

  // rows are a function of the stream's beginning: a resumed run reads up to where it stopped
  for (let step = 0; step < stage.state.stepsDone; step++) nextRows(stage, order.draw, position);

  return runSteps(stage, columnsOf(supervisedMetrics, setting), async (step) => {
    // 1. the step's rows, several examples in each when packing
    const began = clock();
    const rows = nextRows(stage, order.draw, position);

    // 2. every target token weighs the same
    const targets = rows.flat().reduce((sum, row) => sum + learntTokens(row), 0);
    const length = options.row_length ?? bucket(Math.max(...rows.map(rowTokens)));

    // 3. forward, backward and AdamW, in micro-batches
    const lr = learningRate(settings.optimizer, step, settings.steps);
    const microRows = options.micro_batch_rows ?? rows.length;
    const microBatches = Array.from({ length: Math.ceil(rows.length / microRows) }, (_, i) =>
      rows.slice(i * microRows, (i + 1) * microRows),
    );
    policy.look(rows.flat().map(({ pictures }) => pictures));
    const statistics = await applyGradients(
      stage,
      microBatches,
      lr,
      (micro) => {
        const padded = packRows(micro, length, policy.fewShapes);
        const { batch, starts } = padded;
        const examples = micro.flat();
        const weightOf = (row: number, token: number) =>
          examples[row]!.learnt?.[token] === false ? 0 : 1 / targets;
        const weights = tf.tensor1d(spread(padded, weightOf)); // [K]
        const { logprobs } = policy.score(batch, { temperature: 1 });
        return { loss: crossEntropyLoss(logprobs, weights), statistics: null, tokens: starts.at(-1)! };
      },
      [],
    );

    // 4. what is written down
    const used = rows.reduce((sum, row) => sum + rowTokens(row), 0);
    const facts: SupervisedFacts = {
      drawn: position.next,
      size,
      targets,
      used,
      padded: rows.length * length,
      seconds: clock() - began,
      updates: [statistics],
      lr,
      clipNorm: settings.optimizer.clip_norm,
      optimizerSteps: stage.optimizer.steps,
      tensors: policy.tensorsInUse(),
    };
    return { ...valuesOf(supervisedMetrics, setting, facts), ...valuesOf(optimizerMetrics, setting, facts) };
  });
}

/** Draws examples until they fill the step's rows; what does not fit waits for the next step. */
function nextRows(
  stage: Stage<SftOptions>,
  draw: (start: number, count: number) => Prompt[],
  position: { next: number; drawn: TokenRow[] },
): TokenRow[][] {
  const options = stage.settings.algorithm;
  const take = (count: number) => {
    position.drawn.push(...draw(position.next, count).map((prompt) => example(stage, prompt)));
    position.next += count;
  };
  if (!options.packing) {
    take(options.rows_per_step);
    return position.drawn.splice(0).map((row) => [row]);
  }
  const rowLength = options.row_length!;
  let rows = firstFit(position.drawn, rowLength);
  while (rows.length <= options.rows_per_step) {
    take(options.rows_per_step);
    rows = firstFit(position.drawn, rowLength);
  }
  const full = rows.slice(0, options.rows_per_step);
  const used = new Set(full.flat());
  position.drawn = position.drawn.filter((row) => !used.has(row));
  return full;
}

function example(stage: Stage<SftOptions>, prompt: Prompt): TokenRow {
  if (prompt.target === undefined && prompt.conversation === undefined) {
    throw new DataError(
      `prompt ${prompt.id} of ${stage.train.name} has no target: supervised training needs one (data.train.target, or data.train.messages.learn)`,
    );
  }
  const { maxPromptTokens, algorithm } = stage.settings;
  const row = encodeExample(stage.tokenizer, prompt, maxPromptTokens, algorithm.end_token);
  const limit = stage.settings.algorithm.row_length ?? Number.POSITIVE_INFINITY;
  if (rowTokens([row]) > limit) {
    throw new DataError(
      `example ${prompt.id} has ${rowTokens([row])} tokens, algorithm.row_length is ${limit}: raise it or drop the row`,
    );
  }
  return row;
}

function learntTokens({ completion, learnt }: TokenRow): number {
  return learnt?.filter(Boolean).length ?? completion.length;
}

function rowTokens(row: readonly TokenRow[]): number {
  return row.reduce((sum, { prompt, completion }) => sum + prompt.length + completion.length, 0);
}
