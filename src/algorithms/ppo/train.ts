/**
 * PPO with a critic, proximal policy optimisation (J. Schulman et al., arXiv:1707.06347), for language models as
 * in D. Ziegler et al. (arXiv:1909.08593) and LIMR's trainer (arXiv:2502.11886): an action is a token, the KL to
 * the reference is a reward of each token, the score one of the last token, and the advantages are GAE's, whitened
 * over the rollout.
 *
 * The critic is a value head on the policy's architecture (src/policy/critic.ts) with an optimizer of its own.
 */

import { generalizedAdvantages } from "../../advantages/gae.ts";
import { whiten } from "../../advantages/whiten.ts";
import { mean } from "../../lib/math.ts";
import { nextKlCoefficient } from "../../losses/adaptive-kl.ts";
import { maskDecision, tokenWeights } from "../../losses/aggregation.ts";
import { klEstimateNumber } from "../../losses/kl.ts";
import { clippedValueLoss, VALUE_LOSS_STATISTICS } from "../../losses/value.ts";
import type { UpdateStatistics } from "../../metrics/facts.ts";
import type { AdamW } from "../../optim/adamw.ts";
import { type Critic, createCritic } from "../../policy/critic.ts";
import type { ScoredCompletion } from "../../types.ts";
import { type Batch, openCollector } from "../collect.ts";
import { weightsSlot } from "../learner-state.ts";
import {
  minibatchesOf,
  type PolicySample,
  type PolicyStepOptions,
  padSamples,
  policyStep,
} from "../passes.ts";
import {
  decisionTokens,
  isScored,
  referenceLogprobs,
  regroup,
  scorePerToken,
  tokenKls,
  writeSamples,
} from "../rollout.ts";
import { runSteps, type Stage, type StageResult } from "../stage.ts";
import { stepMetrics } from "../step-metrics.ts";
import { applyGradients, splitByLength, UpdateSums } from "../update.ts";
import { ppo } from "./declaration.ts";
import type { PpoOptions } from "./options.ts";

/** The value function, and what trains it. */
interface ValueLearner {
  critic: Critic;
  optimizer: AdamW;
}

/** One completion of T tokens with all that the two losses need. */
interface PpoSample extends PolicySample {
  /** Whitened where the options say so. [T] */
  advantage: Float64Array;
  /** Of the state before each token, when the rollout was made. [T] */
  values: Float32Array;
  /** What the values should have been. [T] */
  returns: Float64Array;
  /** Weight of each token in the critic's loss, which masks none. */
  valueWeight: number;
}

export async function trainPpo(stage: Stage<PpoOptions>): Promise<StageResult> {
  const { settings, services, state } = stage;
  const options = settings.algorithm;
  const learner = openValueLearner(stage);
  /** Weight of the KL in the next step's rewards. */
  const klCoefficient = state.slots.cell("kl_coefficient", options.kl.coef);
  const criticSchedule = { ...settings.optimizer, lr: options.critic.lr ?? settings.optimizer.lr };
  const collector = openCollector(stage, { microBatchRows: options.micro_batch_rows, redraw: null });
  const measured = stepMetrics(stage, collector, ppo.measures(options));

  return runSteps(stage, measured.columns, async (step) => {
    // 1. P prompts, G completions for each, their scores, shaped by group and batch
    const batch = await collector.collect(step);
    const { groups, scored } = batch;

    // 2. reference logprobs and values, per token
    const references = ppo.usesReference(options)
      ? await referenceLogprobs(stage, groups, options.micro_batch_rows)
      : null;
    const values = await scorePerToken(stage.policy, groups, options.micro_batch_rows, (tokens) =>
      learner.critic.values(tokens),
    );

    // 3. rewards per token, GAE, whitening
    const samples = estimate(stage, batch, references, values, klCoefficient.value);

    // 4. update policy and critic: passes over the rollout, minibatches within a pass
    const policySums = new UpdateSums();
    const criticSums = new UpdateSums();
    for (const minibatch of minibatchesOf(stage, step, samples, options, { keepsOrder: false })) {
      if (step >= options.critic.warmup_steps) {
        const lr = minibatch.rate(settings.optimizer);
        policySums.add(await updatePolicy(stage, minibatch.samples, lr), lr);
      }
      const criticLr = minibatch.rate(criticSchedule);
      criticSums.add(await updateCritic(stage, learner, minibatch.samples, criticLr), criticLr);
    }
    const kl = references === null ? null : meanKl(options, scored, references);
    const coef = klCoefficient.value;
    if (kl !== null) {
      klCoefficient.value = nextKlCoefficient(coef, options.kl, kl.perCompletion, samples.length);
    }
    const updated = services.clock();

    // 5. what is written down, and what is learnt of these prompts for the next ones
    const advantages = regroup(
      samples.map(({ advantage }) => mean([...advantage])),
      groups,
    );
    writeSamples(stage, step, groups, scored, advantages);
    await collector.finish(step, advantages);
    return measured.of({
      batch,
      advantages,
      lossAdvantages: samples.flatMap(({ advantage }) => [...advantage]),
      updates: policySums,
      critic: { updates: criticSums, samples: samples.filter(({ valueWeight }) => valueWeight > 0) },
      kl: kl === null ? null : { ...kl, coef },
      updated,
    });
  });
}

