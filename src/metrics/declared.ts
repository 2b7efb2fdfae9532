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
    formula: "right completions that are no longer than their band's target / right completions",
    note: "laser-d: how many get the bonus",
  },
  {
    name: "shaping/target/{band}",
    unit: "tokens",
    formula: "target length of the prompts that are easy, medium or hard for the policy",
    note: "laser-d: falls while the policy learns to be right in fewer tokens",
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
];
