import type { RewardKlOptions } from "./options.ts";

/**
 * The next coefficient of a KL in the reward. With a target, after D. Ziegler et al., arXiv:1909.08593 section 2.2:
 *   e = clip(kl / target - 1, -0.2, 0.2),   coef <- coef (1 + e completions / horizon).
 * @param kl of the rollout: nats per completion, mean over completions
 * @param completions of the rollout
 * @returns the coefficient unchanged where there is no target
 */
export function nextKlCoefficient(
  coef: number,
  { target, horizon = 10_000 }: Pick<RewardKlOptions, "target" | "horizon">,
  kl: number,
  completions: number,
): number {
  if (target === undefined) return coef;
  const error = Math.min(0.2, Math.max(-0.2, kl / target - 1));
  return coef * (1 + (error * completions) / horizon);
}
