import { describe, expect, it } from "vitest";
import { groupAdvantages } from "../../src/advantages/group.ts";
import { advantageOptions } from "../../src/advantages/options.ts";
import { loadRecipe } from "../../src/config/load.ts";
import { tokenWeights } from "../../src/losses/aggregation.ts";
import { learningRate } from "../../src/optim/schedule.ts";
import { adaptiveThinking } from "../../src/recipes/adaptive-thinking.ts";
import { clsRl } from "../../src/recipes/cls-rl.ts";
import { type Method, settingsToRecipe } from "../../src/recipes/method.ts";
import { noThinking } from "../../src/recipes/no-thinking.ts";
import { thinkAfterAnswer } from "../../src/recipes/think-after-answer.ts";
import { completeInput } from "../../src/rewards/cases.ts";
import { rewardPartsOptions } from "../../src/rewards/options.ts";
import { scoreCompletions } from "../helpers/score.ts";

/** What the recipe's own parts say of one completion. */
async function judge(method: Method, completion: string, solution: string) {
  const parts = rewardPartsOptions.parse(settingsToRecipe(method.settings)["rewards"]);
  // the code takes the text inside the solution's tag, trimmed
  const answer = /<answer>(.*?)<\/answer>/s.exec(solution)![1]!.trim();
  const input = completeInput({ completion, answer });
  const [score] = await scoreCompletions([input], parts, { maxErrorShare: 0, seed: 1 });
  const values = Object.fromEntries(Object.entries(score!.parts).map(([name, { value }]) => [name, value]));
  return { ...values, reward: score!.reward, correct: score!.correct } as Record<string, number | boolean>;
}

const CAT = "<answer> tabby cat </answer>";

describe("CLS-RL's rewards, on completions worked by hand", () => {
  it.each([
    ["<think>Striped fur.</think><answer>Tabby Cat</answer>", 1, 1],
    ["<think>Striped fur.</think>\n <answer> lynx </answer>", 0, 1],
    ["<answer>tabby cat</answer>", 1, 0],
    ["tabby cat", 1, 0],
    ["<think>a</think><answer>tabby cat</answer>\n", 1, 0],
    ["<think>a</think><answer>\ntabby cat\n</answer>", 0, 1],
    ["<think>a</think><answer>lynx</answer><answer>tabby cat</answer>", 0, 1],
    ["<think>a</think> so <answer>tabby cat</answer>", 1, 0],
    ["It is a tabby cat", 0, 0],
    ["<think></think><answer>tabby cat</answer>", 1, 1],
  ])("%j: accuracy %d, format %d", async (completion, accuracy, format) => {
    const score = await judge(clsRl, completion, CAT);
    expect(score).toMatchObject({ accuracy, format, reward: accuracy + format });
  });

  it("grants no point for the right year on the wrong car", async () => {
    const solution = "<answer>BMW M3 Coupe 2012</answer>";
    const wrong = "<think>x</think><answer>Audi S4 Sedan 2012</answer>";
    expect(await judge(clsRl, wrong, solution)).toMatchObject({ accuracy: 0, format: 1, correct: false });
    expect(await judge(clsRl, wrong.replace("Audi S4 Sedan", "bmw m3 coupe"), solution)).toMatchObject({
      accuracy: 1,
      correct: true,
    });
    // the trap itself: a part that compares numbers grants it
    const number = rewardPartsOptions.parse([{ kind: "number", extract: ["last-number"] }]);
    const input = completeInput({ completion: wrong, answer: "BMW M3 Coupe 2012" });
    const [trapped] = await scoreCompletions([{ ...input, answer: "2012" }], number, {
      maxErrorShare: 0,
      seed: 1,
    });
    expect(trapped!.correct).toBe(true);
  });

  it("lets doubled answer tags pass the format but reads the first", async () => {
    const doubled = (first: string, second: string) =>
      `<think>a</think><answer>${first}</answer><answer>${second}</answer>`;
    expect(await judge(clsRl, doubled("lynx", "tabby cat"), CAT)).toMatchObject({ accuracy: 0, format: 1 });
    expect(await judge(clsRl, doubled("tabby cat", "lynx"), CAT)).toMatchObject({ accuracy: 1, format: 1 });
    // a block with a newline is none to the code's pattern, which goes on to the next
    expect(await judge(clsRl, doubled("\nlynx\n", "tabby cat"), CAT)).toMatchObject({
      accuracy: 1,
      format: 1,
    });
  });

  it("evaluates by containment in the answer block, else in the output", async () => {
    const table = [
      ["<think>a</think><answer>a tabby cat, I think</answer>", true],
      ["<think>a</think><answer>\nTabby Cat\n</answer>", true],
      ["It is a tabby cat", true],
      ["<think>tabby cat</think><answer>lynx</answer>", false],
      ["a tabby kitten", false],
    ] as const;
    for (const [completion, correct] of table) {
      expect([completion, (await judge(clsRl, completion, CAT))["correct"]]).toEqual([completion, correct]);
    }
    expect((await judge(clsRl, "a great dane", "<answer>great_dane</answer>"))["correct"]).toBe(true);
  });
});

