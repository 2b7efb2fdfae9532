import type { RewardInput, RewardPartResult } from "../types.ts";
import type { GoldenCase } from "./cases.ts";
import type { LengthOptions } from "./form-options.ts";

/** Tokens (end token included) or characters (UTF-16 units, as JavaScript counts). */
export function completionLength(
  input: Pick<RewardInput, "tokens" | "completion">,
  unit: "tokens" | "chars",
): number {
  return unit === "tokens" ? input.tokens : input.completion.length;
}

/**
 * 0 up to `limit`, then linearly down to -1 at `max`, -1 beyond: soft overlong punishment,
 * DAPO (arXiv:2503.14476) eq. 13 with L_max = max and L_cache = max - limit.
 */
export function lengthReward(input: RewardInput, options: LengthOptions): RewardPartResult {
  const length = completionLength(input, options.unit);
  const share = (length - options.limit) / (options.max - options.limit);
  return {
    value: share <= 0 ? 0 : -Math.min(1, share),
    status: "ok",
    note: `${length} ${options.unit}`,
  };
}

const limits = { limit: 100, max: 200 };
export const lengthCases: readonly GoldenCase[] = [
  { options: limits, input: { tokens: 1 }, expect: 0 },
  { options: limits, input: { tokens: 100 }, expect: 0 },
  { options: limits, input: { tokens: 150 }, expect: -0.5 },
  { options: limits, input: { tokens: 200 }, expect: -1 },
  { options: limits, input: { tokens: 999 }, expect: -1 },
  { options: { ...limits, unit: "chars" }, input: { completion: "x".repeat(125), tokens: 9 }, expect: -0.25 },
];
