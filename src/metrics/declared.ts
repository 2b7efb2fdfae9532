/** What shapings and samplers say of themselves: they compute these values, the rows say what they are. */
import type { MetricDefinition } from "./define.ts";

export const declaredMetrics: readonly MetricDefinition[] = [
  {
    name: "shaping/thinking_share",
    unit: "0..1",
    formula: "thinking completions / B, as mode-balance counts them",
    note: "z of AutoThink's batch balance",
  },
  {
    name: "shaping/pull_thinking",
    unit: "0..1",
    formula: "how far rewards of thinking completions are moved to their targets",
    note: "above 0: thinking is too frequent",
  },
  {
    name: "shaping/pull_direct",
    unit: "0..1",
    formula: "how far rewards of direct completions are moved to their targets",
    note: "above 0: direct answers are too frequent",
  },
  {
    name: "shaping/length_mean",
    unit: "reward",
    formula: "mean size of the change that group-length makes",
    note: "small against the rewards, or length is what is learnt",
  },
  {
    name: "shaping/short",
    unit: "0..1",
    formula: "right completions that are no longer than the target, or their band's / right completions",
    note: "laser, laser-d: how many get the bonus",
  },
  {
    name: "shaping/long_wrong",
    unit: "0..1",
    formula:
      "wrong completions that get laser-d's bonus for being longer than their target / wrong completions",
    note: "above 0 with wrong_long alone, which is LASER-DE",
  },
  {
    name: "shaping/target/{band}",
    unit: "tokens",
    formula: "target length of the prompts that are easy, medium or hard for the policy",
    note: "laser-d: falls while the policy learns to be right in fewer tokens",
  },
  {
    name: "shaping/overlong",
    unit: "0..1",
    formula: "completions that reach into the buffer before overlong's limit / B",
    note: "rising: what is right does not fit the limit, or the policy rambles",
  },
  {
    name: "sampler/difficulty",
    unit: "of the column",
    formula: "mean over the step's prompts of sampler.column",
    note: "rises while the curriculum opens",
  },
  {
    name: "sampler/seen",
    unit: "0..1",
    formula: "prompts with a known success rate / all prompts",
    note: "sampler.kind success-rate",
  },
  {
    name: "sampler/success",
    unit: "0..1",
    formula: "mean over the step's prompts of the success rate known before the step, 0.5 where none is",
    note: "near 0.5: the sampler finds prompts of the right difficulty",
  },
  {
    name: "sampler/learnability",
    unit: "advantage",
    formula:
      "mean over the step's prompts of their distribution's mean |advantage| in sampler.window, before the step",
    note: "sampler.kind ucb: falls when all distributions are learnt, or all too hard",
  },
  {
    name: "sampler/largest_share",
    unit: "0..1",
    formula: "probability of the likeliest distribution in this step",
    note: "sampler.kind ucb: near 1 for long, and the others wait for their bonus",
  },
];
