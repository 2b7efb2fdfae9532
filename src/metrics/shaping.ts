/** What shapings say of themselves: they compute these values (src/rewards/shaping.ts), the rows say what they are. */
import type { MetricDefinition } from "./define.ts";

export const shapingMetrics: readonly MetricDefinition[] = [
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
];
