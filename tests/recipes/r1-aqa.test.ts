import { expect, it } from "vitest";
import { loadRecipe } from "../../src/config/load.ts";
import { settingsToRecipe } from "../../src/recipes/method.ts";
import { r1Aqa } from "../../src/recipes/r1-aqa.ts";
import { completeInput } from "../../src/rewards/cases.ts";
import { rewardPartsOptions } from "../../src/rewards/options.ts";
import { scoreCompletions } from "../helpers/score.ts";

async function judge(completion: string, layout?: string[]) {
  const specs = settingsToRecipe(r1Aqa.settings)["rewards"] as Record<string, unknown>[];
  const parts = rewardPartsOptions.parse(
    layout === undefined
      ? specs
      : specs.map((spec) => (spec["name"] === "format" ? { ...spec, tags: layout } : spec)),
  );
  const input = completeInput({ completion, answer: "motorboat" });
  const [score] = await scoreCompletions([input], parts, { maxErrorShare: 0, seed: 1 });
  return [score!.parts["format"]!.value, score!.parts["accuracy"]!.value, score!.reward];
}

it.each([
  ["<answer>motorboat</answer>", 1, 1],
  ["It is <answer>motorboat</answer>", 0, 1],
  ["motorboat", 0, 1],
  ["<answer>Motorboat</answer>", 1, 0],
  ["<think>x</think><answer>motorboat</answer>", 0, 1],
  ["<answer> motorboat </answer>", 1, 1],
  ["<answer>\nmotorboat\n</answer>", 1, 0], // the code's pattern does not cross lines
  ["It is a motorboat", 0, 0],
  ["<answer>motor</answer><answer>motorboat</answer>", 1, 0],
])("%j: format %d, accuracy %d", async (completion, format, accuracy) => {
  expect(await judge(completion)).toEqual([format, accuracy, format + accuracy]);
});

it("its variant with thought takes a think block before the answer", async () => {
  const layout = ["think", "answer"];
  expect(await judge("<think>x</think>\n<answer>motorboat</answer>", layout)).toEqual([1, 1, 2]);
  expect(await judge("<answer>motorboat</answer>", layout)).toEqual([0, 1, 1]);
});

it("has the script's settings, each with a source", () => {
  const { recipe } = loadRecipe("configs/paper/r1-aqa.yaml");
  expect(recipe.steps).toBe(1000);
  expect(recipe.seed).toBe(42);
  expect(recipe.rollout).toMatchObject({ group_size: 8, temperature: 1, max_prompt_tokens: 512 });
  expect(recipe.algorithm).toMatchObject({
    kl: { coef: 0.04, estimator: "k3", place: "loss" },
    advantage: { std: "sample", epsilon: 1e-4 },
    aggregation: "sequence",
  });
  expect(recipe.data.train).toMatchObject({
    prompt: expect.stringMatching(
      /Please choose the answer from the following options: \{options\}\. Output the final answer in <answer> <\/answer>\.$/,
    ),
  });
  for (const { key, source } of r1Aqa.settings) expect(source, key).toMatch(/paper|code|TRL/);
});
