import { expect, it } from "vitest";
import { loadRecipe } from "../../src/config/load.ts";
import { dump } from "../../src/recipes/dump.ts";
import { settingsToRecipe } from "../../src/recipes/method.ts";
import { completeInput } from "../../src/rewards/cases.ts";
import { rewardPartsOptions } from "../../src/rewards/options.ts";
import { scoreCompletions } from "../helpers/score.ts";

it.each([
  ["<think>a</think><answer>6</answer>", 3],
  ["So: <think>a</think> thus <answer>6</answer>", 3],
  ["<think>a</think><answer>5</answer>", -0.5],
  ["<answer>6</answer>", 1],
  ["<answer>5</answer>", -2.5],
  ["<think>a</think><answer>5</answer><answer>6</answer>", 1],
  ["6", -3],
  ["", -3],
])("%j has the reward %d", async (completion, expected) => {
  const parts = rewardPartsOptions.parse(settingsToRecipe(dump.settings)["rewards"]);
  const input = completeInput({ completion, answer: "6" });
  const [score] = await scoreCompletions([input], parts, { maxErrorShare: 0, seed: 1 });
  expect(score!.reward).toBe(expected);
});

it("has the paper's settings, each with a source", () => {
  const { recipe } = loadRecipe("configs/paper/dump.yaml");
  expect(recipe.sampler).toEqual({ kind: "ucb", column: "people", window: 300, tau: 0.1, exploration: 1 });
  expect(recipe.rollout).toMatchObject({
    prompts_per_step: 128,
    group_size: 16,
    max_prompt_tokens: 4096,
    max_new_tokens: 20480,
  });
  expect(recipe.algorithm).toMatchObject({
    kl: { coef: 0.001, estimator: "k3", place: "loss" },
    minibatches: 4,
  });
  expect(recipe.optimizer.lr).toBe(1e-6);
  // two epochs of 12 distributions of 900
  expect((recipe.steps - 1) * 128).toBeLessThan(2 * 12 * 900);
  for (const { key, source } of dump.settings) expect(source, key).toMatch(/paper|code/);
});
