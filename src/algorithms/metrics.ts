/** Metrics of a rollout: what was sampled and what it was worth. */
import { mean, standardDeviation } from "../lib/math.ts";
import { degenerateDefaults, isDegenerate } from "../rewards/mode-answer.ts";
import type { MetricValues } from "../run/metrics.ts";
import type { Group, ScoredCompletion } from "../types.ts";

/** Column names, in order. @param sized whether epochs can be counted */
export function rolloutColumns(partNames: readonly string[], sized: boolean): string[] {
  return [
    ...(sized ? ["epoch"] : []),
    "reward/mean",
    "reward/std",
    "reward/min",
    "reward/max",
    ...partNames.map((name) => `reward/part/${name}`),
    "accuracy",
    "status/unparsed",
    "status/error",
    "status/timeout",
    "group/all_right",
    "group/all_wrong",
    "group/equal_rewards",
    "group/all_truncated",
    "group/all_unparsed",
    "group/reward_std",
    "tokens/prompt_mean",
    "tokens/completion_mean",
    "tokens/completion_min",
    "tokens/completion_max",
    "tokens/correct_mean",
    "tokens/wrong_mean",
    "tokens/total",
    "completion/truncated",
    "completion/thinking",
    "completion/distinct",
    "completion/degenerate",
  ];
}

export function rolloutMetrics(
  groups: readonly Group[],
  scored: readonly (readonly ScoredCompletion[])[],
  partNames: readonly string[],
): MetricValues {
  const all = scored.flat();
  const share = (test: (completion: ScoredCompletion) => boolean) => all.filter(test).length / all.length;
  const groupShare = (test: (group: readonly ScoredCompletion[]) => boolean) =>
    scored.filter(test).length / scored.length;
  const rewards = all.map(({ reward }) => reward);
  const lengths = all.map(({ tokens }) => tokens.length);
  const meanLength = (chosen: readonly ScoredCompletion[]) =>
    chosen.length === 0 ? null : mean(chosen.map(({ tokens }) => tokens.length));
  const modes = all.flatMap(({ thinks }) => (thinks === null ? [] : [thinks]));
  return {
    "reward/mean": mean(rewards),
    "reward/std": standardDeviation(rewards, 0),
    "reward/min": Math.min(...rewards),
    "reward/max": Math.max(...rewards),
    ...Object.fromEntries(
      partNames.map((name) => [`reward/part/${name}`, mean(all.map(({ parts }) => parts[name]?.value ?? 0))]),
    ),
    accuracy: share(({ correct }) => correct),
    "status/unparsed": share(({ status }) => status === "unparsed"),
    "status/error": share(({ status }) => status === "error"),
    "status/timeout": share(({ status }) => status === "timeout"),
    "group/all_right": groupShare((group) => group.every(({ correct }) => correct)),
    "group/all_wrong": groupShare((group) => group.every(({ correct }) => !correct)),
    "group/equal_rewards": groupShare((group) => group.every(({ reward }) => reward === group[0]!.reward)),
    "group/all_truncated": groupShare((group) =>
      group.every(({ finishReason }) => finishReason === "length"),
    ),
    "group/all_unparsed": groupShare((group) => group.every(({ status }) => status === "unparsed")),
    "group/reward_std": mean(
      scored.map((group) =>
        standardDeviation(
          group.map(({ reward }) => reward),
          0,
        ),
      ),
    ),
    "tokens/prompt_mean": mean(groups.map(({ promptTokens }) => promptTokens.length)),
    "tokens/completion_mean": mean(lengths),
    "tokens/completion_min": Math.min(...lengths),
    "tokens/completion_max": Math.max(...lengths),
    "tokens/correct_mean": meanLength(all.filter(({ correct }) => correct)),
    "tokens/wrong_mean": meanLength(all.filter(({ correct }) => !correct)),
    "tokens/total": lengths.reduce((sum, length) => sum + length, 0),
    "completion/truncated": share(({ finishReason }) => finishReason === "length"),
    "completion/thinking": modes.length === 0 ? null : modes.filter(Boolean).length / modes.length,
    "completion/distinct": mean(
      scored.map((group) => new Set(group.map(({ text }) => text)).size / group.length),
    ),
    "completion/degenerate": share(({ text }) => isDegenerate(text, degenerateDefaults)),
  };
}
