import { describe, expect, it } from "vitest";
import { loadRecipe } from "../../src/config/load.ts";
import { layTrials } from "../../src/config/sweep-options.ts";
import { adacot } from "../../src/recipes/adacot.ts";
import { settingsToRecipe } from "../../src/recipes/method.ts";
import { partName, type RewardSpec, rewardPartsOptions } from "../../src/rewards/options.ts";

const weights = (rewards: readonly RewardSpec[]) =>
  Object.fromEntries(rewards.map((part) => [partName(part), part.weight]));

/** What stands at a dotted key. */
const at = (tree: unknown, key: string): unknown =>
  key.split(".").reduce((node, part) => (node as Record<string, unknown>)[part], tree);

it("the recipe's rewards are the paper's Exp2 with gamma 1", () => {
  const parts = rewardPartsOptions.parse(settingsToRecipe(adacot.settings)["rewards"]);
  expect(weights(parts)).toEqual({ base: 1, miss: -0.2, over: -0.3, "format-fault": -1 });
  expect(parts.slice(1).map((part) => (part.kind === "trigger" ? part.counts : null))).toEqual([
    "miss",
    "over",
    "format",
  ]);
});

describe("the paper's profile", () => {
  const { stages, sweep } = loadRecipe("configs/paper/adacot.yaml");

  it("warms up, masks the decision in RL-Math only, and has penalties in RL-General only", () => {
    expect(stages.map(({ name, recipe }) => `${name} ${recipe.algorithm.kind}`)).toEqual([
      "warm-up sft",
      "rl-math ppo",
      "rl-general ppo",
    ]);
    const [warmUp, math, general] = stages.map(({ recipe }) => recipe);
    expect(warmUp!.optimizer).toMatchObject({ lr: 2e-5, schedule: "cosine", final_lr_share: 0.1 });
    expect(math!.algorithm).toMatchObject({
      mask_decision: { enabled: true, divisor: "drop" },
      gae: { gamma: 1, lambda: 0.95 },
      clip: { low: 0.2, high: 0.2 },
      kl: { coef: 0.01 },
    });
    expect(general!.algorithm).toMatchObject({ mask_decision: { enabled: false }, kl: { coef: 0.01 } });
    expect(weights(math!.rewards)).toEqual({ base: 1, "format-fault": -1 });
    expect(weights(general!.rewards)).toEqual({ base: 1, miss: -0.2, over: -0.3, "format-fault": -1 });
  });

  it("sweeps the paper's four pairs", () => {
    const pairs = layTrials(sweep!, 1).map(({ set }) => {
      const options = Object.entries(set).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
      const { miss, over } = weights(
        loadRecipe("configs/paper/adacot.yaml", { set: options }).stages[2]!.recipe.rewards,
      );
      return [miss, over];
    });
    expect(pairs).toEqual([
      [-0.1, -0.3],
      [-0.2, -0.3],
      [-0.3, -0.3],
      [-0.3, -0.1],
    ]);
  });
});

describe("the laboratory's profiles", () => {
  it.each([
    ["configs/adacot.yaml", ["think-all", "off-1", "off-2", "off-3", "off-4", "full-cot", "no-cot"]],
    ["configs/adacot-slm.yaml", ["masked", "unmasked"]],
  ])("%s: every trial is a right config", (file, names) => {
    const trials = layTrials(loadRecipe(file).sweep!, 1);
    expect(trials.map(({ point }) => point)).toEqual(names);
    for (const { set } of trials) {
      const options = Object.entries(set).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
      const recipes = loadRecipe(file, { set: options }).stages.map(({ recipe }) => recipe);
      const resolved = { ...recipes[0], stages: recipes };
      for (const [key, value] of Object.entries(set)) expect(at(resolved, key) ?? null, key).toEqual(value);
    }
  });

  it("masked and unmasked differ in the mask alone, and only the math stage has it", () => {
    const load = (set: string[]) =>
      loadRecipe("configs/adacot-slm.yaml", { set }).stages.map((s) => s.recipe);
    const [, masked] = load([]);
    const [, unmasked] = load(["stages.1.algorithm.mask_decision.enabled=false"]);
    expect(masked!.algorithm).toMatchObject({ mask_decision: { enabled: true, divisor: "keep" } });
    expect({ ...unmasked, algorithm: null }).toEqual({ ...masked, algorithm: null });
    expect(unmasked!.algorithm).toMatchObject({ mask_decision: { enabled: false } });
  });
});
