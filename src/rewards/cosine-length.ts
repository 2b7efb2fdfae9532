import { z } from "zod";
import type { RewardInput, RewardPartResult } from "../types.ts";
import { defineReward, type PartOptions } from "./define.ts";
import { completionLength, unit } from "./length.ts";

const range = z.tuple([z.number(), z.number()]);

const shape = {
  unit: unit.default("chars").describe("what length counts; the published code counts characters"),
  max_len: z
    .int()
    .min(1)
    .default(1000)
    .describe("length M at which the cosine ends; open-rs's function has 1000"),
  right: range
    .default([1, 0.5])
    .describe("value of a right answer at length 0 and at max_len; short ones earn more"),
  wrong: range
    .default([-1, -0.5])
    .describe(
      "value of a wrong answer at length 0 and at max_len; the paper punishes long ones less. open-rs's script has [0, -0.5], the reverse",
    ),
  clamp: z
    .boolean()
    .default(true)
    .describe(
      "lengths beyond max_len count as max_len; unclamped, as published, the reward rises again there",
    ),
};
export type CosineLengthOptions = PartOptions<typeof shape>;

/**
 * v = end + (start - end) (1 + cos(pi L / M)) / 2 with (start, end) by correctness: at length 0 and at M = max_len.
 * Demystifying Long CoT (arXiv:2502.03373); Open-RS (arXiv:2503.16219), whose code has no clamp at M.
 * @param correct what the deciding part said of the same completion
 */
export function cosineLengthReward(
  input: RewardInput,
  options: CosineLengthOptions,
  correct: boolean,
): RewardPartResult {
  const measured = completionLength(input, options.unit);
  const length = options.clamp ? Math.min(measured, options.max_len) : measured;
  const [start, end] = correct ? options.right : options.wrong;
  const cosine = Math.cos((Math.PI * length) / options.max_len);
  return {
    value: end + ((start - end) * (1 + cosine)) / 2,
    status: "ok",
    note: `${measured} ${options.unit}, ${correct ? "right" : "wrong"}`,
  };
}

const script = { wrong: [0, -0.5], clamp: false };
const at = (chars: number) => ({ completion: "x".repeat(chars) });
export const cosineLength = defineReward({
  kind: "cosine-length",
  judges: false,
  options: shape,
  scoreVerdict: cosineLengthReward,
  // Worked examples of the paper's code: function defaults, then the training script's.
  cases: [
    { options: {}, input: at(0), correct: true, expect: 1 },
    { options: {}, input: at(500), correct: true, expect: 0.75 },
    { options: {}, input: at(1000), correct: true, expect: 0.5 },
    { options: {}, input: at(0), correct: false, expect: -1 },
    { options: {}, input: at(500), correct: false, expect: -0.75 },
    { options: {}, input: at(1000), correct: false, expect: -0.5 },
    { options: script, input: at(0), correct: false, expect: 0 },
    { options: script, input: at(500), correct: false, expect: -0.25 },
    { options: script, input: at(1000), correct: false, expect: -0.5 },
    { options: { max_len: 3584 }, input: at(896), correct: true, expect: 0.926777 },
    { options: script, input: at(1500), correct: true, expect: 0.75 },
    { options: {}, input: at(1500), correct: true, expect: 0.5 },
  ],
});
