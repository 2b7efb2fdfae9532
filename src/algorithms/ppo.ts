/**
 * PPO with a critic, proximal policy optimisation (J. Schulman et al., arXiv:1707.06347), for language models as
 * in D. Ziegler et al. (arXiv:1909.08593) and LIMR's trainer (arXiv:2502.11886): an action is a token, the KL to
 * the reference is a reward of each token, the score one of the last token, and the advantages are GAE's, whitened
 * over the rollout.
 *
 * The critic is a value head on the policy's architecture (src/policy/critic.ts) with an optimizer of its own.
 */
import * as tf from "@tensorflow/tfjs";
import { generalizedAdvantages } from "../advantages/gae.ts";
import { whiten } from "../advantages/whiten.ts";
import { shuffledOrder } from "../data/order.ts";
import { mean } from "../lib/math.ts";
import { createRng } from "../lib/rng.ts";
import { nextKlCoefficient } from "../losses/adaptive-kl.ts";
import { maskDecision, tokenWeights } from "../losses/aggregation.ts";
import { clippedPolicyLoss, POLICY_LOSS_STATISTICS } from "../losses/clipped-policy.ts";
import { entropyTerm } from "../losses/entropy.ts";
import { klEstimateNumber } from "../losses/kl.ts";
import { clippedValueLoss, VALUE_LOSS_STATISTICS } from "../losses/value.ts";
import type { UpdateStatistics } from "../metrics/facts.ts";
import type { AdamW } from "../optim/adamw.ts";
import type { OptimizerOptions } from "../optim/options.ts";
import { learningRate } from "../optim/schedule.ts";
import type { Critic } from "../policy/critic.ts";
import { shapeRewards } from "../rewards/shaping.ts";
import type { Group, ScoredCompletion } from "../types.ts";
import type { PpoOptions } from "./options.ts";
import {
  decisionTokens,
  isScored,
  precisionGap,
  type RolloutStage,
  referenceLogprobs,
  sampleGroups,
  scoreGroups,
  scorePerToken,
  shapeable,
  writePrompts,
  writeSamples,
} from "./rollout.ts";
import { runSteps, type StageResult } from "./stage.ts";
import { stepMetrics } from "./step-metrics.ts";
import { padRows, spread } from "./token-batch.ts";
import { applyGradients, splitByLength, UpdateSums } from "./update.ts";

export interface PpoStage extends RolloutStage {
  ppo: PpoOptions;
  optimizerOptions: OptimizerOptions;
  critic: Critic;
  criticOptimizer: AdamW;
  /** What goes on from step to step; part of a checkpoint. Changed in place. */
  controller: PpoController;
}

export interface PpoController {
  /** Weight of the KL in the next step's rewards. */
  klCoefficient: number;
}

/** One completion of T tokens with all that the two losses need. */
interface PpoSample {
  promptTokens: Int32Array; // [S]
  completion: ScoredCompletion;
  /** Of the state before each token, when the rollout was made. [T] */
  values: Float32Array;
  /** What the values should have been. [T] */
  returns: Float64Array;
  /** Whitened where the options say so. [T] */
  advantages: Float64Array;
  /** Weight of each token in the policy's loss, but for `masked`, and in the critic's. */
  weight: number;
  valueWeight: number;
  /** Index of the token that the policy's loss leaves out. */
  masked: number | null;
}

