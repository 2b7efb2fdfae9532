/**
 * Shaping: rewards that depend on the group or the whole batch. Pure functions on numbers, applied after the
 * parts are summed, in the order the recipe lists them. Evaluations use unshaped rewards.
 */
import { mean, standardDeviation } from "../lib/math.ts";
import type { GroupLengthOptions, ModeBalanceOptions, ShapingSpec } from "./shaping-options.ts";

/** What shaping may look at, one per completion. */
export interface Shapeable {
  reward: number;
  correct: boolean;
  /** null where prompts and completions know no think tags. */
  thinks: boolean | null;
  /** Completion tokens, the end token included. */
  tokens: number;
}

export interface Shaped {
  /** [P][G] */
  rewards: number[][];
  /** By metric name. */
  metrics: Record<string, number>;
}

/** Metric names that the listed shapings add, in order. */
export function shapingColumns(specs: readonly ShapingSpec[]): string[] {
  return specs.flatMap(({ kind }) =>
    kind === "mode-balance"
      ? ["shaping/thinking_share", "shaping/pull_thinking", "shaping/pull_direct"]
      : ["shaping/length_mean"],
  );
}

/** @param groups [P][G] */
export function shapeRewards(
  groups: readonly (readonly Shapeable[])[],
  specs: readonly ShapingSpec[],
): Shaped {
  let current = groups;
  let metrics: Record<string, number> = {};
  for (const spec of specs) {
    const shaped = spec.kind === "mode-balance" ? modeBalance(current, spec) : groupLength(current, spec);
    metrics = { ...metrics, ...shaped.metrics };
    current = current.map((group, p) => group.map((one, g) => ({ ...one, reward: shaped.rewards[p]![g]! })));
  }
  return { rewards: current.map((group) => group.map(({ reward }) => reward)), metrics };
}

/**
 * AutoThink stage 1 (arXiv:2505.10832, code main_ppo.py): with z the share of thinking completions of the
 * whole batch, a mode whose share exceeds gamma has its rewards pulled towards the targets,
 *   d_think = clip((z - gamma) lambda, 0, 1), d_direct = clip((1 - z - gamma) lambda, 0, 1),
 *   r <- (1 - d) r + d target.
 * Completions without a mode (thinks null) count as thinking, as in the code.
 */
export function modeBalance(groups: readonly (readonly Shapeable[])[], options: ModeBalanceOptions): Shaped {
  const all = groups.flat();
  const z = all.filter(({ thinks }) => thinks !== false).length / Math.max(1, all.length);
  const pull = (share: number) => Math.min(1, Math.max(0, (share - options.gamma) * options.lambda));
  const pullThinking = pull(z);
  const pullDirect = pull(1 - z);
  const { targets } = options;
  const rewards = groups.map((group) =>
    group.map(({ reward, correct, thinks }) => {
      const direct = thinks === false;
      const d = direct ? pullDirect : pullThinking;
      const target = direct
        ? correct
          ? targets.direct_right
          : targets.direct_wrong
        : correct
          ? targets.thinking_right
          : targets.thinking_wrong;
      return (1 - d) * reward + d * target;
    }),
  );
  return {
    rewards,
    metrics: {
      "shaping/thinking_share": z,
      "shaping/pull_thinking": pullThinking,
      "shaping/pull_direct": pullDirect,
    },
  };
}

/**
 * AutoThink stage 3: within a group, right and wrong completions apart (both modes pooled), y = (L - mean) / std
 * with the sample std floored at 1e-6, and
 *   right: r += exp(-alpha y) - 1;   wrong: r += 1 - exp(-beta y).
 * A part of fewer than two completions is left as it is.
 */
export function groupLength(groups: readonly (readonly Shapeable[])[], options: GroupLengthOptions): Shaped {
  const changes: number[] = [];
  const rewards = groups.map((group) => {
    const shaped = group.map(({ reward }) => reward);
    for (const side of [true, false]) {
      const members = group.flatMap(({ correct }, i) => (correct === side ? [i] : []));
      if (members.length < 2) continue;
      const lengths = members.map((i) => group[i]!.tokens);
      const centre = mean(lengths);
      const scale = Math.max(1e-6, standardDeviation(lengths, 1));
      for (const [k, i] of members.entries()) {
        const y = (lengths[k]! - centre) / scale;
        const change = side ? Math.exp(-options.alpha * y) - 1 : 1 - Math.exp(-options.beta * y);
        shaped[i]! += change;
        changes.push(Math.abs(change));
      }
    }
    return shaped;
  });
  return { rewards, metrics: { "shaping/length_mean": mean(changes) } };
}
