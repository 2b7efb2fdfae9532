/**
 * GRPO, group relative policy optimisation (DeepSeekMath, arXiv:2402.03300), with the later options that
 * published recipes use: asymmetric clip, token mean and dynamic sampling (DAPO, arXiv:2503.14476), no division by the
 * group's std (Dr. GRPO, arXiv:2503.20783), leave-one-out baseline (RLOO, arXiv:2402.14740), batch std.
 *
 * Not here: a critic (ppo/), several turns, a reward model.
 */
import { groupAdvantages } from "../../advantages/group.ts";
import { maskDecision, tokenWeights } from "../../losses/aggregation.ts";
import type { UpdateStatistics } from "../../metrics/facts.ts";
import type { Group, ScoredCompletion } from "../../types.ts";
import { openCollector } from "../collect.ts";
import { clippedStep, minibatchesOf, type PolicySample } from "../passes.ts";
import { decisionTokens, isScored, referenceLogprobs, regroup, tokenKls, writeSamples } from "../rollout.ts";
import { runSteps, type Stage, type StageResult } from "../stage.ts";
import { stepMetrics } from "../step-metrics.ts";
import { UpdateSums } from "../update.ts";
import { grpo } from "./declaration.ts";
import type { GrpoOptions } from "./options.ts";

export async function trainGrpo(stage: Stage<GrpoOptions>): Promise<StageResult> {
  const { settings, services } = stage;
  const options = settings.algorithm;
  const collector = openCollector(stage, {
    microBatchRows: options.micro_batch_rows,
    redraw: options.dynamic_sampling?.oversampling ?? null,
  });
  const measured = stepMetrics(stage, collector, grpo.measures(options));

  return runSteps(stage, measured.columns, async (step) => {
    // 1. P prompts, a group of G completions for each, their scores; groups without a difference drawn anew where asked
    const batch = await collector.collect(step);
    const { groups, scored, shaped } = batch;

    // 2. KL to the reference policy, per token
    const references = grpo.usesReference(options)
      ? await referenceLogprobs(stage, groups, options.micro_batch_rows)
      : null;

    // 3. shaped rewards, less a KL where it has its place there; advantages relative to the group
    const rewards = scored.map((group, p) =>
      group.map(
        (completion, g) => shaped.rewards[p]![g]! - klPenalty(options, completion, references?.[p]?.[g]),
      ),
    );
    const advantages = advantagesOfScored(rewards, scored, options);

    // 4. update: passes over the rollout, minibatches within a pass
    const samples = weighSamples(stage, groups, scored, advantages, references);
    const sums = new UpdateSums();
    for (const minibatch of minibatchesOf(stage, step, samples, options, { keepsOrder: true })) {
      const lr = minibatch.rate(settings.optimizer);
      sums.add(await update(stage, minibatch.samples, lr), lr);
    }
    const updated = services.clock();

    // 5. what is written down, and what is learnt of these prompts for the next ones
    writeSamples(stage, step, groups, scored, advantages);
    await collector.finish(step, advantages);
    return measured.of({
      batch,
      advantages,
      lossAdvantages: advantages.flat(),
      updates: sums,
      critic: null,
      kl: references === null ? null : { perToken: meanKl(options, scored, references) },
      updated,
    });
  });
}

/** KL in the reward: coef times the sum over the completion's tokens. */
function klPenalty(
  { kl }: GrpoOptions,
  completion: ScoredCompletion,
  reference: Float32Array | undefined,
): number {
  if (kl.place !== "reward" || reference === undefined) return 0;
  return kl.coef * sum(tokenKls(completion, reference, kl.estimator));
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
    const all = group.map(() => 0);
    if (!enough(valid[p]!)) return all;
    const values = advantages[next++]!;
    for (const [k, g] of valid[p]!.entries()) all[g] = values[k]!;
    return all;
  });
}

function weighSamples(
  stage: Stage<GrpoOptions>,
  groups: readonly Group[],
  scored: readonly ScoredCompletion[][],
  advantages: readonly number[][],
  references: Float32Array[][] | null,
): PolicySample[] {
  const { algorithm: options, rollout } = stage.settings;
  const decisions = options.mask_decision.enabled ? decisionTokens(stage, groups).flat() : [];
  const masks = scored.flat().map((one, i) => {
    const out = !isScored(one) || (options.mask_truncated && one.finishReason === "length");
    return maskDecision(out ? 0 : one.tokens.length, decisions[i] ?? null, options.mask_decision);
  });
  const lengths = masks.map(({ length }) => length);
  const weights = regroup(tokenWeights(lengths, options.aggregation, rollout.max_new_tokens), groups);
  const masked = regroup(masks, groups);
  return groups.flatMap(({ promptTokens }, p) =>
    scored[p]!.map((completion, g) => ({
      promptTokens,
      completion,
      advantage: advantages[p]![g]!,
      weight: weights[p]![g]!,
      masked: masked[p]![g]!.masked,
      reference: references?.[p]?.[g] ?? null,
    })),
  );
}

/**
 * One optimizer step. Completions that cannot move the weights (advantage 0, no KL term and no entropy bonus, or masked) are
 * left out of the passes: their part of loss and gradient is exactly 0.
 */
async function update(
  stage: Stage<GrpoOptions>,
  samples: readonly PolicySample[],
  lr: number,
): Promise<UpdateStatistics> {
  const { algorithm: options, everyRow } = stage.settings;
  const leavesOut = grpo.measuring.leavesOut(options);
  const live = samples.filter(({ advantage, weight }) => weight > 0 && (advantage !== 0 || !leavesOut));
  const made = await clippedStep(stage, everyRow ? samples : live, options, lr, samples.length);
  return { ...made, live: live.length / Math.max(1, samples.length) };
}

/** KL estimate of the rollout, nats per token. */
function meanKl(
  { kl }: GrpoOptions,
  scored: readonly ScoredCompletion[][],
  references: Float32Array[][],
): number {
  const perCompletion = scored.flatMap((group, p) =>
    group.map((completion, g) => sum(tokenKls(completion, references[p]![g]!, kl.estimator))),
  );
  return sum(perCompletion) / sum(scored.flat().map(({ tokens }) => tokens.length));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