export async function trainPpo(stage: PpoStage): Promise<StageResult> {
  const { ppo, rollout, critic, controller, clock } = stage;
  const rng = createRng(stage.seed);
  const order = shuffledOrder(stage.train, rng.fork(stage.name));
  const updatesPerStep = ppo.epochs * ppo.minibatches;
  const usesReference = ppo.kl.coef > 0;
  const criticSchedule = { ...stage.optimizerOptions, lr: ppo.critic.lr ?? stage.optimizerOptions.lr };
  const measured = stepMetrics(stage, ["critic", ...(usesReference ? (["reference"] as const) : [])]);

  return runSteps(stage, measured.columns, async (step) => {
    // 1. draw P prompts
    const position = step * rollout.prompts_per_step;
    const prompts = order.draw(position, rollout.prompts_per_step);

    // 2. sample G completions for each
    const began = clock();
    const groups = await sampleGroups(stage, prompts, step);
    const gap = await precisionGap(stage, groups, step, ppo.micro_batch_rows);
    const sampled = clock();

    // 3. score every completion; shape the scores by group and batch
    const scored = await scoreGroups(stage, groups);
    const shaped = shapeRewards(shapeable(scored), stage.shaping);
    const rewarded = clock();

    // 4. reference logprobs and values, per token
    const references = usesReference ? await referenceLogprobs(stage, groups, ppo.micro_batch_rows) : null;
    const values = await scorePerToken(stage.policy, groups, ppo.micro_batch_rows, (batch) =>
      critic.values(batch),
    );

    // 5. rewards per token, GAE, whitening
    const samples = estimate(stage, groups, scored, shaped.rewards, references, values);

    // 6. update policy and critic: passes over the rollout, minibatches within a pass
    const policySums = new UpdateSums();
    const criticSums = new UpdateSums();
    for (let epoch = 0; epoch < ppo.epochs; epoch++) {
      const shuffled = rng
        .fork(stage.name, "minibatches", step, epoch)
        .permutation(samples.length)
        .map((i) => samples[i]!);
      const size = Math.ceil(shuffled.length / ppo.minibatches);
      for (let m = 0; m < ppo.minibatches; m++) {
        const minibatch = shuffled.slice(m * size, (m + 1) * size);
        const index = step * updatesPerStep + epoch * ppo.minibatches + m;
        const rate = (options: OptimizerOptions) =>
          learningRate(options, index, stage.steps * updatesPerStep);
        if (step >= ppo.critic.warmup_steps) {
          const lr = rate(stage.optimizerOptions);
          policySums.add(await updatePolicy(stage, minibatch, lr), lr);
        }
        const criticLr = rate(criticSchedule);
        criticSums.add(await updateCritic(stage, minibatch, criticLr), criticLr);
      }
    }
    const kl = references === null ? null : meanKl(ppo, scored, references);
    const coef = controller.klCoefficient;
    if (kl !== null) {
      controller.klCoefficient = nextKlCoefficient(coef, ppo.kl, kl.perCompletion, samples.length);
    }
    const updated = clock();

    // 7. what is written down
    let next = 0;
    const advantages = scored.map((group) => group.map(() => mean([...samples[next++]!.advantages])));
    writeSamples(stage, step, groups, scored, advantages);
    writePrompts(stage, step, order, position, groups, scored);
    return measured.of({
      position,
      groups,
      scored,
      shaped,
      advantages,
      lossAdvantages: samples.flatMap((sample) => [...sample.advantages]),
      updates: policySums,
      critic: { updates: criticSums, samples: samples.filter(({ valueWeight }) => valueWeight > 0) },
      kl: kl === null ? null : { ...kl, coef },
      precisionGap: gap,
      clipNorm: stage.optimizerOptions.clip_norm,
      times: { began, sampled, rewarded, updated },
    });
  });
}

/**
 * Rewards of each token: -coef KL_t, and at the last token the score within +- reward_clip.
 * @param logprobs of the sampled tokens, [T]
 * @param reference the same under the reference policy; null: no KL
 */
export function tokenRewards(
  score: number,
  logprobs: Float32Array,
  reference: Float32Array | null,
  coef: number,
  { reward_clip: limit, kl }: Pick<PpoOptions, "reward_clip" | "kl">,
): Float64Array {
  const rewards = Float64Array.from(logprobs, (logprob, t) =>
    reference === null ? 0 : -coef * klEstimateNumber(logprob, reference[t]!, kl.estimator),
  );
  rewards[rewards.length - 1]! += limit === null ? score : Math.min(limit, Math.max(-limit, score));
  return rewards;
}

/** From scores to what the losses need. A failed reward is no score: such completions carry no loss. [P*G] */
function estimate(
  stage: PpoStage,
  groups: readonly Group[],
  scored: readonly ScoredCompletion[][],
  scores: readonly number[][],
  references: Float32Array[][] | null,
  values: Float32Array[][],
): PpoSample[] {
  const { ppo, rollout, controller } = stage;
  const decisions = ppo.mask_decision.enabled ? decisionTokens(stage, groups) : null;
  const samples = groups.flatMap(({ promptTokens }, p) =>
    scored[p]!.map((completion, g) => {
      const reference = references?.[p]?.[g] ?? null;
      const rewards = tokenRewards(
        isScored(completion) ? scores[p]![g]! : 0,
        completion.logprobs,
        reference,
        controller.klCoefficient,
        ppo,
      );
      const length = isScored(completion) ? completion.tokens.length : 0;
      const mask = maskDecision(length, decisions?.[p]?.[g] ?? null, ppo.mask_decision);
      const estimates = generalizedAdvantages(rewards, values[p]![g]!, ppo.gae);
      return { promptTokens, completion, values: values[p]![g]!, length, mask, ...estimates };
    }),
  );
  const weigh = (lengths: readonly number[]) =>
    tokenWeights(lengths, ppo.aggregation, rollout.max_new_tokens);
  const weights = weigh(samples.map(({ mask }) => mask.length));
  const valueWeights = weigh(samples.map(({ length }) => length));
  const whitened = ppo.whiten
    ? whiten(samples.map(({ length, advantages }) => advantages.slice(0, length)))
    : null;
  return samples.map(({ length: _, mask, advantages, ...sample }, i) => ({
    ...sample,
    advantages: whitened?.[i] ?? advantages,
    weight: weights[i]!,
    valueWeight: valueWeights[i]!,
    masked: mask.masked,
  }));
}

