/**
 * GRPO, group relative policy optimisation (DeepSeekMath, arXiv:2402.03300), with the later options that
 * published recipes use: asymmetric clip and token mean (DAPO, arXiv:2503.14476), no division by the group's
 * std (Dr. GRPO, arXiv:2503.20783), leave-one-out baseline (RLOO, arXiv:2402.14740), batch std.
 *
 * Not here: a critic (ppo.ts), several turns, a reward model.
 */
import * as tf from "@tensorflow/tfjs";
import { groupAdvantages } from "../advantages/group.ts";
import { shuffledOrder } from "../data/order.ts";
import { createRng } from "../lib/rng.ts";
import { maskDecision, tokenWeights } from "../losses/aggregation.ts";
import { clippedPolicyLoss, POLICY_LOSS_STATISTICS } from "../losses/clipped-policy.ts";
import { entropyTerm } from "../losses/entropy.ts";
import { klEstimateNumber } from "../losses/kl.ts";
import type { UpdateStatistics } from "../metrics/facts.ts";
import type { OptimizerOptions } from "../optim/options.ts";
import { learningRate } from "../optim/schedule.ts";
import { shapeRewards } from "../rewards/shaping.ts";
import type { Group, Prompt, ScoredCompletion } from "../types.ts";
import type { GrpoOptions } from "./options.ts";
import {
  decisionTokens,
  isScored,
  precisionGap,
  type RolloutStage,
  referenceLogprobs,
  sampleGroups,
  scoreGroups,
  shapeable,
  writePrompts,
  writeSamples,
} from "./rollout.ts";
import { runSteps, type StageResult } from "./stage.ts";
import { stepMetrics } from "./step-metrics.ts";
import { padRows, spread } from "./token-batch.ts";
import { applyGradients, splitByLength, UpdateSums } from "./update.ts";

export interface GrpoStage extends RolloutStage {
  grpo: GrpoOptions;
  optimizerOptions: OptimizerOptions;
}

/** One completion with all that the loss needs. */
interface Sample {
  prompt: Prompt;
  promptTokens: Int32Array; // [S]
  completion: ScoredCompletion; // T tokens
  advantage: number;
  /** Weight of each of its tokens in the loss. */
  weight: number;
  /** Index of the token that carries none (selective loss masking). */
  masked: number | null;
  /** Reference logprobs, where KL is used. [T] */
  reference: Float32Array | null;
}

export async function trainGrpo(stage: GrpoStage): Promise<StageResult> {
  const { grpo, rollout, clock } = stage;
  const rng = createRng(stage.seed);
  const order = shuffledOrder(stage.train, rng.fork(stage.name));
  const updatesPerStep = grpo.epochs * grpo.minibatches;
  const usesReference = grpo.kl.coef > 0;

  const measured = stepMetrics(stage, ["live", ...(usesReference ? (["reference"] as const) : [])]);

  return runSteps(stage, measured.columns, async (step) => {
    // 1. draw P prompts
    const position = step * rollout.prompts_per_step;
    const prompts = order.draw(position, rollout.prompts_per_step);

    // 2. sample a group of G completions for each
    const began = clock();
    const groups = await sampleGroups(stage, prompts, step);
    const gap = await precisionGap(stage, groups, step, grpo.micro_batch_rows);
    const sampled = clock();

    // 3. score every completion
    const scored = await scoreGroups(stage, groups);
    const rewarded = clock();

    // 4. KL to the reference policy, per token
    const references = usesReference ? await referenceLogprobs(stage, groups, grpo.micro_batch_rows) : null;

    // 5. rewards shaped by group and batch, then advantages relative to the group
    const shaped = shapeRewards(shapeable(scored), stage.shaping);
    const rewards = scored.map((group, p) =>
      group.map(
        (completion, g) => shaped.rewards[p]![g]! - klPenalty(grpo, completion, references?.[p]?.[g]),
      ),
    );
    const advantages = advantagesOfScored(rewards, scored, grpo);

    // 6. update: passes over the rollout, minibatches within a pass
    const samples = weighSamples(stage, groups, scored, advantages, references);
    const sums = new UpdateSums();
    for (let epoch = 0; epoch < grpo.epochs; epoch++) {
      const shuffled =
        grpo.minibatches === 1
          ? samples
          : rng
              .fork(stage.name, "minibatches", step, epoch)
              .permutation(samples.length)
              .map((i) => samples[i]!);
      const size = Math.ceil(shuffled.length / grpo.minibatches);
      for (let m = 0; m < grpo.minibatches; m++) {
        const index = step * updatesPerStep + epoch * grpo.minibatches + m;
        const lr = learningRate(stage.optimizerOptions, index, stage.steps * updatesPerStep);
        sums.add(await update(stage, shuffled.slice(m * size, (m + 1) * size), lr, grpo.minibatches), lr);
      }
    }
    const updated = clock();

    // 7. what is written down
    writeSamples(stage, step, groups, scored, advantages);
    writePrompts(stage, step, order, position, groups, scored);
    return measured.of({
      position,
      groups,
      scored,
      shaped,
      advantages,
      lossAdvantages: advantages.flat(),
      updates: sums,
      critic: null,
      kl: references === null ? null : { perToken: meanKl(grpo, scored, references) },
      precisionGap: gap,
      clipNorm: stage.optimizerOptions.clip_norm,
      times: { began, sampled, rewarded, updated },
    });
  });
}

