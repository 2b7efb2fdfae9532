/** Metrics of advantages, policy updates, critic and times of a step that samples. */
import { mean, standardDeviation } from "../lib/math.ts";
import { sampledCount } from "../lib/sampled.ts";
import type { ScoredCompletion } from "../types.ts";
import type { Metric } from "./define.ts";
import type { CriticFacts, StepFacts, UpdateFacts, UpdateStatistics } from "./facts.ts";
import { digits, percent } from "./values.ts";

const sum = (updates: readonly UpdateStatistics[], of: (update: UpdateStatistics) => number): number =>
  updates.reduce((total, update) => total + of(update), 0);
const perUpdate = (updates: readonly UpdateStatistics[], of: (update: UpdateStatistics) => number): number =>
  sum(updates, of) / Math.max(1, updates.length);
const tokensOf = (updates: readonly UpdateStatistics[]) => sum(updates, ({ tokens }) => tokens);
/** Mean over the tokens that had a gradient. */
const perToken = (updates: readonly UpdateStatistics[], name: string): number =>
  sum(updates, ({ statistics }) => statistics[name] ?? 0) / Math.max(1, tokensOf(updates));

/** Mean over the tokens of all completions. */
function tokenMean(
  { scored }: Pick<StepFacts, "scored">,
  values: (completion: ScoredCompletion) => Float32Array,
): number {
  let total = 0;
  let count = 0;
  for (const completion of scored.flat()) {
    for (const value of values(completion)) total += value;
    count += sampledCount(completion);
  }
  return total / count;
}

type Step = Omit<StepFacts, "optimizerSteps" | "tensors">;

const valuesOf = ({ critic }: Step) => critic!.samples.flatMap(({ values }) => [...values]);
const returnsOf = ({ critic }: Step) => critic!.samples.flatMap(({ returns }) => [...returns]);

function explainedVariance({ samples }: CriticFacts): number | null {
  const returns = samples.flatMap((sample) => [...sample.returns]);
  const errors = samples.flatMap((sample) => [...sample.returns].map((r, t) => r - sample.values[t]!));
  const variance = standardDeviation(returns, 0) ** 2;
  return variance === 0 ? null : 1 - standardDeviation(errors, 0) ** 2 / variance;
}

const redrawing: NonNullable<Metric<Step>["when"]> = ({ measures }) => measures.has("redrawing");
const reference: NonNullable<Metric<Step>["when"]> = ({ measures }) => measures.has("reference");
const critic: NonNullable<Metric<Step>["when"]> = ({ measures }) => measures.has("critic");
const precision: NonNullable<Metric<Step>["when"]> = ({ measures }) => measures.has("precision");

