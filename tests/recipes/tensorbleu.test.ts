import { describe, expect, it } from "vitest";
import { rewardInputs } from "../../src/algorithms/rollout.ts";
import { settingsToRecipe } from "../../src/recipes/method.ts";
import { tensorBleu } from "../../src/recipes/tensorbleu.ts";
import { completeInput } from "../../src/rewards/cases.ts";
import { rewardPartsOptions } from "../../src/rewards/options.ts";
import { tokenBleu } from "../../src/rewards/token-bleu.ts";
import type { Group, Tokenizer } from "../../src/types.ts";
import { scoreCompletions } from "../helpers/score.ts";

const options = (smoothing: "none" | "exp" | "floor" | "add-k", max_n = 4) => ({
  smoothing,
  max_n,
  epsilon: 0.1,
  k: 1,
});

describe("BLEU of ids, worked by hand", () => {
  it("is 1 for equal sequences, however smoothed", () => {
    for (const smoothing of ["none", "exp", "floor", "add-k"] as const) {
      expect(tokenBleu([5, 6, 7, 8, 9], [[5, 6, 7, 8, 9]], options(smoothing)), smoothing).toBeCloseTo(1, 9);
    }
  });

  it.each([
    ["none", 0.000707107],
    ["exp", 0.000840896],
    ["floor", 0.397635],
    ["add-k", 0.66874],
  ] as const)("3/4, 2/3, 1/2 and 0/1, %s", (smoothing, expected) => {
    expect(tokenBleu([5, 6, 7, 8], [[5, 6, 7, 9]], options(smoothing))).toBeCloseTo(expected, 6);
  });

  it("punishes what is too short", () => {
    expect(tokenBleu([5, 6, 7], [[5, 6, 7, 8, 9, 10]], options("none", 2))).toBeCloseTo(0.367879, 6);
    expect(tokenBleu([5, 6, 7, 8, 9, 10], [[5, 6, 7]], options("none", 1))).toBeCloseTo(0.5, 6);
  });

  it("clips by the reference that has most, and measures brevity by the one nearest in length", () => {
    const references = [
      [7, 7, 1],
      [7, 2, 3, 4, 5, 6],
    ];
    expect(tokenBleu([7, 7, 7, 7], references, options("none", 1))).toBeCloseTo(0.5, 6);
    // at equal distance the first counts: 4 of [2, 6] and of [6, 2]
    const two = [1, 2];
    const six = [1, 2, 3, 4, 5, 6];
    expect(tokenBleu([1, 2, 3, 4], [two, six], options("none", 1))).toBeCloseTo(1, 6);
    expect(tokenBleu([1, 2, 3, 4], [six, two], options("none", 1))).toBeCloseTo(Math.exp(-0.5), 6);
  });

  it("leaves pads out of both", () => {
    expect(tokenBleu([5, 6, 7, 8, 0, 0], [[5, 6, 7, 8, 9, 0]], options("add-k"), 0)).toBeCloseTo(0.778801, 6);
  });
});

/** A letter is a token; what is no letter cannot be written. */
const letters = {
  encode: (text: string) =>
    [...text].map((letter) => {
      if (!/[a-z]/.test(letter)) throw new Error(`no token for ${letter}`);
      return letter.charCodeAt(0);
    }),
} as unknown as Tokenizer;

it("compares sampled ids with the target's, without end tokens; with the answer's where there is no target", async () => {
  const tokens = (text: string) => Int32Array.from(letters.encode(text, { addSpecialTokens: false }));
  const end = 0;
  const group = (target: object, text: string, finished: boolean) =>
    ({
      prompt: {
        id: "p",
        input: { kind: "text", text: "q" },
        answer: "abcdx",
        slices: {},
        fields: {},
        ...target,
      },
      promptTokens: tokens("q"),
      completions: [
        {
          tokens: finished ? Int32Array.from([...tokens(text), end]) : tokens(text),
          text,
          finishReason: finished ? "eos" : "length",
        },
      ],
    }) as unknown as Group;
  const parts = rewardPartsOptions.parse(settingsToRecipe(tensorBleu.settings)["rewards"]);
  const inputs = rewardInputs(letters, [
    group({ target: "abcde" }, "abcde", true),
    group({ target: "abcde" }, "abcde", false),
    group({}, "abcde", true),
  ]);
  const scores = await scoreCompletions(inputs, parts, { maxErrorShare: 0, seed: 1 });
  // 4/5, 3/4, 2/3 and 1/2 of abcde stand in abcdx
  const near = (0.8 * 0.75 * (2 / 3) * 0.5) ** 0.25;
  for (const [i, expected] of [1, 1, near].entries()) expect(scores[i]!.reward).toBeCloseTo(expected, 9);
  for (const [input, note] of [
    [rewardInputs(letters, [group({ target: "12" }, "abcde", true)])[0]!, "cannot write the row's target"],
    [rewardInputs(letters, [group({ answer: "" }, "abcde", true)])[0]!, "neither a target nor an answer"],
  ] as const) {
    await expect(scoreCompletions([input], parts, { maxErrorShare: 0, seed: 1 })).rejects.toThrow(note);
  }
  await expect(
    scoreCompletions([completeInput({ completion: "abcde" })], parts, { maxErrorShare: 0, seed: 1 }),
  ).rejects.toThrow("a text that was not sampled has no tokens");
});
