import { describe, expect, it } from "vitest";
import { loadRecipe } from "../../src/config/load.ts";
import { settingsToRecipe } from "../../src/recipes/method.ts";
import { vlmR1 } from "../../src/recipes/vlm-r1.ts";
import { completeInput } from "../../src/rewards/cases.ts";
import { rewardPartsOptions } from "../../src/rewards/options.ts";
import { scoreCompletions } from "../helpers/score.ts";

const recipe = settingsToRecipe(vlmR1.settings);

async function judge(completion: string, specs = recipe["rewards"], fields = {}, answer = "[0, 0, 10, 10]") {
  const input = completeInput({ completion, answer, fields });
  const [score] = await scoreCompletions([input], rewardPartsOptions.parse(specs), {
    maxErrorShare: 0,
    seed: 1,
  });
  return score!;
}
const says = (box: string) => `<think>a</think><answer>{"bbox": ${box}}</answer>`;

describe("rewards of referring expressions", () => {
  // the card's vectors: overlap as the code computes it
  it.each([
    [says("[0, 0, 10, 10]"), 1, 1],
    [says("[5, 5, 15, 15]"), 0.142857, 1],
    [says("[8, 0, 18, 10]"), 0.111111, 1],
    [says("[9, 0, 19, 10]"), 0, 1],
    [says("[10, 10, 20, 20]"), 0, 1],
    ["<answer>[0, 0, 10, 10]</answer>", 1, 0],
    ["<think>a</think><answer>[0, 0, 10, 10]</answer>", 1, 0],
    ["[0, 0, 10, 10]", 0, 0],
    [says("[0, 0, 10, 10]") + says("[5, 5, 15, 15]"), 1, 1],
  ])("%j: overlap %d, format %d", async (completion, iou, format) => {
    const { parts, reward } = await judge(completion);
    expect(parts["iou"]!.value).toBeCloseTo(iou, 6);
    expect(parts["format"]!.value).toBe(format);
    expect(reward).toBeCloseTo(iou + format, 6);
  });

  it("at the paper's settings a box is brought to the picture's size first", async () => {
    const { rewards } = recipeOf("configs/paper/vlm-r1.yaml");
    const sizes = { input_size: [140, 140], image_size: [280, 280] };
    const score = await judge(says("[14, 28, 70, 84]"), rewards, sizes, "[28, 56, 140, 168]");
    expect(score).toMatchObject({ reward: 2, correct: true });
    expect(
      (await judge(says("[28, 56, 140, 168]"), rewards, sizes, "[28, 56, 140, 168]")).reward,
    ).toBeLessThan(1.5);
  });
});

function recipeOf(path: string) {
  return loadRecipe(path).recipe;
}

describe("settings", () => {
  it("are the script's, each with a source", () => {
    const { rollout, algorithm, optimizer, model } = recipeOf("configs/paper/vlm-r1.yaml");
    expect(model.path).toMatch(/Qwen2\.5-VL-3B/);
    expect(rollout).toMatchObject({ group_size: 8, temperature: 0.9, top_k: 50, max_new_tokens: 2048 });
    expect(algorithm).toMatchObject({
      clip: { low: 0.2, high: 0.2 },
      kl: { coef: 0.04, estimator: "k3", place: "loss" },
      epochs: 1,
    });
    expect(optimizer.lr).toBe(1e-6);
    for (const { key, source } of vlmR1.settings) expect(source, key).toMatch(/paper|code|TRL|transformers/);
  });

  it("of the laboratory measure what the weak start of scenes-start.yaml measures", () => {
    const lab = recipeOf("configs/vlm-r1-pictures.yaml");
    const start = recipeOf("configs/scenes-start.yaml");
    expect(lab.rewards).toEqual(start.rewards);
    expect(lab.data.eval).toEqual(start.data.eval);
    expect(lab.algorithm).toMatchObject({ kind: "grpo", kl: { coef: 0 }, aggregation: "sequence" });
    expect(lab.optimizer).toMatchObject({ lr: 5e-4, schedule: "linear" });
    // settings were chosen on seeds from 11 on
    expect(start.seed).toBe(11);
  });
});
