/**
 * GRPO, group relative policy optimisation (DeepSeekMath, arXiv:2402.03300), with the later options that
 * published recipes use: asymmetric clip, token mean and dynamic sampling (DAPO, arXiv:2503.14476), no division by the
 * group's std (Dr. GRPO, arXiv:2503.20783), leave-one-out baseline (RLOO, arXiv:2402.14740), batch std; a family of policy
 * losses and estimators of which docs/losses.md has the sources.
 *
 * Of several turns with an environment, the environment's tokens carry no loss.
 *
 * Not here: a critic (ppo/), a reward model.
 */
import { decoupledAdvantages } from "../../advantages/decoupled.ts";
import { keptOfGroup } from "../../advantages/filter.ts";
import { groupAdvantages } from "../../advantages/group.ts";
import { whiten } from "../../advantages/whiten.ts";
import { createRng } from "../../lib/rng.ts";
import { isSampled, sampledCount } from "../../lib/sampled.ts";
import { maskDecision, tokenWeights } from "../../losses/aggregation.ts";
import { truncatedWeights } from "../../losses/sampler-correction.ts";
import type { UpdateStatistics } from "../../metrics/facts.ts";
import type { Group, ScoredCompletion } from "../../types.ts";
import { openCollector } from "../collect.ts";
import { advantageOf, minibatchesOf, type PolicySample, policyStep } from "../passes.ts";
import {
  decisionTokens,
  isScored,
  policyLogprobs,
  referenceLogprobs,
  regroup,
  tokenKls,
  writeSamples,
} from "../rollout.ts";
import { runSteps, type Stage, type StageResult } from "../stage.ts";
import { stepMetrics } from "../step-metrics.ts";
import { selectTokens } from "../token-selection.ts";
import { meanOverSampled, type TurnAdvantages, turnCredit } from "../turn-credit.ts";
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

    // 3. shaped rewards, less a KL where it has its place there; which completions take part, and their advantages
    const rewards = scored.map((group, p) =>
      group.map(
        (completion, g) => shaped.rewards[p]![g]! - klPenalty(options, completion, references?.[p]?.[g]),
      ),
    );
    const takesPart = participants(rewards, scored, options);
    const found = advantagesOf(stage, rewards, scored, takesPart);
    const turns = turnAdvantages(stage, rewards, scored, takesPart);
    const advantages = turns === null ? found : turns.map((group) => group.map(meanOverSampled));

    // 4. update: passes over the rollout, minibatches within a pass
    const perToken = turns?.map((group) => group.map(({ values }) => values)) ?? advantages;
    const weighed = weighSamples(stage, groups, scored, takesPart, perToken, references);
    const { samples, samplerGap } = await correctSampler(stage, groups, weighed);
    const sums = new UpdateSums();
    const rng = createRng(settings.seed).fork(settings.name, "selection", step);
    for (const minibatch of minibatchesOf(stage, step, samples, options, { keepsOrder: true })) {
      const lr = minibatch.rate(settings.optimizer);
      const draws = rng.fork(sums.updates.length);
      await services.probe?.(stage, minibatch.samples, options, draws);
      const { samples: chosen, share } = selectTokens(minibatch.samples, options.loss, draws);
      sums.add({ ...(await update(stage, chosen, lr)), ...(share === null ? {} : { selected: share }) }, lr);
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
      samplerGap,
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

/** A failed reward is no score: such completions take no part, and neither do those that the filter leaves out. [P][G] */
function participants(
  rewards: readonly number[][],
  scored: readonly ScoredCompletion[][],
  { filter }: GrpoOptions,
): boolean[][] {
  return scored.map((group, p) => {
    const valid = group.flatMap((one, g) => (isScored(one) ? [g] : []));
    const kept =
      filter === undefined
        ? valid.map(() => true)
        : keptOfGroup(
            valid.map((g) => rewards[p]![g]!),
            valid.map((g) => sampledCount(group[g]!)),
            filter,
          );
    const all = group.map(() => false);
    for (const [k, g] of valid.entries()) all[g] = kept[k]!;
    return all;
  });
}

/** Advantages of the completions that take part, each group's compared with one another; 0 of all others. [P][G] */
function advantagesOf(
  { settings }: Stage<GrpoOptions>,
  rewards: readonly number[][],
  scored: readonly ScoredCompletion[][],
  takesPart: readonly boolean[][],
): number[][] {
  const { advantage } = settings.algorithm;
  const compared = takesPart.map((group) => group.flatMap((yes, g) => (yes ? [g] : [])));
  const enough = compared.flatMap((group, p) =>
    group.length >= (advantage.baseline === "none" ? 1 : 2) ? [p] : [],
  );
  const pick = <T>(of: (p: number, g: number) => T) => enough.map((p) => compared[p]!.map((g) => of(p, g)));
  const lengths = pick((p, g) => sampledCount(scored[p]![g]!));
  const found =
    advantage.parts === "decoupled"
      ? decoupledAdvantages(
          settings.partNames.map((name) => pick((p, g) => scored[p]![g]!.parts[name]!.value)),
          settings.partWeights,
          advantage,
        )
      : groupAdvantages(
          pick((p, g) => rewards[p]![g]!),
          advantage,
          lengths,
        );
  const values = advantage.whiten ? whitenedByToken(found, lengths) : found;
  const all = scored.map((group) => group.map(() => 0));
  for (const [i, p] of enough.entries()) {
    for (const [k, g] of compared[p]!.entries()) all[p]![g] = values[i]![k]!;
  }
  return all;
}

/** Whitening over tokens, each of which has the advantage of its completion. */
function whitenedByToken(advantages: readonly number[][], lengths: readonly number[][]): number[][] {
  const perToken = advantages.flatMap((group, p) =>
    group.map((value, g) => new Float64Array(lengths[p]![g]!).fill(value)),
  );
  const whitened = whiten(perToken);
  let next = 0;
  return advantages.map((group) => group.map(() => whitened[next++]![0]!));
}

/** Advantages of the tokens of each completion, by turns; null where one advantage counts for all turns. [P][G] */
function turnAdvantages(
  { settings }: Stage<GrpoOptions>,
  rewards: readonly number[][],
  scored: readonly ScoredCompletion[][],
  takesPart: readonly boolean[][],
): TurnAdvantages[][] | null {
  const { credit, algorithm } = settings;
  if (credit?.kind !== "turn-discount") return null;
  const weight = settings.partNames.reduce(
    (sum, name, i) => (settings.environmentParts?.includes(name) ? sum + settings.partWeights[i]! : sum),
    0,
  );
  return scored.map((group, p) =>
    turnCredit(
      group.map((completion, g) => ({ completion, reward: rewards[p]![g]!, takesPart: takesPart[p]![g]! })),
      { gamma: credit.gamma, weight, advantage: algorithm.advantage },
    ),
  );
}

/** Where the recipe asks for it: the ratio is taken to logprobs computed again, and the loss weighs what these differ. */
async function correctSampler(
  stage: Stage<GrpoOptions>,
  groups: readonly Group[],
  samples: PolicySample[],
): Promise<{ samples: PolicySample[]; samplerGap: number | null }> {
  const { sampler_correction: correction, micro_batch_rows } = stage.settings.algorithm;
  if (correction === undefined) return { samples, samplerGap: null };
  const learner = (await policyLogprobs(stage, groups, micro_batch_rows)).flat();
  const gaps = samples.map(({ completion }, i) =>
    completion.logprobs.reduce(
      (most, logprob, t) =>
        isSampled(completion, t) ? Math.max(most, Math.abs(learner[i]![t]! - logprob)) : most,
      0,
    ),
  );
  const corrected = samples.map((sample, i): PolicySample => {
    const weights = truncatedWeights(sample.completion.logprobs, learner[i]!, correction);
    // losses are linear in an advantage's size
    return {
      ...sample,
      old: learner[i]!,
      advantage: weights.map((weight, t) => weight * advantageOf(sample, t)),
    };
  });
  return { samples: corrected, samplerGap: Math.max(0, ...gaps) };
}

function weighSamples(
  stage: Stage<GrpoOptions>,
  groups: readonly Group[],
  scored: readonly ScoredCompletion[][],
  takesPart: readonly boolean[][],
  advantages: readonly (readonly PolicySample["advantage"][])[],
  references: Float32Array[][] | null,
): PolicySample[] {
  const { algorithm: options, rollout } = stage.settings;
  const decisions = options.mask_decision.enabled ? decisionTokens(stage, groups).flat() : [];
  const parts = takesPart.flat();
  const masks = scored.flat().map((one, i) => {
    const out = !parts[i] || (options.mask_truncated && one.finishReason === "length");
    return maskDecision(out ? 0 : sampledCount(one), decisions[i] ?? null, options.mask_decision);
  });
  const lengths = masks.map(({ length }) => length);
  const weights = regroup(tokenWeights(lengths, options.aggregation, rollout.max_new_tokens), groups);
  const masked = regroup(masks, groups);
  return groups.flatMap(({ promptTokens, pictures }, p) =>
    scored[p]!.map((completion, g) => ({
      promptTokens,
      pictures,
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
  const moves = ({ advantage }: PolicySample) =>
    typeof advantage === "number" ? advantage !== 0 : Array.from(advantage).some((value) => value !== 0);
  const live = samples.filter((sample) => sample.weight > 0 && (!leavesOut || moves(sample)));
  const made = await policyStep(stage, everyRow ? samples : live, options, lr, samples.length);
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
  return sum(perCompletion) / sum(scored.flat().map(sampledCount));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
