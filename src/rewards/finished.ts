import { z } from "zod";
import type { RewardInput, RewardPartResult } from "../types.ts";
import { defineReward, type PartOptions } from "./define.ts";

const shape = {
  penalty: z
    .number()
    .max(0)
    .default(-1)
    .describe("value when the completion was cut at the token limit, else 0; -1 cancels one right answer"),
};
export type FinishedOptions = PartOptions<typeof shape>;

/** `penalty` for a completion cut at the token limit, 0 for one that ended by itself or at a stop string. */
export function finishedReward(input: RewardInput, options: FinishedOptions): RewardPartResult {
  return {
    value: input.finishReason === "length" ? options.penalty : 0,
    status: "ok",
    note: input.finishReason,
  };
}

export const finished = defineReward({
  kind: "finished",
  judges: false,
  options: shape,
  score: finishedReward,
  cases: [
    { options: {}, input: { finishReason: "eos" }, expect: 0 },
    { options: {}, input: { finishReason: "stop" }, expect: 0 },
    { options: {}, input: { finishReason: "length" }, expect: -1 },
    { options: { penalty: -0.25 }, input: { finishReason: "length" }, expect: -0.25 },
  ],
});