/** The critic is the run's: the first stage that needs it makes it, and later ones go on with it. */
function openValueLearner({ policy, services, state: { slots } }: Stage<PpoOptions>): ValueLearner {
  const critic = slots.keep(
    "critic",
    () => createCritic(policy),
    (made) => weightsSlot(made),
  );
  return { critic, optimizer: services.newOptimizer(critic, "critic-moments") };
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
  stage: Stage<PpoOptions>,
  { groups, scored, shaped }: Batch,
  references: Float32Array[][] | null,
  values: Float32Array[][],
  klCoefficient: number,
): PpoSample[] {
  const { algorithm: options, rollout } = stage.settings;
  const decisions = options.mask_decision.enabled ? decisionTokens(stage, groups) : null;
  const samples = groups.flatMap(({ promptTokens, pictures }, p) =>
    scored[p]!.map((completion, g) => {
      const reference = references?.[p]?.[g] ?? null;
      const rewards = tokenRewards(
        isScored(completion) ? shaped.rewards[p]![g]! : 0,
        completion.logprobs,
        reference,
        klCoefficient,
        options,
      );
      const length = isScored(completion) ? completion.tokens.length : 0;
      const mask = maskDecision(length, decisions?.[p]?.[g] ?? null, options.mask_decision);
      const { advantages, returns } = generalizedAdvantages(rewards, values[p]![g]!, options.gae);
      const own = { promptTokens, pictures, completion, values: values[p]![g]! };
      return { ...own, length, mask, advantages, returns };
    }),
  );
  const weigh = (lengths: readonly number[]) =>
    tokenWeights(lengths, options.aggregation, rollout.max_new_tokens);
  const weights = weigh(samples.map(({ mask }) => mask.length));
  const valueWeights = weigh(samples.map(({ length }) => length));
  const whitened = options.whiten
    ? whiten(samples.map(({ length, advantages }) => advantages.slice(0, length)))
    : null;
  return samples.map(({ length: _, mask, advantages, ...sample }, i) => ({
    ...sample,
    advantage: whitened?.[i] ?? advantages,
    weight: weights[i]!,
    valueWeight: valueWeights[i]!,
    masked: mask.masked,
    reference: null,
  }));
}

/** One optimizer step of the policy. Its KL is in the rewards. */
function updatePolicy(
  stage: Stage<PpoOptions>,
  minibatch: readonly PpoSample[],
  lr: number,
): Promise<UpdateStatistics> {
  const { kl, ...options } = stage.settings.algorithm;
  const live = minibatch.filter(({ weight }) => weight > 0);
  const clipped: PolicyStepOptions = {
    ...options,
    loss: { kind: "clipped" },
    kl: { coef: 0, estimator: kl.estimator, place: "reward", bias_correction: false },
  };
  return policyStep(stage, live, clipped, lr, minibatch.length);
}

/** One optimizer step of the critic; no token is masked in it. */
function updateCritic(
  { settings: { algorithm: options }, policy }: Stage<PpoOptions>,
  { critic, optimizer }: ValueLearner,
  minibatch: readonly PpoSample[],
  lr: number,
): Promise<UpdateStatistics> {
  const live = minibatch.filter(({ valueWeight }) => valueWeight > 0);
  return applyGradients(
    { policy: critic, optimizer },
    splitByLength(live, options.micro_batch_rows),
    lr,
    (micro) => {
      const most = options.micro_batch_rows ?? minibatch.length;
      const { batch, starts, perToken } = padSamples({ policy }, micro, most);
      const { loss, statistics } = clippedValueLoss(
        {
          values: critic.values(batch),
          oldValues: perToken(({ values }, t) => values[t]!),
          returns: perToken(({ returns }, t) => returns[t]!),
          weights: perToken(({ valueWeight }) => valueWeight * options.minibatches),
        },
        options.critic.clip,
      );
      return { loss, statistics, tokens: starts.at(-1)! };
    },
    VALUE_LOSS_STATISTICS,
  );
}

/** KL estimate of the rollout: nats per token, and per completion. */
function meanKl(
  { kl }: PpoOptions,
  scored: readonly ScoredCompletion[][],
  references: Float32Array[][],
): { perToken: number; perCompletion: number } {
  const kls = scored.flatMap((group, p) =>
    group.flatMap((completion, g) => tokenKls(completion, references[p]![g]!, kl.estimator)),
  );
  const sum = kls.reduce((total, value) => total + value, 0);
  return { perToken: sum / kls.length, perCompletion: sum / scored.flat().length };
}