export const policyMetrics: readonly Metric<Step>[] = [
  {
    name: "advantage/mean",
    unit: "-",
    formula: "mean over B",
    note: "0 for group advantages",
    value: ({ lossAdvantages }) => mean(lossAdvantages),
  },
  {
    name: "advantage/std",
    unit: "-",
    formula: "population standard deviation over B",
    note: "0: nothing to learn from in this step",
    value: ({ lossAdvantages }) => standardDeviation(lossAdvantages, 0),
  },
  {
    name: "policy/loss",
    unit: "-",
    formula: "the loss that was minimised, mean of the step's updates",
    note: "near 0 by construction with one update a step; not a measure of progress",
    value: ({ updates }) => perUpdate(updates, ({ loss }) => loss),
  },
  {
    name: "policy/entropy",
    unit: "nats",
    formula: "mean entropy of the next-token distribution over completion tokens",
    note: "falling towards 0: entropy collapse",
    label: "entropy",
    format: digits,
    panel: { place: 60 },
    curve: { place: 50, title: "Entropy", unit: "nats a token" },
    value: (facts) => tokenMean(facts, ({ entropies }) => entropies),
  },
  {
    name: "policy/ratio_mean",
    unit: "-",
    formula: "mean over completion tokens of exp(logprob - sampling logprob)",
    note: "1 before the first update of a rollout",
    value: ({ updates }) => (tokensOf(updates) === 0 ? 1 : perToken(updates, "ratio")),
  },
  {
    name: "policy/ratio_max",
    unit: "-",
    formula: "largest of these ratios",
    note: "",
    value: ({ updates }) =>
      tokensOf(updates) === 0
        ? 1
        : Math.max(0, ...updates.map(({ statistics }) => statistics["largest_ratio"] ?? 0)),
  },
  {
    name: "policy/clip_fraction",
    unit: "0..1",
    formula:
      "completion tokens whose ratio was clipped, or that the loss holds by another bound / completion tokens",
    note: "0 with one update a step; climbing: lower the learning rate",
    label: "clipped",
    format: percent,
    panel: { place: 80 },
    curve: { place: 85, title: "Clipped tokens", unit: "share of tokens" },
    value: ({ updates }) => perToken(updates, "clipped_low") + perToken(updates, "clipped_high"),
  },
  {
    name: "policy/clip_low",
    unit: "0..1",
    formula: "share clipped at 1 - clip.low, or at the lower bound of algorithm.loss",
    note: "",
    value: ({ updates }) => perToken(updates, "clipped_low"),
  },
  {
    name: "policy/clip_high",
    unit: "0..1",
    formula:
      "share clipped at 1 + clip.high, and at clip.dual where it is set, or at the upper bound of algorithm.loss",
    note: "",
    value: ({ updates }) => perToken(updates, "clipped_high"),
  },
  {
    name: "policy/ess",
    unit: "0..1",
    formula:
      "(sum of w)^2 / (tokens * sum of w^2), w the weight that the loss gives a token's policy gradient: its ratio, clipped or not",
    note: "effective sample size / tokens, with a loss beside the clipped one; 1 with one update a step; falling: a few tokens make the update",
    when: ({ measures }) => measures.has("importance"),
    value: ({ updates }) => {
      const squares = perToken(updates, "importance_squared");
      return tokensOf(updates) === 0 ? 1 : squares === 0 ? 0 : perToken(updates, "importance") ** 2 / squares;
    },
  },
  {
    name: "policy/selected",
    unit: "0..1",
    formula: "tokens that the loss treats apart / tokens that carry loss, mean of the step's updates",
    note: "with loss clip-cov and kl-cov; 0: no token has a covariance between the bounds",
    when: ({ measures }) => measures.has("selection"),
    value: ({ updates }) => perUpdate(updates, ({ selected }) => selected ?? 0),
  },
  {
    name: "policy/update_kl",
    unit: "nats",
    formula: "mean of r - 1 - log r, r the ratio: KL of the updated policy from the sampling one",
    note: "above 0.1: the updates of one rollout go too far",
    curve: { place: 80, title: "KL of an update", unit: "nats a token" },
    value: ({ updates }) => perToken(updates, "approx_kl"),
  },
  {
    name: "policy/sampler_gap",
    unit: "nats",
    formula: "largest |logprob recomputed - logprob while sampling| before the first update",
    note: "above 1e-3: two engines disagree",
    // the first update of the rollout runs on the policy that sampled: any gap is the engine's
    value: ({ updates, samplerGap }) => samplerGap ?? updates[0]?.statistics["largest_gap"] ?? 0,
  },
  {
    name: "policy/precision_gap",
    unit: "nats",
    formula:
      "mean |logprob as sampled - logprob with float32 products|, on the first rows of every 20th step",
    note: "only with backend.precision tf32 or bf16; near 0.02 is usual for bf16, above 0.1 the ratios lose their meaning",
    when: precision,
    value: ({ precisionGap }) => precisionGap?.mean ?? null,
  },
  {
    name: "policy/precision_gap_max",
    unit: "nats",
    formula: "the largest of these differences",
    note: "",
    when: precision,
    value: ({ precisionGap }) => precisionGap?.largest ?? null,
  },
  {
    name: "policy/logprob_mean",
    unit: "nats",
    formula: "mean logprob of the sampled tokens",
    note: "",
    value: (facts) => tokenMean(facts, ({ logprobs }) => logprobs),
  },
  {
    name: "group/drawn",
    unit: "count",
    formula: "groups that the step has sampled, redrawn ones included",
    note: "algorithm.dynamic_sampling: what the step's batch has cost",
    when: redrawing,
    value: ({ declared }) => declared["group/drawn"] ?? null,
  },
  {
    name: "group/dropped",
    unit: "count",
    formula: "groups without a difference in reward that were left out of the batch",
    note: "algorithm.dynamic_sampling",
    when: redrawing,
    value: ({ declared }) => declared["group/dropped"] ?? null,
  },
  {
    name: "group/filled",
    unit: "count",
    formula: "groups without a difference that fill the batch after all",
    note: "above 0: the bound algorithm.dynamic_sampling.oversampling was reached, the prompts are too easy or too hard",
    when: redrawing,
    value: ({ declared }) => declared["group/filled"] ?? null,
  },
  {
    name: "policy/kl",
    unit: "nats",
    formula: "mean over completion tokens of the KL estimate of policy from reference policy",
    note: "climbing fast: lower the learning rate or raise kl.coef",
    label: "KL",
    format: digits,
    panel: { place: 70 },
    curve: { place: 70, title: "KL to the reference", unit: "nats a token" },
    when: reference,
    value: ({ kl }) => kl!.perToken,
  },
  {
    name: "policy/kl_completion",
    unit: "nats",
    formula: "the KL estimate summed over each completion, mean over B",
    note: "what kl.target speaks of",
    when: (setting) => reference(setting) && critic(setting),
    value: ({ kl }) => kl!.perCompletion ?? null,
  },
  {
    name: "policy/kl_coef",
    unit: "-",
    formula: "weight of the KL in this step's rewards",
    note: "moves only with kl.target; climbing without end: the target is too tight for the reward",
    when: (setting) => reference(setting) && critic(setting),
    value: ({ kl }) => kl!.coef ?? null,
  },
  {
    name: "critic/value_mean",
    unit: "reward",
    formula: "mean over completion tokens of the critic's value",
    note: "",
    when: critic,
    value: (facts) => mean(valuesOf(facts)),
  },
  {
    name: "critic/return_mean",
    unit: "reward",
    formula: "mean over completion tokens of what the value should have been",
    note: "",
    when: critic,
    value: (facts) => mean(returnsOf(facts)),
  },
  {
    name: "critic/explained_variance",
    unit: "-",
    formula: "1 - variance of (return - value) / variance of returns, values from before the update",
    note: "1: perfect, 0: no better than a constant, below 0: worse; blank when all returns are equal",
    label: "critic",
    format: digits,
    panel: { place: 90 },
    curve: { place: 110, title: "Critic", unit: "explained variance" },
    when: critic,
    value: (facts) => explainedVariance(facts.critic!),
  },
  {
    name: "critic/loss",
    unit: "-",
    formula: "clipped value loss, mean of the step's updates",
    note: "",
    when: critic,
    value: (facts) => perUpdate(facts.critic!.updates, ({ loss }) => loss),
  },
  {
    name: "critic/clip_fraction",
    unit: "0..1",
    formula: "completion tokens whose value the clip held / completion tokens",
    note: "high for long: rewards are large against critic.clip",
    when: critic,
    value: (facts) => perToken(facts.critic!.updates, "value_clipped"),
  },
  {
    name: "critic/lr",
    unit: "1/step",
    formula: "the critic's learning rate in the step's last update",
    note: "",
    when: critic,
    value: (facts) => facts.critic!.lr,
  },
  {
    name: "critic/grad_norm",
    unit: "-",
    formula: "as optim/grad_norm, of the critic",
    note: "",
    when: critic,
    value: (facts) => perUpdate(facts.critic!.updates, ({ gradientNorm }) => gradientNorm),
  },
  {
    name: "optim/live",
    unit: "0..1",
    formula: "completions that can move the weights / B, mean of the step's updates",
    note: "others are left out of the update's passes; it takes that much less time",
    when: ({ measures }) => measures.has("live"),
    value: ({ updates }) => perUpdate(updates, ({ live }) => live ?? 1),
  },
  {
    name: "time/rollout_s",
    unit: "s",
    formula: "of time/step_s: sampling completions",
    note: "",
    value: ({ times }) => times.sampling,
  },
  {
    name: "time/reward_s",
    unit: "s",
    formula: "of time/step_s: scoring",
    note: "",
    value: ({ times }) => times.rewarding,
  },
  {
    name: "time/update_s",
    unit: "s",
    formula: "of time/step_s: forward, backward and optimizer",
    note: "",
    value: ({ times }) => times.updating,
  },
];

