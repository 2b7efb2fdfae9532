import type { RewardInput, RewardPartResult } from "../types.ts";
import type { GoldenCase } from "./cases.ts";
import type { FinishedOptions } from "./form-options.ts";

/** `penalty` for a completion cut at the token limit, 0 for one that ended by itself or at a stop string. */
export function finishedReward(input: RewardInput, options: FinishedOptions): RewardPartResult {
  return {
    value: input.finishReason === "length" ? options.penalty : 0,
    status: "ok",
    note: input.finishReason,
  };
}

export const finishedCases: readonly GoldenCase[] = [
  { options: {}, input: { finishReason: "eos" }, expect: 0 },
  { options: {}, input: { finishReason: "stop" }, expect: 0 },
  { options: {}, input: { finishReason: "length" }, expect: -1 },
  { options: { penalty: -0.25 }, input: { finishReason: "length" }, expect: -0.25 },
];
