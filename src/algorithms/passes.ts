/** Passes over a rollout, and the clipped step that policies make in each minibatch. */
import * as tf from "@tensorflow/tfjs";
import { createRng } from "../lib/rng.ts";
import { clippedPolicyLoss, POLICY_LOSS_STATISTICS } from "../losses/clipped-policy.ts";
import { entropyTerm } from "../losses/entropy.ts";
import type { ClipOptions, KlOptions } from "../losses/options.ts";
import type { UpdateStatistics } from "../metrics/facts.ts";
import type { OptimizerOptions } from "../optim/options.ts";
import { learningRate } from "../optim/schedule.ts";
import type { ScoredCompletion } from "../types.ts";
import type { Stage } from "./stage.ts";
import { padRows, spread } from "./token-batch.ts";
import { applyGradients, splitByLength } from "./update.ts";

export interface Passes {
  epochs: number;
  minibatches: number;
}

/** One optimizer step's share of the rollout. */
export interface Minibatch<Sample> {
  samples: Sample[];
  /** Learning rate of these options in this optimizer step. */
  rate(options: OptimizerOptions): number;
}

/**
 * Every minibatch of a step, pass after pass, in an order drawn for each pass.
 * @param keepsOrder where a pass is one minibatch its order does not matter, and is left as it is
 */
export function* minibatchesOf<Sample>(
  { settings }: Stage,
  step: number,
  samples: readonly Sample[],
  { epochs, minibatches }: Passes,
  { keepsOrder }: { keepsOrder: boolean },
): Generator<Minibatch<Sample>> {
  const updates = epochs * minibatches;
  const rng = createRng(settings.seed).fork(settings.name, "minibatches", step);
  for (let epoch = 0; epoch < epochs; epoch++) {
    const inOrder = keepsOrder && minibatches === 1;
    const order = inOrder
      ? samples
      : rng
          .fork(epoch)
          .permutation(samples.length)
          .map((i) => samples[i]!);
    const size = Math.ceil(order.length / minibatches);
    for (let m = 0; m < minibatches; m++) {
      const index = step * updates + epoch * minibatches + m;
      yield {
        samples: order.slice(m * size, (m + 1) * size),
        rate: (options) => learningRate(options, index, settings.steps * updates),
      };
    }
  }
}

/** One completion with all that the clipped loss needs. */
export interface PolicySample {
  promptTokens: Int32Array; // [S]
  completion: ScoredCompletion; // T tokens
  /** One for all its tokens, or one for each. [T] */
  advantage: number | ArrayLike<number>;
  /** Weight of each of its tokens in the loss. */
  weight: number;
  /** Index of the token that carries none (selective loss masking). */
  masked: number | null;
  /** Reference logprobs, where the loss has a KL. [T] */
  reference: Float32Array | null;
}

/** A micro-batch as the model takes it, and numbers of its scored tokens as tensors, [K]; inside tidy. @param most see padRows */
export function padSamples<Sample extends Pick<PolicySample, "promptTokens" | "completion">>(
  { policy }: Pick<Stage, "policy">,
  micro: readonly Sample[],
  most: number,
) {
  const padded = padRows(
    micro.map(({ promptTokens, completion }) => ({ prompt: promptTokens, completion: completion.tokens })),
    policy.fewShapes,
    most,
  );
  return {
    batch: padded.batch,
    starts: padded.starts,
    perToken: (of: (sample: Sample, t: number) => number) =>
      tf.tensor1d(spread(padded, (i, t) => of(micro[i]!, t))),
  };
}

export interface ClippedStepOptions extends Passes {
  clip: ClipOptions;
  /** Its place is the loss, or its coefficient 0. */
  kl: KlOptions;
  entropy_coef: number;
  micro_batch_rows?: number | undefined;
}

/**
 * One optimizer step of the policy by the clipped surrogate.
 * @param samples weights are of the whole rollout, of which this is one part in `minibatches`
 * @param most rows that such an update can have
 */
export function clippedStep(
  stage: Stage,
  samples: readonly PolicySample[],
  options: ClippedStepOptions,
  lr: number,
  most: number,
): Promise<UpdateStatistics> {
  const { policy, settings } = stage;
  const { temperature } = settings.rollout;
  const klInLoss = options.kl.coef > 0 && options.kl.place === "loss";
  const entropyBonus = options.entropy_coef > 0;
  return applyGradients(
    stage,
    splitByLength(samples, options.micro_batch_rows),
    lr,
    (micro) => {
      const { batch, starts, perToken } = padSamples(stage, micro, options.micro_batch_rows ?? most);
      const oldLogprobs = perToken(({ completion }, t) => completion.logprobs[t]!);
      const advantages = perToken(({ advantage }, t) =>
        typeof advantage === "number" ? advantage : advantage[t]!,
      );
      const weights = perToken(({ weight, masked }, t) => (t === masked ? 0 : weight * options.minibatches));
      const referenceLogprobs = klInLoss ? perToken(({ reference }, t) => reference![t]!) : null;
      const { logprobs, entropy } = policy.score(batch, { temperature, entropyGradient: entropyBonus }); // [K]
      const { loss: surrogate, statistics } = clippedPolicyLoss(
        { logprobs, oldLogprobs, referenceLogprobs, advantages, weights },
        options.clip,
        options.kl,
      );
      const loss = entropyBonus
        ? tf.sub<tf.Scalar>(surrogate, entropyTerm(entropy, weights, options.entropy_coef))
        : surrogate;
      const masked = micro.filter((sample) => sample.masked !== null).length;
      return { loss, statistics, tokens: starts.at(-1)! - masked };
    },
    POLICY_LOSS_STATISTICS,
  );
}
