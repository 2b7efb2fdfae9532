/** Passes over a rollout, and the step that a policy makes in each minibatch. */
import * as tf from "@tensorflow/tfjs";
import { createRng } from "../lib/rng.ts";
import { isSampled, sampledCount } from "../lib/sampled.ts";
import { entropyTerm } from "../losses/entropy.ts";
import type { ClipOptions, KlOptions } from "../losses/options.ts";
import { type PolicyLossOptions, policyLossOf } from "../losses/policy-kinds.ts";
import { type FamilyLossInput, policyLoss, statisticsOf } from "../losses/policy-loss.ts";
import type { UpdateStatistics } from "../metrics/facts.ts";
import type { OptimizerOptions } from "../optim/options.ts";
import { learningRate } from "../optim/schedule.ts";
import type { PromptPictures, ScoredCompletion } from "../types.ts";
import type { Stage } from "./stage.ts";
import { padRows, spread } from "./token-batch.ts";
import { applyGradients, type MicroBatchLoss, splitByLength } from "./update.ts";

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

/** One completion with all that a policy loss needs. */
export interface PolicySample {
  promptTokens: Int32Array; // [S]
  pictures: PromptPictures | null;
  completion: ScoredCompletion; // T tokens
  /** One for all its tokens, or one for each. [T] */
  advantage: number | ArrayLike<number>;
  /** Weight of each of its tokens in the loss. */
  weight: number;
  /** Index of the token that carries none (selective loss masking). */
  masked: number | null;
  /** Reference logprobs, where the loss has a KL. [T] */
  reference: Float32Array | null;
  /** Logprobs that the ratio is taken to, where they are not those of the rollout. [T] */
  old?: Float32Array | null;
  /** 1 for tokens that the loss treats apart, where it selects any. [T] */
  selected?: Uint8Array | null;
}

/** Of one of its tokens. */
export function advantageOf({ advantage }: PolicySample, t: number): number {
  return typeof advantage === "number" ? advantage : advantage[t]!;
}

/** Does the token carry loss? */
export function carriesLoss({ completion, masked }: PolicySample, t: number): boolean {
  return t !== masked && isSampled(completion, t);
}

/**
 * A micro-batch as the model takes it, and numbers of its scored tokens as tensors, [K], or with a row for each completion that
 * there can be, [most, K]; inside tidy.
 * @param most see padRows
 */
export function padSamples<Sample extends Pick<PolicySample, "promptTokens" | "pictures" | "completion">>(
  { policy }: Pick<Stage, "policy">,
  micro: readonly Sample[],
  most: number,
) {
  const padded = padRows(
    micro.map(({ promptTokens, pictures, completion }) => ({
      prompt: promptTokens,
      pictures,
      completion: completion.tokens,
    })),
    policy.fewShapes,
    most,
  );
  return {
    batch: padded.batch,
    starts: padded.starts,
    perToken: (of: (sample: Sample, t: number) => number) =>
      tf.tensor1d(spread(padded, (i, t) => of(micro[i]!, t))),
    perCompletion(of: (sample: Sample, t: number) => number) {
      const count = padded.batch.targets.length;
      const values = new Float32Array(most * count);
      for (const [i, sample] of micro.entries()) {
        values.set(
          spread(padded, (one, t) => (one === i ? of(sample, t) : 0)),
          i * count,
        );
      }
      return tf.tensor2d(values, [most, count]);
    },
  };
}

export interface PolicyStepOptions extends Passes {
  loss: PolicyLossOptions;
  clip: ClipOptions;
  /** Its place is the loss, or its coefficient 0. */
  kl: KlOptions;
  entropy_coef: number;
  micro_batch_rows?: number | undefined;
}

/**
 * One optimizer step of the policy.
 * @param samples weights are of the whole rollout, of which this is one part in `minibatches`
 * @param most rows that such an update can have
 */
export function policyStep(
  stage: Stage,
  samples: readonly PolicySample[],
  options: PolicyStepOptions,
  lr: number,
  most: number,
): Promise<UpdateStatistics> {
  stage.policy.look(samples.map(({ pictures }) => pictures));
  return applyGradients(
    stage,
    splitByLength(samples, options.micro_batch_rows),
    lr,
    (micro) => microBatchLoss(stage, micro, options, options.micro_batch_rows ?? most),
    statisticsOf(options.loss),
  );
}

/** The loss of some completions; inside tidy. @param most rows that a micro-batch can have */
export function microBatchLoss(
  stage: Stage,
  micro: readonly PolicySample[],
  options: Omit<PolicyStepOptions, "epochs">,
  most: number,
): MicroBatchLoss {
  const { input, entropy, tokens } = lossInput(stage, micro, options, most);
  const { loss: surrogate, statistics } = policyLoss(input, options);
  const loss =
    options.entropy_coef > 0
      ? tf.sub<tf.Scalar>(surrogate, entropyTerm(entropy, input.weights, options.entropy_coef))
      : surrogate;
  return { loss, statistics, tokens };
}

/** What the policy loss takes, logprobs of the policy with it. @returns entropy of the tokens too, and the number that carry loss */
export function lossInput(
  stage: Stage,
  micro: readonly PolicySample[],
  options: Omit<PolicyStepOptions, "epochs">,
  most: number,
): { input: FamilyLossInput; entropy: tf.Tensor1D; tokens: number } {
  const { policy, settings } = stage;
  const { temperature } = settings.rollout;
  const klInLoss = options.kl.coef > 0 && options.kl.place === "loss";
  const kind = policyLossOf(options.loss);
  const { batch, starts, perToken, perCompletion } = padSamples(stage, micro, most);
  const oldLogprobs = perToken(({ completion, old }, t) => (old ?? completion.logprobs)[t]!);
  const advantages = perToken(advantageOf);
  const weights = perToken((sample, t) => (carriesLoss(sample, t) ? sample.weight * options.minibatches : 0));
  const referenceLogprobs = klInLoss ? perToken(({ reference }, t) => reference![t]!) : null;
  const members = kind.wholeCompletions ? perCompletion((sample, t) => Number(carriesLoss(sample, t))) : null;
  const selected =
    kind.select === undefined || kind.of === undefined ? null : perToken((sample, t) => sample.selected![t]!);
  const { logprobs, entropy } = policy.score(batch, {
    temperature,
    entropyGradient: options.entropy_coef > 0,
  }); // [K]
  const masked = micro.reduce(
    (sum, { completion, masked }) =>
      sum + Number(masked !== null) + completion.tokens.length - sampledCount(completion),
    0,
  );
  return {
    input: { logprobs, oldLogprobs, referenceLogprobs, advantages, weights, members, selected },
    entropy,
    tokens: starts.at(-1)! - masked,
  };
}
