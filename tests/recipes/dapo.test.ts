import * as tf from "@tensorflow/tfjs";
import { beforeAll, describe, expect, it } from "vitest";
import { hasDifference } from "../../src/algorithms/collect.ts";
import { Slots } from "../../src/algorithms/slots.ts";
import { loadRecipe } from "../../src/config/load.ts";
import { tokenWeights } from "../../src/losses/aggregation.ts";
import { clippedPolicyLoss } from "../../src/losses/clipped-policy.ts";
import { clipOptions, klOptions } from "../../src/losses/options.ts";
import { dapo } from "../../src/recipes/dapo.ts";
import { settingsToRecipe } from "../../src/recipes/method.ts";
import { completeInput } from "../../src/rewards/cases.ts";
import { rewardPartsOptions } from "../../src/rewards/options.ts";
import { openShaping } from "../../src/rewards/shaping.ts";
import { shapingListOptions } from "../../src/rewards/shaping-options.ts";
import type { ScoredCompletion } from "../../src/types.ts";
import { scoreCompletions } from "../helpers/score.ts";

beforeAll(async () => {
  await tf.setBackend("cpu");
});

const settings = settingsToRecipe(dapo.settings);
const [overlong] = settings["shaping"] as Record<string, unknown>[];

/** What the length takes off a reward of 0. */
function punished(lengths: readonly number[], over: Record<string, unknown> = {}) {
  const group = lengths.map((tokens) => ({ reward: 0, correct: true, thinks: null, tokens, text: "" }));
  return openShaping(shapingListOptions.parse([{ ...overlong, ...over }]), new Slots()).shape([group]);
}

describe("soft overlong punishment, worked by hand", () => {
  it("of DAPO: 4096 tokens before 20480", () => {
    const { rewards, metrics } = punished([14000, 16384, 18432, 20480]);
    expect(rewards).toEqual([[0, 0, -0.5, -1]]);
    expect(metrics).toEqual({ "shaping/overlong": 0.5 });
  });

  it("of Patho-R1's stage: 8 tokens before 24", () => {
    const { rewards } = punished([10, 16, 18, 20, 24], { max_tokens: 24, buffer: 8 });
    expect(rewards).toEqual([[0, 0, -0.25, -0.5, -1]]);
  });

  it("grows with the factor", () => {
    expect(punished([18432], { factor: 0.5 }).rewards).toEqual([[-0.25]]);
  });
});

it.each([
  [1.35, 1, 1.28],
  [1.25, 1, 1.25],
  [0.7, -1, -0.8],
  [1.5, -1, -1.5],
  // the dual clip bounds what a negative advantage can cost: not by 10, where it begins
  [9, -1, -9],
  [20, -1, -10],
])("clip-higher: ratio %d and advantage %d make %d", (ratio, advantage, surrogate) => {
  const { clip } = settings["algorithm"] as { clip: object };
  const { loss } = clippedPolicyLoss(
    {
      logprobs: tf.tensor1d([Math.log(ratio)]),
      oldLogprobs: tf.tensor1d([0]),
      referenceLogprobs: null,
      advantages: tf.tensor1d([advantage]),
      weights: tf.tensor1d([1]),
    },
    clipOptions.parse(clip),
    klOptions.parse({}),
  );
  expect(loss.dataSync()[0]).toBeCloseTo(-surrogate, 5);
});

it("averages over tokens, where GRPO averages over completions", () => {
  const losses = [
    [1, 1],
    [0, 0, 0, 0, 0, 0],
  ];
  const lengths = losses.map((one) => one.length);
  const total = (aggregation: "token" | "sequence") => {
    const weights = tokenWeights(lengths, aggregation, 100);
    return losses.reduce((sum, one, i) => sum + one.reduce((all, l) => all + l * weights[i]!, 0), 0);
  };
  const { aggregation } = settings["algorithm"] as { aggregation: "token" };
  expect(total(aggregation)).toBeCloseTo(0.25, 12);
  expect(total("sequence")).toBeCloseTo(0.5, 12);
});

describe("dynamic sampling", () => {
  const parts = rewardPartsOptions.parse(settings["rewards"]);
  /** A group of four, 1 right and 0 wrong, scored by the recipe. */
  async function group(pattern: string, wrong = "Answer: 5") {
    const inputs = [...pattern].map((one) =>
      completeInput({ completion: one === "1" ? "So it is.\nAnswer: 6" : wrong, answer: "6" }),
    );
    return {
      scored: (await scoreCompletions(inputs, parts, { maxErrorShare: 0, seed: 1 })) as ScoredCompletion[],
    };
  }

  it.each([
    [
      ["1111", "1000", "0000", "1100"],
      [1, 3],
    ],
    [
      ["1111", "1000", "0000", "1101"],
      [1, 3],
    ],
  ])("of %j keeps groups %j", async (patterns, kept) => {
    const groups = await Promise.all(patterns.map((pattern) => group(pattern)));
    expect(groups.flatMap((one, i) => (hasDifference(one) ? [i] : []))).toEqual(kept);
  });

  it("takes no answer for a wrong one, so that accuracy alone decides", async () => {
    const { scored } = await group("1010", "I do not know.");
    expect(scored.map(({ reward }) => reward)).toEqual([1, -1, 1, -1]);
  });
});

it("has the script's settings, each with a source", () => {
  const { recipe } = loadRecipe("configs/paper/dapo.yaml");
  expect(recipe.rollout).toMatchObject({
    prompts_per_step: 512,
    group_size: 16,
    temperature: 1,
    top_p: 1,
    max_prompt_tokens: 2048,
    max_new_tokens: 20480,
  });
  expect(recipe.algorithm).toMatchObject({
    advantage: { std: "sample", epsilon: 1e-6 },
    clip: { low: 0.2, high: 0.28, dual: 10 },
    kl: { coef: 0 },
    aggregation: "token",
    dynamic_sampling: { oversampling: 30 },
    minibatches: 16,
  });
  expect(recipe.optimizer).toMatchObject({ lr: 1e-6, warmup_steps: 10, weight_decay: 0.1, clip_norm: 1 });
  expect(recipe.shaping).toEqual([{ kind: "overlong", max_tokens: 20480, buffer: 4096, factor: 1 }]);
  for (const { key, source } of dapo.settings) expect(source, key).toMatch(/paper|code|scripts/);
});