/** KL in the reward: coef times the sum over the completion's tokens. */
function klPenalty(
  grpo: GrpoOptions,
  completion: ScoredCompletion,
  reference: Float32Array | undefined,
): number {
  if (grpo.kl.place !== "reward" || reference === undefined) return 0;
  return grpo.kl.coef * sumKl(grpo, completion, reference);
}

function sumKl(grpo: GrpoOptions, { logprobs }: ScoredCompletion, reference: Float32Array): number {
  let sum = 0;
  for (const [t, logprob] of logprobs.entries()) {
    sum += klEstimateNumber(logprob, reference[t]!, grpo.kl.estimator);
  }
  return sum;
}

/** A failed reward is no score: such completions take no part in their group's comparison, and get 0. */
function advantagesOfScored(
  rewards: readonly number[][],
  scored: readonly ScoredCompletion[][],
  { advantage }: GrpoOptions,
): number[][] {
  const valid = scored.map((group) => group.flatMap((one, g) => (isScored(one) ? [g] : [])));
  const compared = rewards.map((group, p) => valid[p]!.map((g) => group[g]!));
  const enough = (group: readonly unknown[]) => group.length >= (advantage.baseline === "none" ? 1 : 2);
  const advantages = groupAdvantages(compared.filter(enough), advantage);
  let next = 0;
  return rewards.map((group, p) => {
    const spread = group.map(() => 0);
    if (!enough(valid[p]!)) return spread;
    const values = advantages[next++]!;
    for (const [k, g] of valid[p]!.entries()) spread[g] = values[k]!;
    return spread;
  });
}

function weighSamples(
  stage: GrpoStage,
  groups: readonly Group[],
  scored: readonly ScoredCompletion[][],
  advantages: readonly number[][],
  references: Float32Array[][] | null,
): Sample[] {
  const { grpo, rollout } = stage;
  const decisions = grpo.mask_decision.enabled ? decisionTokens(stage, groups).flat() : [];
  const masks = scored.flat().map((one, i) => {
    const out = !isScored(one) || (grpo.mask_truncated && one.finishReason === "length");
    return maskDecision(out ? 0 : one.tokens.length, decisions[i] ?? null, grpo.mask_decision);
  });
  const weights = tokenWeights(
    masks.map(({ length }) => length),
    grpo.aggregation,
    rollout.max_new_tokens,
  );
  let next = 0;
  return groups.flatMap(({ prompt, promptTokens }, p) =>
    scored[p]!.map((completion, g) => ({
      prompt,
      promptTokens,
      completion,
      advantage: advantages[p]![g]!,
      masked: masks[next]!.masked,
      weight: weights[next++]!,
      reference: references?.[p]?.[g] ?? null,
    })),
  );
}

/**
 * One optimizer step. Completions that cannot move the weights (advantage 0, no KL term and no entropy bonus, or masked) are
 * left out of the passes: their part of loss and gradient is exactly 0.
 * @param minibatches weights are of the whole rollout; a minibatch is this many times smaller
 */
async function update(
  stage: GrpoStage,
  samples: readonly Sample[],
  lr: number,
  minibatches: number,
): Promise<UpdateStatistics> {
  const { grpo, policy } = stage;
  const klInLoss = grpo.kl.coef > 0 && grpo.kl.place === "loss";
  const entropyBonus = grpo.entropy_coef > 0;
  const live = samples.filter(
    ({ advantage, weight }) => weight > 0 && (advantage !== 0 || klInLoss || entropyBonus),
  );

  const made = await applyGradients(
    stage,
    splitByLength(stage.everyRow ? samples : live, grpo.micro_batch_rows),
    lr,
    (micro) => {
      const padded = padRows(
        micro.map((s) => ({ prompt: s.promptTokens, completion: s.completion.tokens })),
        policy.fewShapes,
        grpo.micro_batch_rows ?? samples.length,
      );
      const { batch, starts } = padded;
      const old = tf.tensor1d(spread(padded, (i, t) => micro[i]!.completion.logprobs[t]!));
      const advantages = tf.tensor1d(spread(padded, (i) => micro[i]!.advantage));
      const weights = tf.tensor1d(
        spread(padded, (i, t) => (t === micro[i]!.masked ? 0 : micro[i]!.weight * minibatches)),
      );
      const reference = klInLoss ? tf.tensor1d(spread(padded, (i, t) => micro[i]!.reference![t]!)) : null;
      const { temperature } = stage.rollout;
      const { logprobs, entropy } = policy.score(batch, { temperature, entropyGradient: entropyBonus }); // [K]
      const { loss: surrogate, statistics } = clippedPolicyLoss(
        { logprobs, oldLogprobs: old, referenceLogprobs: reference, advantages, weights },
        grpo.clip,
        grpo.kl,
      );
      const loss = entropyBonus
        ? tf.sub<tf.Scalar>(surrogate, entropyTerm(entropy, weights, grpo.entropy_coef))
        : surrogate;
      const masked = micro.filter((s) => s.masked !== null).length;
      return { loss, statistics, tokens: starts.at(-1)! - masked };
    },
    POLICY_LOSS_STATISTICS,
  );
  return { ...made, live: live.length / Math.max(1, samples.length) };
}

function meanKl(
  grpo: GrpoOptions,
  scored: readonly ScoredCompletion[][],
  references: Float32Array[][],
): number {
  let sum = 0;
  let count = 0;
  for (const [p, group] of scored.entries()) {
    for (const [g, completion] of group.entries()) {
      sum += sumKl(grpo, completion, references[p]![g]!);
      count += completion.tokens.length;
    }
  }
  return sum / count;
}
