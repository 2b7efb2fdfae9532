import { describe, expect, it } from "vitest";
import { groupAdvantages } from "../../src/advantages/group.ts";
import { advantageOptions } from "../../src/advantages/options.ts";
import { Slots } from "../../src/algorithms/slots.ts";
import { loadRecipe } from "../../src/config/load.ts";
import { laser } from "../../src/recipes/laser.ts";
import { laserD } from "../../src/recipes/laser-d.ts";
import { laserDE } from "../../src/recipes/laser-de.ts";
import { type Method, settingsToRecipe } from "../../src/recipes/method.ts";
import { completeInput } from "../../src/rewards/cases.ts";
import { rewardPartsOptions } from "../../src/rewards/options.ts";
import type { Shapeable } from "../../src/rewards/shaping/kind.ts";
import { openShaping } from "../../src/rewards/shaping.ts";
import { shapingListOptions } from "../../src/rewards/shaping-options.ts";
import { scoreCompletions } from "../helpers/score.ts";

/** Base scores of the code: right 1, wrong -0.5. "+100" is right and has 100 tokens. */
function one(code: string, text = ""): Shapeable {
  const correct = code.startsWith("+");
  return { reward: correct ? 1 : -0.5, correct, thinks: null, tokens: Number(code.slice(1)), text };
}

/** The method's own shaping, with other settings where the example has them. */
function shape(method: Method, groups: Shapeable[][], over: Record<string, unknown>) {
  const [spec] = settingsToRecipe(method.settings)["shaping"] as Record<string, unknown>[];
  return openShaping(shapingListOptions.parse([{ ...spec, ...over }]), new Slots()).shape(groups);
}

describe("LASER's rewards, worked by hand (target 4096, alpha 0.5)", () => {
  it.each([
    ["+4096", "reward", 1.5],
    ["+4097", "reward", 1],
    ["-100", "reward", -0.5],
    ["+5000", "hybrid", 0.5],
    ["+4096", "hybrid", 1.5],
    ["+4096", "penalty", 1],
    ["+4097", "penalty", 0.5],
    ["-5000", "hybrid", -0.5],
  ])("%s, %s: %d", (code, mode, expected) => {
    const { rewards } = shape(laser, [[one(code)]], { target_tokens: 4096, mode });
    expect(rewards).toEqual([[expected]]);
  });

  const group = ["+3000", "+6000", "-2000", "-9000"].map((code) => one(code));
  const shaped = shape(laser, [group], { target_tokens: 4096 });

  it("a group of four, and how many of its right ones are short", () => {
    expect(shaped.rewards).toEqual([[1.5, 1, -0.5, -0.5]]);
    expect(shaped.metrics).toEqual({ "shaping/short": 0.5 });
  });

  it.each([
    ["sample", [1.091409, 0.606338, -0.848874, -0.848874]],
    ["population", [1.260251, 0.700139, -0.980195, -0.980195]],
  ])("its advantages, %s standard deviation", (std, expected) => {
    const { advantage } = settingsToRecipe(laser.settings)["algorithm"] as { advantage: object };
    const [found] = groupAdvantages(shaped.rewards, advantageOptions.parse({ ...advantage, std }));
    for (const [i, value] of expected.entries()) expect(found![i]).toBeCloseTo(value, 5);
  });
});

describe("LASER-DE's rewards, worked by hand (target 200, alpha 0.5)", () => {
  const loop = "so ".repeat(20);
  it.each([
    ["+100", "", 1.5],
    ["+300", "", 1],
    ["-100", "", -0.5],
    ["-300", "", 0],
    ["-300", loop, -0.5],
  ])("%s %j: %d", (code, text, expected) => {
    const { rewards } = shape(laserDE, [[one(code, text)]], { target_tokens: 200 });
    expect(rewards).toEqual([[expected]]);
  });

  it("is LASER-D but for wrong completions, and says how many of them it paid", () => {
    const groups = [["+100", "+300", "-300", "-100"].map((code) => one(code))];
    const [d, de] = [laserD, laserDE].map((method) => shape(method, groups, { target_tokens: 200 }));
    expect(d!.rewards).toEqual([[1.5, 1, -0.5, -0.5]]);
    expect(de!.rewards).toEqual([[1.5, 1, 0, -0.5]]);
    expect([d, de].map((one) => one!.metrics["shaping/long_wrong"])).toEqual([0, 0.5]);
  });
});

it("scores right, wrong and unboxed answers as the code does", async () => {
  const parts = rewardPartsOptions.parse(settingsToRecipe(laser.settings)["rewards"]);
  const inputs = ["So \\boxed{6}.", "So \\boxed{5}.", "So 6."].map((completion) =>
    completeInput({ completion, answer: "6" }),
  );
  const scores = await scoreCompletions(inputs, parts, { maxErrorShare: 0, seed: 1 });
  expect(scores.map(({ reward }) => reward)).toEqual([1, -0.5, -1]);
});

describe("their settings", () => {
  it.each([
    ["laser", { kind: "laser", alpha: 0.5, mode: "reward", target_tokens: 8192 }],
    ["laser-d", { kind: "laser-d", wrong_long: false, target_tokens: 4096, interval: 1024, round: "ceil" }],
    ["laser-de", { kind: "laser-d", wrong_long: true, longest_tokens: 16384, alpha: 0.5 }],
  ])("%s, at the paper's", (name, shaping) => {
    const { recipe } = loadRecipe(`configs/paper/${name}.yaml`);
    expect(recipe.shaping).toMatchObject([shaping]);
    if (name !== "laser")
      expect(recipe.shaping).toMatchObject([{ monitor: { every: 20, prompts: 500, samples: 8 } }]);
    expect(recipe.rollout).toMatchObject({
      prompts_per_step: 128,
      group_size: 8,
      temperature: 0.6,
      max_prompt_tokens: 1024,
      max_new_tokens: 16384,
    });
    expect(recipe.algorithm).toMatchObject({
      clip: { low: 0.2, high: 0.28 },
      kl: { coef: 0.001, estimator: "k3", place: "loss" },
      entropy_coef: 0.001,
      minibatches: 2,
    });
    expect(recipe.optimizer.lr).toBe(1e-6);
  });

  it("differ in the shaping alone, each with a source", () => {
    const training = ({ settings }: Method) => settings.filter(({ key }) => key !== "shaping");
    for (const method of [laser, laserD, laserDE]) {
      expect(training(method)).toEqual(training(laser));
      for (const { key, source } of method.settings) expect(source, key).toMatch(/paper|code/);
    }
  });
});