/** Metrics of the optimizer, for every algorithm. */
export const optimizerMetrics: readonly Metric<UpdateFacts>[] = [
  {
    name: "optim/lr",
    unit: "1/step",
    formula: "learning rate of the step's last update",
    note: "",
    curve: { place: 130, title: "Learning rate", unit: "step size" },
    value: ({ lr }) => lr,
  },
  {
    name: "optim/grad_norm",
    unit: "-",
    formula: "global gradient norm before clipping, mean of the step's updates",
    note: "spikes before a collapse",
    label: "gradient",
    format: digits,
    panel: { place: 100 },
    curve: { place: 60, title: "Gradient norm", unit: "norm before clipping" },
    value: ({ updates }) => perUpdate(updates, ({ gradientNorm }) => gradientNorm),
  },
  {
    name: "optim/clipped",
    unit: "0..1",
    formula: "updates whose gradient was clipped / updates",
    note: "",
    value: ({ updates, clipNorm }) =>
      clipNorm === null ? 0 : perUpdate(updates, ({ gradientNorm }) => (gradientNorm > clipNorm ? 1 : 0)),
  },
  {
    name: "optim/updates",
    unit: "count",
    formula: "optimizer updates since the stage began",
    note: "",
    value: ({ optimizerSteps }) => optimizerSteps,
  },
  {
    name: "memory/tensors",
    unit: "count",
    formula: "live tensors after the step, without those that a frozen tower made of pictures",
    note: "growing: a leak",
    value: ({ tensors }) => tensors,
  },
];