/** One optimizer step of the policy. Weights are of the whole rollout; a minibatch is a part of it. */
function updatePolicy(
  stage: PpoStage,
  minibatch: readonly PpoSample[],
  lr: number,
): Promise<UpdateStatistics> {
  const { ppo, policy, rollout } = stage;
  const live = minibatch.filter(({ weight }) => weight > 0);
  const entropyBonus = ppo.entropy_coef > 0;
  return applyGradients(
    stage,
    splitByLength(live, ppo.micro_batch_rows),
    lr,
    (micro) => {
      const padded = padRows(micro.map(tokenRow), policy.fewShapes, ppo.micro_batch_rows ?? minibatch.length);
      const { batch, starts } = padded;
      const perToken = (of: (sample: PpoSample, t: number) => number) =>
        tf.tensor1d(spread(padded, (i, t) => of(micro[i]!, t))); // [K]
      const weights = perToken(({ weight, masked }, t) => (t === masked ? 0 : weight * ppo.minibatches));
      const { logprobs, entropy } = policy.score(batch, {
        temperature: rollout.temperature,
        entropyGradient: entropyBonus,
      }); // [K]
      const { loss: surrogate, statistics } = clippedPolicyLoss(
        {
          logprobs,
          oldLogprobs: perToken(({ completion }, t) => completion.logprobs[t]!),
          referenceLogprobs: null,
          advantages: perToken(({ advantages }, t) => advantages[t]!),
          weights,
        },
        ppo.clip,
        { coef: 0, estimator: ppo.kl.estimator, place: "reward" },
      );
      const loss = entropyBonus
        ? tf.sub<tf.Scalar>(surrogate, entropyTerm(entropy, weights, ppo.entropy_coef))
        : surrogate;
      const masked = micro.filter((sample) => sample.masked !== null).length;
      return { loss, statistics, tokens: starts.at(-1)! - masked };
    },
    POLICY_LOSS_STATISTICS,
  );
}

/** One optimizer step of the critic; no token is masked in it. */
function updateCritic(
  { ppo, policy, critic, criticOptimizer }: PpoStage,
  minibatch: readonly PpoSample[],
  lr: number,
): Promise<UpdateStatistics> {
  const live = minibatch.filter(({ valueWeight }) => valueWeight > 0);
  return applyGradients(
    { policy: critic, optimizer: criticOptimizer },
    splitByLength(live, ppo.micro_batch_rows),
    lr,
    (micro) => {
      const padded = padRows(micro.map(tokenRow), policy.fewShapes, ppo.micro_batch_rows ?? minibatch.length);
      const { batch, starts } = padded;
      const perToken = (of: (sample: PpoSample, t: number) => number) =>
        tf.tensor1d(spread(padded, (i, t) => of(micro[i]!, t))); // [K]
      const { loss, statistics } = clippedValueLoss(
        {
          values: critic.values(batch),
          oldValues: perToken(({ values }, t) => values[t]!),
          returns: perToken(({ returns }, t) => returns[t]!),
          weights: perToken(({ valueWeight }) => valueWeight * ppo.minibatches),
        },
        ppo.critic.clip,
      );
      return { loss, statistics, tokens: starts.at(-1)! };
    },
    VALUE_LOSS_STATISTICS,
  );
}

function tokenRow({ promptTokens, completion }: PpoSample) {
  return { prompt: promptTokens, completion: completion.tokens };
}

/** KL estimate of the rollout: nats per token, and per completion. */
function meanKl(
  { kl }: PpoOptions,
  scored: readonly ScoredCompletion[][],
  references: Float32Array[][],
): { perToken: number; perCompletion: number } {
  let sum = 0;
  let tokens = 0;
  for (const [p, group] of scored.entries()) {
    for (const [g, { logprobs }] of group.entries()) {
      for (const [t, logprob] of logprobs.entries()) {
        sum += klEstimateNumber(logprob, references[p]![g]![t]!, kl.estimator);
      }
      tokens += logprobs.length;
    }
  }
  return { perToken: sum / tokens, perCompletion: sum / scored.flat().length };
}
