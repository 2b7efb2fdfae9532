import { z } from "zod";
import { createRng } from "../lib/rng.ts";
import { defineEnvironment, type Environment } from "./define.ts";
import { common } from "./part-options.ts";

const options = z.strictObject({
  kind: z.literal("guess"),
  numbers: z.int().min(2).max(1_000_000).default(100).describe("the number is one of 1 to this"),
  prompt: z
    .string()
    .min(1)
    .default(
      "I think of a number from 1 to {numbers}. Guess it; I answer higher, lower or right. Say a number only.",
    )
    .describe("first message; {numbers} stands for the largest"),
  ...common,
});

/**
 * Guess a number. The answer is `higher`, `lower` or, to what is no number of the range, `invalid`; reward 1 ends it. With t turns
 * the best policy halves the range and finds min(1, (2^t - 1) / numbers) of the numbers.
 */
export const guess = defineEnvironment({
  kind: "guess",
  options,
  create({ numbers, prompt }): Environment {
    let secret = 0;
    return {
      reset(seed) {
        secret = 1 + createRng(seed).fork("guess").integer(numbers, 0);
        return [{ role: "user", content: prompt.replaceAll("{numbers}", String(numbers)) }];
      },
      step({ text }) {
        const said = /^\s*(\d{1,9})\s*$/.exec(text);
        const value = said === null ? 0 : Number(said[1]);
        if (value === secret) return { messages: [], reward: 1, done: true };
        const hint = value < 1 || value > numbers ? "invalid" : value < secret ? "higher" : "lower";
        return { messages: [{ role: "user", content: hint }], reward: 0, done: false };
      },
    };
  },
});

/** Share of the numbers that the best policy finds. */
export function bestGuessing(numbers: number, turns: number): number {
  return Math.min(1, (2 ** turns - 1) / numbers);
}
