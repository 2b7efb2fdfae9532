import { describe, expect, it } from "vitest";
import { loadRecipe } from "../../src/config/load.ts";
import { dapo } from "../../src/recipes/dapo.ts";
import { settingsToRecipe } from "../../src/recipes/method.ts";
import { pathoR1 } from "../../src/recipes/patho-r1.ts";
import { completeInput } from "../../src/rewards/cases.ts";
import { rewardPartsOptions } from "../../src/rewards/options.ts";
import { scoreCompletions } from "../helpers/score.ts";

const recipe = settingsToRecipe(pathoR1.settings);
type Spec = Record<string, unknown>;

async function judge(completion: string, answer: string, strict = false) {
  const specs = (recipe["rewards"] as Spec[]).map((spec) =>
    spec["kind"] === "choice" ? { ...spec, strict } : spec,
  );
  const [score] = await scoreCompletions(
    [completeInput({ completion, answer })],
    rewardPartsOptions.parse(specs),
    { maxErrorShare: 0, seed: 1 },
  );
  return score!;
}
const thought = (answer: string) => `<think>x</think><answer>${answer}</answer>`;

// lengths, groups, clipping and means of its DAPO arm are in dapo.test.ts
describe("stand-in rewards, the card's vectors", () => {
  it.each([
    [thought("D"), 1, "D"],
    [thought("(D) Plasma cells"), 1, "D"],
    ["<answer>D</answer>", 0, "D"],
    [thought("C or D"), 1, "C"],
  ])("%j: format %d, letter %s", async (completion, format, letter) => {
    for (const gold of ["A", "B", "C", "D"]) {
      const { parts, reward, correct } = await judge(completion, gold);
      const accuracy = gold === letter ? 1 : 0;
      expect([gold, parts["format"]!.value, parts["accuracy"]!.value]).toEqual([gold, format, accuracy]);
      expect([reward, correct]).toEqual([format + accuracy, accuracy === 1]);
    }
  });

  it("no letter in words, and none of two where one alone is asked for", async () => {
    for (const gold of ["A", "B", "C", "D"]) {
      expect((await judge(thought("plasma cells"), gold)).parts["accuracy"]!.value).toBe(0);
      expect((await judge(thought("C or D"), gold, true)).parts["accuracy"]!.value).toBe(0);
    }
    expect((await judge(thought(" D "), "D", true)).correct).toBe(true);
  });
});

it("clips, averages and filters as recipe dapo, and says what is a stand-in", () => {
  const { recipe: lab } = loadRecipe("configs/patho-r1-pictures.yaml");
  expect(lab.algorithm).toMatchObject({
    clip: { low: 0.2, high: 0.28 },
    aggregation: "token",
    kl: { coef: 0 },
    dynamic_sampling: { oversampling: 4 },
  });
  const value = (settings: typeof dapo.settings, key: string) =>
    settings.find((one) => one.key === key)?.value;
  for (const key of ["algorithm.clip.high", "algorithm.kl.coef", "algorithm.aggregation"]) {
    expect(value(pathoR1.settings, key)).toBe(value(dapo.settings, key));
  }
  for (const { key, source } of pathoR1.settings)
    expect(source, key).toMatch(/paper|code|stand-in|recipe dapo/);
});

it("its GRPO arm is a matter of settings", () => {
  const set = [
    "algorithm.dynamic_sampling=null",
    "algorithm.clip.high=0.2",
    "algorithm.aggregation=sequence",
    "shaping=[]",
  ];
  const { algorithm, shaping } = loadRecipe("configs/patho-r1-pictures.yaml", { set }).recipe;
  expect(algorithm).toMatchObject({ clip: { low: 0.2, high: 0.2 }, aggregation: "sequence" });
  expect(algorithm).not.toHaveProperty("dynamic_sampling.oversampling");
  expect(shaping ?? []).toEqual([]);
});
