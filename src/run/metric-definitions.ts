/** The columns of metrics.csv: one table, from which docs/metrics.md is made. */
import { closest, distance } from "fastest-levenshtein";
import { RlptError } from "../lib/errors.ts";

export interface MetricDefinition {
  /** Column name. `{x}` stands for one path part: a reward part, a slice, a dataset. */
  name: string;
  unit: string;
  formula: string;
  /** What a bad value means, or how to read it. */
  note: string;
}

const define = (name: string, unit: string, formula: string, note: string): MetricDefinition => ({
  name,
  unit,
  formula,
  note,
});

/** Letters as in src/types.ts: P prompts in a step, G completions of each, B = P*G. */
export const metricDefinitions: readonly MetricDefinition[] = [
  define("step", "count", "steps done since the run began, over all stages", "the first step is 1"),
  define("stage", "name", "the recipe's stage that made the step", ""),
  define("epoch", "count", "prompts drawn so far / prompts in the training data", "blank for endless tasks"),

  define(
    "reward/mean",
    "reward",
    "mean over B of the weighted sum of the parts, after shaping",
    "what training pushes up; compare it with accuracy to see a reward being gamed",
  ),
  define("reward/std", "reward", "population standard deviation over B", "0: no completion differs"),
  define("reward/min", "reward", "smallest of B", ""),
  define("reward/max", "reward", "largest of B", ""),
  define("reward/part/{part}", "reward", "mean over B of the part's value, before its weight", ""),
  define(
    "accuracy",
    "0..1",
    "correct completions / B",
    "sampled at the training temperature, so below greedy accuracy",
  ),
  define(
    "status/unparsed",
    "0..1",
    "completions whose worst status is unparsed / B",
    "high: the answer's format is not learned, or the limit cuts it off",
  ),
  define(
    "status/error",
    "0..1",
    "completions whose scoring failed / B",
    "a score of these means nothing; the run stops above a limit",
  ),
  define(
    "status/timeout",
    "0..1",
    "completions whose scoring ran past its deadline / B",
    "as for status/error",
  ),

  define(
    "group/all_right",
    "0..1",
    "groups with G correct completions / P",
    "dead groups: too easy, no gradient",
  ),
  define(
    "group/all_wrong",
    "0..1",
    "groups with no correct completion / P",
    "dead groups: too hard, no gradient",
  ),
  define(
    "group/equal_rewards",
    "0..1",
    "groups whose G rewards are equal / P",
    "no gradient from these with group advantages",
  ),
  define(
    "group/all_truncated",
    "0..1",
    "groups whose G completions hit the token limit / P",
    "raise max_new_tokens",
  ),
  define(
    "group/all_unparsed",
    "0..1",
    "groups with no parsed completion / P",
    "the prompt does not ask for the format that the reward reads",
  ),
  define(
    "group/reward_std",
    "reward",
    "mean over P of the group's population standard deviation",
    "falls to 0 when groups die",
  ),
  define("group/dropped", "count", "groups left out of the update by selection", ""),

  define("tokens/prompt_mean", "tokens", "mean prompt length over P", ""),
  define(
    "tokens/completion_mean",
    "tokens",
    "mean completion length over B, end token included",
    "drifting up without accuracy: length is being rewarded",
  ),
  define("tokens/completion_min", "tokens", "shortest of B", ""),
  define("tokens/completion_max", "tokens", "longest of B", ""),
  define("tokens/correct_mean", "tokens", "mean length of correct completions", "blank when none is correct"),
  define("tokens/wrong_mean", "tokens", "mean length of wrong completions", "blank when none is wrong"),
  define("tokens/total", "tokens", "completion tokens of the step", ""),
  define(
    "completion/truncated",
    "0..1",
    "completions that hit the token limit / B",
    "above a few percent: raise max_new_tokens",
  ),
  define(
    "completion/thinking",
    "0..1",
    "completions that think / B",
    "at 0 or 1 one of the two modes has collapsed",
  ),
  define(
    "completion/distinct",
    "0..1",
    "mean over P of different texts in the group / G",
    "near 1/G: mode collapse",
  ),
  define(
    "completion/degenerate",
    "0..1",
    "completions in which an n-gram of 1 to 30 words stands 10 times in a row, or a word has 120 characters / B",
    "text in circles (AutoThink's rule, over the completion only): look at samples.jsonl",
  ),

  define(
    "slice/{slice}/thinking",
    "0..1",
    "completions that think / completions of the slice, such as level=3",
    "",
  ),
  define("slice/{slice}/accuracy", "0..1", "correct completions / completions of the slice", ""),
  define("slice/{slice}/tokens", "tokens", "mean completion length in the slice, end token included", ""),
  define(
    "group/both_modes",
    "0..1",
    "groups that hold completions with and without thinking / P",
    "only these compare the modes: at 0 nothing brings a lost mode back",
  ),
  define(
    "mode/{mode}/accuracy",
    "0..1",
    "correct completions / completions of the mode",
    "mode is thinking or direct",
  ),
  define(
    "mode/{mode}/tokens",
    "tokens",
    "mean completion length of the mode",
    "direct growing: the reasoning has moved behind </think>",
  ),
  define("mode/{mode}/reward", "reward", "mean weighted sum of the parts, before shaping", ""),
  define(
    "mode/{mode}/unparsed",
    "0..1",
    "completions of the mode without a readable answer / completions of the mode",
    "direct climbing: an answer left out costs less than a wrong one",
  ),
  define(
    "mode/{mode}/advantage_right",
    "-",
    "mean advantage of the mode's correct completions",
    "below 0 for thinking: right thoughts are being unlearned",
  ),
  define("mode/{mode}/advantage_wrong", "-", "mean advantage of the mode's wrong completions", ""),

  define(
    "shaping/thinking_share",
    "0..1",
    "thinking completions / B, as mode-balance counts them",
    "z of AutoThink's batch balance",
  ),
  define(
    "shaping/pull_thinking",
    "0..1",
    "how far rewards of thinking completions are moved to their targets",
    "above 0: thinking is too frequent",
  ),
  define(
    "shaping/pull_direct",
    "0..1",
    "how far rewards of direct completions are moved to their targets",
    "above 0: direct answers are too frequent",
  ),
  define(
    "shaping/length_mean",
    "reward",
    "mean size of the change that group-length makes",
    "small against the rewards, or length is what is learnt",
  ),

  define("advantage/mean", "-", "mean over B", "0 for group advantages"),
  define(
    "advantage/std",
    "-",
    "population standard deviation over B",
    "0: nothing to learn from in this step",
  ),

  define(
    "policy/loss",
    "-",
    "the loss that was minimised, mean of the step's updates",
    "near 0 by construction with one update a step; not a measure of progress",
  ),
  define(
    "policy/entropy",
    "nats",
    "mean entropy of the next-token distribution over completion tokens",
    "falling towards 0: entropy collapse",
  ),
  define("policy/entropy/{level}", "nats", "the same for one slice of the prompts", ""),
  define(
    "policy/kl",
    "nats",
    "mean over completion tokens of the KL estimate of policy from reference policy",
    "climbing fast: lower the learning rate or raise kl.coef",
  ),
  define(
    "policy/ratio_mean",
    "-",
    "mean over completion tokens of exp(logprob - sampling logprob)",
    "1 before the first update of a rollout",
  ),
  define("policy/ratio_max", "-", "largest of these ratios", ""),
  define(
    "policy/clip_fraction",
    "0..1",
    "completion tokens whose ratio was clipped / completion tokens",
    "0 with one update a step; climbing: lower the learning rate",
  ),
  define("policy/clip_low", "0..1", "share clipped at 1 - clip.low", ""),
  define("policy/clip_high", "0..1", "share clipped at 1 + clip.high", ""),
  define(
    "policy/update_kl",
    "nats",
    "mean of r - 1 - log r, r the ratio: KL of the updated policy from the sampling one",
    "above 0.1: the updates of one rollout go too far",
  ),
  define(
    "policy/sampler_gap",
    "nats",
    "largest |logprob recomputed - logprob while sampling| before the first update",
    "above 1e-3: two engines disagree",
  ),
  define(
    "policy/precision_gap",
    "nats",
    "mean |logprob as sampled - logprob with float32 products|, on the first rows of every 20th step",
    "only with backend.precision tf32 or bf16; near 0.02 is usual for bf16, above 0.1 the ratios lose their meaning",
  ),
  define("policy/precision_gap_max", "nats", "the largest of these differences", ""),
  define("policy/logprob_mean", "nats", "mean logprob of the sampled tokens", ""),

  define(
    "policy/kl_completion",
    "nats",
    "the KL estimate summed over each completion, mean over B",
    "what kl.target speaks of",
  ),
  define(
    "policy/kl_coef",
    "-",
    "weight of the KL in this step's rewards",
    "moves only with kl.target; climbing without end: the target is too tight for the reward",
  ),

  define("critic/value_mean", "reward", "mean over completion tokens of the critic's value", ""),
  define(
    "critic/return_mean",
    "reward",
    "mean over completion tokens of what the value should have been",
    "",
  ),
  define(
    "critic/explained_variance",
    "-",
    "1 - variance of (return - value) / variance of returns, values from before the update",
    "1: perfect, 0: no better than a constant, below 0: worse; blank when all returns are equal",
  ),
  define("critic/loss", "-", "clipped value loss, mean of the step's updates", ""),
  define(
    "critic/clip_fraction",
    "0..1",
    "completion tokens whose value the clip held / completion tokens",
    "high for long: rewards are large against critic.clip",
  ),
  define("critic/lr", "1/step", "the critic's learning rate in the step's last update", ""),
  define("critic/grad_norm", "-", "as optim/grad_norm, of the critic", ""),

  define("sft/loss", "nats", "mean negative logprob of the target tokens", ""),
  define("sft/tokens", "tokens", "target tokens of the step", ""),
  define("sft/padding", "0..1", "padding tokens / tokens of the rows", "high: switch packing on"),

  define(
    "optim/live",
    "0..1",
    "completions that can move the weights / B, mean of the step's updates",
    "others are left out of the update's passes; it takes that much less time",
  ),
  define("optim/lr", "1/step", "learning rate of the step's last update", ""),
  define(
    "optim/grad_norm",
    "-",
    "global gradient norm before clipping, mean of the step's updates",
    "spikes before a collapse",
  ),
  define("optim/clipped", "0..1", "updates whose gradient was clipped / updates", ""),
  define("optim/updates", "count", "optimizer updates since the stage began", ""),
  define("memory/tensors", "count", "live tensors after the step", "growing: a leak"),
  define(
    "alarms",
    "count",
    "alarms that the step raises",
    "each is printed when it begins; see docs/alarms.md",
  ),
  define("alarm/{name}", "0 or 1", "whether this alarm is raised", "names and thresholds: docs/alarms.md"),

  define("time/step_s", "s", "wall time of the step, without evaluation and checkpoint", ""),
  define("time/rollout_s", "s", "of it: sampling completions", ""),
  define("time/reward_s", "s", "of it: scoring", ""),
  define("time/update_s", "s", "of it: forward, backward and optimizer", ""),
  define("time/eval_s", "s", "evaluation after the step", "blank when there was none"),
  define(
    "time/compile_s",
    "s",
    "compiling programs since the step before; part of the other times",
    "only where the backend compiles; 0 once every shape has come",
  ),
  define("time/programs", "count", "programs compiled so far", "growing: batches of ever new shapes"),
  define("time/checkpoint_s", "s", "checkpoint before the step", "blank when there was none"),
  define(
    "time/tokens_per_s",
    "tokens/s",
    "completion tokens / time/rollout_s; supervised: row tokens / time/step_s",
    "",
  ),
  define("time/elapsed_s", "s", "since this process began to train", "starts again on resume"),
  define(
    "time/peak_rss_mb",
    "MB",
    "largest resident memory of the process so far",
    "not a time, but as little repeatable as one",
  ),
];

