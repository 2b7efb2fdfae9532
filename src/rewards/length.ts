import { z } from "zod";
import type { RewardInput, RewardPartResult } from "../types.ts";
import { defineReward, type PartOptions } from "./define.ts";

/** The unit in which parts count length. */
export const unit = z
  .enum(["tokens", "chars"])
  .default("tokens")
  .describe("what length counts; tokens are what generation costs");

const shape = {
  unit,
  limit: z.int().min(0).describe("no penalty up to this length"),
  max: z
    .int()
    .min(1)
    .describe("length of the full penalty of -1; linear between (DAPO's overlong punishment), -1 beyond"),
};
export type LengthOptions = PartOptions<typeof shape>;

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
export const length = defineReward({
  kind: "length",
  judges: false,
  options: shape,
  check({ limit, max }, fault) {
    if (max <= limit) fault("max", `it must exceed limit = ${limit}; the penalty grows between the two`);
  },
  score: lengthReward,
  cases: [
    { options: limits, input: { tokens: 1 }, expect: 0 },
    { options: limits, input: { tokens: 100 }, expect: 0 },
    { options: limits, input: { tokens: 150 }, expect: -0.5 },
    { options: limits, input: { tokens: 200 }, expect: -1 },
    { options: limits, input: { tokens: 999 }, expect: -1 },
    {
      options: { ...limits, unit: "chars" },
      input: { completion: "x".repeat(125), tokens: 9 },
      expect: -0.25,
    },
  ],
});
