import { describe, expect, it } from "vitest";
import { groupAdvantages } from "../../src/advantages/group.ts";
import { advantageOptions } from "../../src/advantages/options.ts";
import { loadRecipe } from "../../src/config/load.ts";
import { klEstimateNumber } from "../../src/losses/kl.ts";
import { arena } from "../../src/recipes/arena.ts";
import { settingsToRecipe } from "../../src/recipes/method.ts";
import { completeInput } from "../../src/rewards/cases.ts";
import { rewardPartsOptions } from "../../src/rewards/options.ts";
import { scoreCompletions } from "../helpers/score.ts";

const settings = settingsToRecipe(arena.settings);

async function judge(completion: string) {
  const parts = rewardPartsOptions.parse(settings["rewards"]);
  const fields = { supporting_ids: [1, 5], answers: ["Eiffel's tower"] };
  const input = completeInput({ completion, answer: "the Eiffel Tower", fields });
  const [score] = await scoreCompletions([input], parts, { maxErrorShare: 0, seed: 1 });
  const value = (name: string) => score!.parts[name]!.value;
  return { all: [value("format"), value("accuracy"), value("relevance")], total: score!.reward, ...score! };
}

const text = (ids: string, answer: string, analysis = "both name it") =>
  `<relevance>${ids}</relevance>\n<analysis>${analysis}</analysis>\n<answer>${answer}</answer>`;

describe("ARENA's rewards, worked by hand", () => {
  it.each([
    [text("[1,5]", "Eiffel tower"), [1, 1, 1], 13],
    [text("[5,1,1]", "An  eiffel_tower."), [1, 1, 1], 13],
    [text("[1,5]", "Eiffel s Tower"), [1, 1, 1], 13],
    [text("[1]", "Eiffel tower"), [1, 1, 0.5], 2.5],
    [text("[1,5,7]", "Eiffel tower"), [1, 1, 0.5], 2.5],
    [text("[1,5]", "Big Ben"), [1, 0, 1], 2],
    [`So: ${text("[1,5]", "Eiffel tower")}`, [0, 1, 1], 2],
    [text("[1,5]", "Eiffel tower", "1 < 5"), [0, 1, 1], 2],
    [text("[2]", "Eiffel tower"), [1, 1, 0], 2],
    [text("1 and 5", "Eiffel tower"), [1, 1, 0], 2],
    ["", [0, 0, 0], 0],
  ])("%j: %j, %d in all", async (completion, all, total) => {
    expect(await judge(completion)).toMatchObject({ all, total, correct: all[1] === 1 });
  });
});

it("a bonus leaves all others of its group with negative advantages", () => {
  const { advantage } = settings["algorithm"] as { advantage: object };
  const [found] = groupAdvantages([[13, 2.5, 2, 0, 1, 1, 2]], advantageOptions.parse(advantage));
  const expected = [2.22735, -0.128193, -0.240362, -0.689036, -0.464699, -0.464699, -0.240362];
  for (const [i, value] of expected.entries()) expect(found![i]).toBeCloseTo(value, 5);
});

it("its KL is k2", () => {
  const { kl } = settings["algorithm"] as { kl: { estimator: "k2" } };
  expect(klEstimateNumber(-1.2, -1, kl.estimator)).toBeCloseTo(0.02, 12);
});

it("has the script's settings, each with a source", () => {
  const { recipe } = loadRecipe("configs/paper/arena.yaml");
  expect(recipe.seed).toBe(42);
  expect(recipe.rollout).toMatchObject({ prompts_per_step: 256, group_size: 7, max_new_tokens: 256 });
  // one epoch of 25,000 questions
  expect(recipe.steps * 256).toBeGreaterThanOrEqual(25_000);
  expect((recipe.steps - 1) * 256).toBeLessThan(25_000);
  expect(recipe.algorithm).toMatchObject({
    kl: { coef: 0.04, estimator: "k2", place: "loss" },
    aggregation: "token",
    clip: { low: 0.2, high: 0.2 },
  });
  expect(recipe.optimizer).toMatchObject({ lr: 3e-6, schedule: "cosine", warmup_steps: 10 });
  for (const { key, source } of arena.settings) expect(source, key).toMatch(/paper|code/);
});