describe("No-Thinking's reward", () => {
  it.each([
    ["tabby cat", 1],
    ["Tabby cat", 0],
    [" tabby cat", 0],
    ["tabby cat.", 0],
    ["tabby cat\n", 0],
    ["<answer>tabby cat</answer>", 0],
    ["<think>Striped fur.</think><answer>tabby cat</answer>", 0],
  ])("%j: %d", async (completion, reward) => {
    expect(await judge(noThinking, completion, CAT)).toMatchObject({ accuracy: reward, reward });
  });

  it("measures near misses and containment beside it", async () => {
    expect(await judge(noThinking, " Tabby cat\n", CAT)).toMatchObject({ near: 1, reward: 0, correct: true });
    expect(await judge(noThinking, "tabby cat.", CAT)).toMatchObject({ near: 0, reward: 0, correct: true });
  });
});

describe("Think-After-Answer and Adaptive-Thinking", () => {
  it.each([
    ["<answer>B</answer><reason>because</reason>", 1, 1, 0, "malformed"],
    ["<reason>x</reason><answer>B</answer>", 1, 0, 0, "malformed"],
    ["<answer>B</answer>", 1, 0, 1, "direct"],
    ["<think>t</think><answer>B</answer>", 1, 0, 1, "think"],
    ["B", 1, 0, 0, "malformed"],
  ])(
    "%j: accuracy %d, TAA format %d, adaptive format %d, %s",
    async (completion, accuracy, after, adaptive, mode) => {
      const solution = "<answer>B</answer>";
      expect(await judge(thinkAfterAnswer, completion, solution)).toMatchObject({
        accuracy,
        format: after,
        reward: accuracy + after,
      });
      expect(await judge(adaptiveThinking, completion, solution)).toMatchObject({
        accuracy,
        format: adaptive,
        mode_think: mode === "think" ? 1 : 0,
        mode_direct: mode === "direct" ? 1 : 0,
        reward: accuracy + adaptive,
      });
    },
  );
});

describe("their training", () => {
  const methods = [clsRl, noThinking, thinkAfterAnswer, adaptiveThinking];
  const advantages = advantageOptions.parse(
    (settingsToRecipe(clsRl.settings)["algorithm"] as Record<string, unknown>)["advantage"],
  );

  it.each([
    [
      [2, 1, 1, 0],
      [1.224595, 0, 0, -1.224595],
    ],
    [
      [1, 1, 1, 1],
      [0, 0, 0, 0],
    ],
    [
      [2, 2, 1, 1],
      [0.865875, 0.865875, -0.865875, -0.865875],
    ],
    [
      [0, 0, 0, 0],
      [0, 0, 0, 0],
    ],
    [
      [2, 2, 2, 2],
      [0, 0, 0, 0],
    ],
  ])("rewards %j have the advantages %j", (rewards, expected) => {
    const [found] = groupAdvantages([rewards], advantages);
    for (const [i, value] of expected.entries()) expect(found![i]).toBeCloseTo(value, 6);
  });

  it("has the advantages of a lone success to four digits", () => {
    const [found] = groupAdvantages([[0, 0, 0, 1]], advantages);
    for (const [i, value] of [-0.4999, -0.4999, -0.4999, 1.4997].entries()) {
      expect(found![i]).toBeCloseTo(value, 4);
    }
  });

  it("averages within a completion, then over completions, and goes down towards lr 0", () => {
    const { algorithm, optimizer } = loadRecipe("configs/cls-rl.yaml").recipe;
    if (algorithm.kind !== "grpo") throw new Error("not grpo");
    expect(tokenWeights([2, 8], algorithm.aggregation, 1024)).toEqual([1 / 4, 1 / 16]);
    expect(algorithm.kl).toEqual({ coef: 0.04, estimator: "k3", place: "loss", bias_correction: false });
    expect(learningRate(optimizer, 0, 80)).toBe(4e-4);
    expect(learningRate(optimizer, 79, 80)).toBeCloseTo(4e-4 / 80, 15);
  });

  it("is one for all four, each setting with a source", () => {
    const training = (method: Method) =>
      method.settings.filter(({ key }) => !["prompt.template", "rewards"].includes(key));
    for (const method of methods) {
      expect(training(method)).toEqual(training(clsRl));
      for (const { key, source } of method.settings) expect(source.length, key).toBeGreaterThan(3);
    }
  });

  it("asks in the papers' words", () => {
    const prompt = (method: Method) =>
      (settingsToRecipe(method.settings)["prompt"] as { template: string }).template.replace(
        "{prompt}",
        "Q?",
      );
    expect(prompt(clsRl)).toBe(
      "Q?\n Please output the thinking process in <think> </think> and final answer in <answer> </answer> tags.",
    );
    expect(prompt(noThinking)).toBe("Q?\n Please directly output the answer.");
    expect(prompt(thinkAfterAnswer)).toMatch(
      /^Q\? Please first output the answer in <answer> <\/answer> tags and then/,
    );
    expect(prompt(adaptiveThinking)).toMatch(
      /^Q\?\. Please first identify .* '<think> \.\.\. <\/think> <answer> \.\.\. <\/answer>'\.$/,
    );
  });
});
