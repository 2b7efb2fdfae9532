import type { RewardInput, RewardPartResult } from "../types.ts";
import type { GoldenCase } from "./cases.ts";
import type { CosineLengthOptions } from "./form-options.ts";
import { completionLength } from "./length.ts";

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
/** Worked examples of the paper's code: function defaults, then the training script's. */
export const cosineLengthCases: readonly GoldenCase[] = [
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
];