/** Columns that every stage has, in this order, before its own. */
export const leadingColumns = ["step", "stage"] as const;

/** Time columns are the only ones in which two runs with one seed differ. */
export function isTimeColumn(name: string): boolean {
  return name.startsWith("time/");
}

const escapePattern = (text: string): string => text.replace(/[.*+?^$()|[\]\\]/g, "\\$&");
const patterns = metricDefinitions
  .filter(({ name }) => name.includes("{"))
  .map((definition) => ({
    definition,
    pattern: new RegExp(
      `^${escapePattern(definition.name)
        .replace("{slice}", ".+")
        .replace(/\{\w+\}/g, "[^/{}]+")}$`,
      "s",
    ),
  }));
const byName = new Map(metricDefinitions.map((definition) => [definition.name, definition]));

/**
 * The definition behind a column name; a placeholder matches one part of the name.
 * @throws RlptError naming the nearest metric when there is none
 */
export function metricDefinition(name: string): MetricDefinition {
  // a slice is a value of the user's data, and may hold a slash or braces
  const found = name.startsWith("slice/{slice}")
    ? undefined
    : ((name.includes("{") ? undefined : byName.get(name)) ??
      patterns.find(({ pattern }) => pattern.test(name))?.definition);
  if (found !== undefined) return found;
  const nearest = closest(
    name,
    metricDefinitions.map((definition) => definition.name),
  );
  const hint = distance(name, nearest) <= 6 ? `; did you mean ${nearest}?` : ".";
  throw new RlptError(
    `metric ${name} is not defined${hint} Every column needs a row in src/run/metric-definitions.ts.`,
  );
}
