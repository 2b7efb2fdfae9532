import { z } from "zod";
import type { Shapeable, Shaped, ShapingKind } from "./kind.ts";

/** AutoThink's batch balance between thinking and direct completions. */
const options = z.strictObject({
  kind: z.literal("mode-balance"),
  gamma: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe(
      "share of a mode above which its rewards move to the targets; 1 is off (AutoThink's stage 1: 0.5)",
    ),
  lambda: z.number().min(0).default(2).describe("slope of that move; AutoThink's code has 2"),
  targets: z
    .strictObject({
      thinking_right: z.number().default(0).describe("reward of a right thought at the full move"),
      thinking_wrong: z.number().default(-1).describe("of a wrong thought"),
      direct_right: z.number().default(1).describe("of a right direct answer"),
      direct_wrong: z.number().default(-2).describe("of a wrong direct answer"),
    })
    .prefault({})
    .describe("rewards at the full move; AutoThink's"),
});

export type ModeBalanceOptions = z.infer<typeof options>;

export const modeBalanceKind: ShapingKind<typeof options> = {
  kind: "mode-balance",
  options,
  columns: ["shaping/thinking_share", "shaping/pull_thinking", "shaping/pull_direct"],
  shape: modeBalance,
};

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
