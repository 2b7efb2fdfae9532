import { expect, it } from "vitest";
import { loadRecipe } from "../../src/config/load.ts";
import { loadExperiment } from "../../src/experiments/experiment.ts";
import { limr } from "../../src/recipes/limr.ts";

it("has the paper's settings, each of them", () => {
  const { recipe } = loadRecipe("configs/paper/limr.yaml");
  expect(recipe.algorithm).toMatchObject({
    kind: "ppo",
    gae: { gamma: 1, lambda: 0.95 },
    whiten: true,
    reward_clip: 10,
    clip: { low: 0.2, high: 0.2 },
    kl: { coef: 0.01, estimator: "k1" },
    critic: { lr: 9e-6, clip: 0.2, warmup_steps: 0 },
    aggregation: "token",
    epochs: 1,
    minibatches: 32,
  });
  expect(recipe.rollout).toMatchObject({
    prompts_per_step: 1024,
    group_size: 8,
    temperature: 1.2,
    top_p: 1,
    max_new_tokens: 3072,
    max_prompt_tokens: 1024,
    stop: ["\nuser\n"],
  });
  // 8,192 samples a rollout in updates of 256
  expect((1024 * 8) / 32).toBe(256);
  expect(recipe.optimizer).toMatchObject({
    lr: 5e-7,
    beta1: 0.9,
    beta2: 0.95,
    weight_decay: 0,
    clip_norm: 1,
    warmup_steps: 10,
    schedule: "cosine",
    final_lr_share: 0.1,
  });
  expect(recipe.rewards).toMatchObject([
    { kind: "rule-server", weight: 1, right: 1, wrong: -0.5, malformed: -1, max_boxes: 4, timeout_ms: 2000 },
  ]);
  expect(recipe.data.train).toMatchObject({
    chat: true,
    system: "Please reason step by step, and put your final answer within \\boxed{}.",
  });
  expect(recipe.model.path).toBe("Qwen/Qwen2.5-Math-7B");
});

it("covers 21 epochs of 8,523 problems", () => {
  const { recipe } = loadRecipe("configs/paper/limr.yaml");
  const draws = recipe.steps * recipe.rollout.prompts_per_step;
  expect(Math.floor(draws / 8523)).toBe(21);
  expect((recipe.steps - 1) * recipe.rollout.prompts_per_step).toBeLessThan(21 * 8523);
});

it("says of every setting where it is from", () => {
  for (const { key, source } of limr.settings) expect(source, key).toMatch(/paper|code/);
});

it.each(["limr", "limr-too-hard", "limr-mostly-too-hard", "limr-no-bad-kind"])(
  "experiment %s: three epochs, equal steps, a pool a seed",
  (name) => {
    const { config, runs } = loadExperiment(`configs/experiments/${name}.yaml`);
    const seeds = new Set(runs.map(({ seed }) => seed)).size;
    expect(seeds).toBeGreaterThanOrEqual(3);
    expect(runs.length).toBe(5 * seeds); // full, selected and three random draws
    for (const { set, seed } of runs) {
      const { recipe } = loadRecipe(config, { set, seed });
      const train = recipe.data.train;
      if (train.kind !== "chain") throw new Error(train.kind);
      expect(train.seed).toBe(seed);
      expect((recipe.steps * recipe.rollout.prompts_per_step) / train.size!).toBe(3);
      expect(recipe.algorithm.kind).toBe("grpo");
      expect(recipe.optimizer).toMatchObject({ lr: 2e-4, warmup_steps: 0, schedule: "constant" });
    }
  },
);
