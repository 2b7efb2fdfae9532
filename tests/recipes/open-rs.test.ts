import { describe, expect, it } from "vitest";
import { loadRecipe } from "../../src/config/load.ts";
import { settingsToRecipe } from "../../src/recipes/method.ts";
import { openRs } from "../../src/recipes/open-rs.ts";
import { completeInput } from "../../src/rewards/cases.ts";
import { rewardPartsOptions } from "../../src/rewards/options.ts";
import { scoreCompletions } from "../helpers/score.ts";

/** What the recipe's parts say, with other settings of the cosine. */
async function judge(completion: string, cosine: Record<string, unknown> = {}) {
  const specs = settingsToRecipe(openRs.settings)["rewards"] as Record<string, unknown>[];
  const parts = rewardPartsOptions.parse(
    specs.map((spec) => (spec["name"] === "cosine" ? { ...spec, ...cosine } : spec)),
  );
  const [score] = await scoreCompletions([completeInput({ completion, answer: "6" })], parts, {
    maxErrorShare: 0,
    seed: 1,
  });
  return { ...score!, cosine: score!.parts["cosine"]!.value, format: score!.parts["format"]!.value };
}

/** So many characters, the answer among them. */
const text = (chars: number, answer: number) => `\\boxed{${answer}}`.padStart(chars, "x");

describe("the cosine of the training script, M = 1000, worked by hand", () => {
  it.each([
    ["right", 500, 0.75],
    ["right", 1000, 0.5],
    ["right", 1500, 0.75], // no clamp: beyond M it rises again
    ["wrong", 500, -0.25],
    ["wrong", 1000, -0.5],
  ])("%s, %d characters: %d", async (verdict, chars, expected) => {
    const { cosine } = await judge(text(chars, verdict === "right" ? 6 : 5), { max_len: 1000 });
    expect(cosine).toBeCloseTo(expected, 10);
  });

  it("begins at 1 for right ones and 0 for wrong ones", async () => {
    // the shortest texts that answer have 9 characters, and an empty one is wrong
    expect((await judge(text(0, 6), { max_len: 1e9 })).cosine).toBeCloseTo(1, 10);
    expect((await judge("", { max_len: 1000 })).cosine).toBe(0);
  });

  it("with the function's own defaults punishes short wrong ones more", async () => {
    const wrong = [-1, -0.5];
    expect((await judge("", { max_len: 1000, wrong })).cosine).toBe(-1);
    expect((await judge(text(500, 5), { max_len: 1000, wrong })).cosine).toBeCloseTo(-0.75, 10);
    expect((await judge(text(1000, 5), { max_len: 1000, wrong })).cosine).toBeCloseTo(-0.5, 10);
  });
});

describe("experiment 3, M = 3584", () => {
  it("a right answer of 896 characters", async () => {
    expect((await judge(text(896, 6))).cosine).toBeCloseTo(0.926777, 6);
  });

  it("one point for one closing tag on a line of its own, two times the cosine", async () => {
    const think = "a\n</think>\n";
    const one = await judge(think + text(500 - think.length, 6), { max_len: 1000 });
    expect(one.reward).toBeCloseTo(2.5, 10);
    expect(one).toMatchObject({ format: 1, correct: true });
    for (const other of [think + think, "a</think>\n", "a\n</think>", ""]) {
      expect((await judge(other + text(20, 6))).format, JSON.stringify(other)).toBe(0);
    }
  });
});

it("has the script's settings, each with a source", () => {
  const { recipe } = loadRecipe("configs/paper/open-rs.yaml");
  expect(recipe.steps).toBe(500);
  expect(recipe.seed).toBe(42);
  expect(recipe.rollout).toMatchObject({
    prompts_per_step: 12,
    group_size: 6,
    temperature: 0.7,
    max_prompt_tokens: 512,
    max_new_tokens: 3584,
  });
  expect(recipe.algorithm).toMatchObject({
    kl: { coef: 0.04, estimator: "k3", place: "loss" },
    clip: { low: 0.2, high: 0.2 },
    aggregation: "sequence",
  });
  expect(recipe.optimizer).toMatchObject({
    lr: 1e-6,
    schedule: "cosine",
    final_lr_share: 0.1,
    warmup_steps: 50,
  });
  expect(recipe.run.checkpoint_every).toBe(50);
  for (const { key, source } of openRs.settings) expect(source, key).toMatch(/paper|code|TRL/);
});
