import { describe, expect, it } from "vitest";
import { loadRecipe } from "../../src/config/load.ts";
import { scenesOptions } from "../../src/data/pictures-options.ts";
import { scenesSource } from "../../src/data/scenes.ts";
import { dipR1 } from "../../src/recipes/dip-r1.ts";
import { settingsToRecipe } from "../../src/recipes/method.ts";
import { completeInput } from "../../src/rewards/cases.ts";
import { rewardPartsOptions } from "../../src/rewards/options.ts";
import type { RewardInput } from "../../src/types.ts";
import { scoreCompletions } from "../helpers/score.ts";

const specs = settingsToRecipe(dipR1.settings)["rewards"];
const places = ["[0,0,10,10]", "[20,0,30,10]", "[40,0,50,10]", "[60,0,70,10]"];
const score = (inputs: RewardInput[], rewards: unknown = specs) =>
  scoreCompletions(inputs, rewardPartsOptions.parse(rewards), { maxErrorShare: 0, seed: 1 });

// the card's vectors; all of them are of stand-ins
describe("stand-in rewards", () => {
  it.each([
    ["<think>a</think><look>1</look><answer>[0,0,1,1]</answer>", 1],
    ["<look>1</look><think>a</think><answer>[0,0,1,1]</answer>", 0],
    ["<think>a</think><answer>[0,0,1,1]</answer>", 0],
    ["<think>a</think><look> </look><answer>[0,0,1,1]</answer>", 0],
  ])("%j: format %d", async (completion, format) => {
    const [one] = await score([completeInput({ completion, answer: "[0,0,1,1]" })]);
    expect(one!.parts["format"]!.value).toBe(format);
  });

  it.each([
    [places, 1],
    [places.slice(0, 2), 0.75],
    [[places[0]!, "[21,0,31,10]", "[500,500,510,510]"], 0.583333],
    [["[500,0,510,10]"], 0],
    [[], 0],
    [[...places, ...Array.from({ length: 12 }, (_, i) => `[${100 * i},500,${100 * i + 9},509]`)], 0.625],
  ])("boxes %j: accuracy %d", async (boxes, accuracy) => {
    const completion = `<answer>${boxes.join(", ")}</answer>`;
    const [one] = await score([completeInput({ completion, answer: places.join(", ") })]);
    expect(one!.parts["accuracy"]!.value).toBeCloseTo(accuracy, 6);
  });

  it("a look earns by the disagreement of the others", async () => {
    // cells 1; 1 and 2; 1; 1 and 2 of a row: of the other three, two, one, two, one cover cell 2
    const answers = ["[1,0,2,1]", "[1,0,3,1]", "[1,0,2,1]", "[1,0,3,1]"];
    const fields = {};
    const inputs = answers.map((box) => ({
      ...completeInput({
        completion: `<think>a</think><look>1 2</look><answer>${box}</answer>`,
        answer: "[1,0,2,1]",
      }),
      fields,
    }));
    const found = (await score(inputs)).map(({ parts }) => parts["look"]!.value);
    // of cell 1, which all cover, nothing; of cell 2 4 x 2/3 x 1/3; the mean of both
    for (const value of found) expect(value).toBeCloseTo(4 / 9, 12);
    // with its own, half of the group covers cell 2: 4 x 1/4
    const own = (specs as Record<string, unknown>[]).map((spec) => ({ ...spec }));
    own[2]!["leave_own_out"] = false;
    for (const { parts } of await score(inputs, own)) expect(parts["look"]!.value).toBeCloseTo(0.5, 12);
  });

  it("are marked as such wherever their value was not found", () => {
    for (const { key, source } of dipR1.settings) expect(source, key).toMatch(/paper|stand-in/);
    expect(dipR1.summary).toMatch(/^STAND-IN/);
  });
});

describe("in the laboratory", () => {
  const { recipe } = loadRecipe("configs/dip-r1-pictures.yaml");
  const scenes = scenesSource(scenesOptions.parse({ kind: "scenes", use: "pretraining", ask: "both" }), 1);

  it("learns a layout that its rewards accept, within its tokens", async () => {
    const prompts = Array.from({ length: 200 }, (_, i) => scenes.at(i));
    const inputs = prompts.map(({ target, answer, fields }) => ({
      ...completeInput({ completion: target!, answer }),
      fields,
    }));
    const scores = await score(inputs, recipe.rewards);
    expect(scores.every(({ parts }) => parts["format"]!.value === 1)).toBe(true);
    const accuracy = scores.reduce((sum, { parts }) => sum + parts["accuracy"]!.value, 0) / 200;
    expect(accuracy).toBeGreaterThan(0.4);
    expect(accuracy).toBeLessThan(0.9);
    for (const { target } of prompts) expect(target!.split(" ")).toHaveLength(14);
    expect(recipe.rollout.max_new_tokens).toBeGreaterThanOrEqual(15);
  });

  it("pays a look at the part of the picture that the answers disagree about", async () => {
    // both say the left object alike; the right one is in the middle row (5) or in the lowest (8)
    const { fields } = scenes.at(0);
    const say = (look: string, y: string) =>
      completeInput({
        completion: `<think> ${look} </think> <answer> p0 p0 p3 p3 p6 ${y} </answer>`,
        answer: "p0 p0 p3 p3 p6 p3 p8 p5",
      });
    const inputs = [
      say("p0", "p3 p8 p5"),
      say("p5", "p3 p8 p5"),
      say("p5", "p6 p8 p8"),
      say("p8 p0", "p6 p8 p8"),
    ];
    const found = await score(
      inputs.map((input) => ({ ...input, fields })),
      recipe.rewards,
    );
    const look = found.map(({ parts }) => parts["look"]!.value);
    // part 0: three of three; 5: one of the other three, or two; 8 and 0: (8/9 + 0) / 2
    expect(look).toEqual(
      [0, 4 * (1 / 3) * (2 / 3), 4 * (2 / 3) * (1 / 3), 2 * (1 / 3) * (2 / 3)].map((one) =>
        expect.closeTo(one, 12),
      ),
    );
  });
});
