import { describe, expect, it } from "vitest";
import { describeMethod, methodConfigs } from "../../src/cli/commands/recipes.ts";
import { loadRecipe } from "../../src/config/load.ts";
import { isDegenerate } from "../../src/lib/degenerate.ts";
import { autothink } from "../../src/recipes/autothink.ts";
import { methods } from "../../src/recipes/index.ts";
import { settingsToRecipe } from "../../src/recipes/method.ts";
import { completeInput } from "../../src/rewards/cases.ts";
import { rewardPartsOptions } from "../../src/rewards/options.ts";
import { thinks } from "../../src/rewards/thinking.ts";
import { scoreCompletions } from "../helpers/score.ts";

const PROMPT = "<｜User｜>What is 2+3?<｜Assistant｜><think>\n...\n";
const OPENING = "</think>\n\n";

/** What the recipe's own parts say of one completion. */
async function judge(completion: string, override: object = {}, promptText = PROMPT) {
  const defaults = settingsToRecipe(autothink.settings)["rewards"] as object[];
  const parts = rewardPartsOptions.parse(defaults.map((part) => ({ ...part, ...override })));
  const input = completeInput({ completion, promptText, answer: "5" });
  return (await scoreCompletions([input], parts, { maxErrorShare: 0 }))[0]!;
}

describe("mode, byte for byte", () => {
  it.each([
    ["</think>\n\nThe answer", false],
    ["</think>\nThe answer", true],
    ["</think> \n\nThe answer", true],
    [" </think>\n\nThe answer", true],
    ["</think>\r\n\r\nThe answer", true],
    ["Okay ...</think>\n\n\\boxed{5}", true],
  ])("%j thinks: %s", (completion, expected) => {
    expect(thinks(PROMPT, completion, OPENING)).toBe(expected);
  });

  it("sees a block that the prompt closes, and one that prompt and completion share", () => {
    expect(thinks("<think>\n...\n</think>\n\n", "5", OPENING)).toBe(false);
    expect(thinks("<think>\n...\n</thi", "nk>\n\n5", OPENING)).toBe(false);
    expect(thinks("<think>\n", "...\n</think>\n\n5", OPENING)).toBe(false);
    expect(thinks("<think>\n", "</think>\n\n5", OPENING)).toBe(false); // no ellipsis: the start alone decides
    expect(thinks("Hello", "5", OPENING)).toBeNull();
  });

  it("is what a score reports, whatever the looser rule would say", async () => {
    expect((await judge("</think>\n\\boxed{5}")).thinks).toBe(true);
    expect(thinks(PROMPT, "</think>\n\\boxed{5}")).toBe(false);
    expect((await judge("</think>\n\n\\boxed{5}")).thinks).toBe(false);
  });
});

describe("base reward", () => {
  it.each([
    ["Adding.</think>\n\n\\boxed{5}", 1, true],
    ["Adding.</think>\n\n\\boxed{6}", 0, false],
    ["</think>\n\n\\boxed{5}", 2, true],
    ["</think>\n\n\\boxed{6}", -1, false],
    ["</think>\n\n\\boxed{1} or \\boxed{5}", 2, true],
    ["\\boxed{5}</think>\n\nFive.", 0, false],
    ["Adding.</think>\\boxed{6}</think>\\boxed{5}", 0, false],
  ])("%j is worth %d", async (completion, reward, correct) => {
    expect(await judge(completion)).toMatchObject({ reward, correct });
  });

  it("reads the forced probe's answer behind the prompt's own </think>", async () => {
    const forced = `${PROMPT}</think>\n\n`;
    expect(await judge("\\boxed{5}", {}, forced)).toMatchObject({ reward: 2, thinks: false });
    expect(await judge("\\boxed{6}</think>\\boxed{5}", {}, forced)).toMatchObject({ reward: -1 });
  });

  it("has the code's loophole: leaving the box out beats a wrong one, until format_error.direct closes it", async () => {
    const [wrong, boxless] = [await judge("</think>\n\n\\boxed{6}"), await judge("</think>\n\nSix.")];
    expect(boxless.reward).toBeGreaterThan(wrong.reward);
    expect(boxless.status).toBe("unparsed");
    const closed = await judge("</think>\n\nSix.", { format_error: { thinking: 0, direct: -1 } });
    expect(closed.reward).toBe(wrong.reward);
  });

  it("charges degenerate text only to direct, wrong answers", async () => {
    const loop = " again and".repeat(10);
    expect((await judge(`</think>\n\n\\boxed{6}${loop}`)).reward).toBe(-2);
    expect((await judge(`</think>\n\n\\boxed{5}${loop}`)).reward).toBe(2);
    expect((await judge(`Well${loop}</think>\n\n\\boxed{6}`)).reward).toBe(0);
    const degenerate = { enabled: false };
    expect((await judge(`</think>\n\n\\boxed{6}${loop}`, { degenerate })).reward).toBe(-1);
  });
});

describe("degenerate text", () => {
  const rule = { repeats: 10, longest: 30, word_chars: 120 };
  const words = (n: number) => Array.from({ length: n }, (_, i) => `w${i}`).join(" ");
  it.each([
    ["a ".repeat(10), true],
    ["a ".repeat(9), false],
    [`${words(30)} `.repeat(10), true],
    [`${words(31)} `.repeat(10), false],
    // chunks are cut from the beginning: shifted by one word, ten pairs make nine equal chunks
    [`x ${"a b ".repeat(10)}`, false],
    [`x ${"a b ".repeat(11)}`, true],
    ["y".repeat(119), false],
    [`and ${"y".repeat(120)}`, true],
    ["", false],
  ])("%#", (text, expected) => {
    expect(isDegenerate(text, rule)).toBe(expected);
  });
});

describe("the recipe", () => {
  it("gives the paper's hyperparameters, stage by stage", () => {
    const { stages } = loadRecipe("configs/paper/autothink.yaml", {
      set: ["train", "eval"].flatMap((part) => [
        `data.${part}.path=configs/data/gsm8k-16.jsonl`,
        `data.${part}.split.part=${part}`,
      ]),
    });
    expect(stages.map(({ name, recipe: { steps } }) => [name, steps])).toEqual([
      ["balance", 220],
      ["accuracy", 440],
      ["length", 130],
    ]);
    expect(
      stages.map(({ recipe: { rollout } }) => [rollout.prompts_per_step, rollout.max_new_tokens]),
    ).toEqual([
      [128, 8192],
      [64, 16384],
      [64, 24576],
    ]);
    expect(
      stages.map(({ recipe: { algorithm } }) => "minibatches" in algorithm && algorithm.minibatches),
    ).toEqual([2, 1, 1]);
    expect(stages.map(({ recipe: { shaping } }) => shaping)).toMatchObject([
      [{ kind: "mode-balance", gamma: 0.5, lambda: 2 }],
      [],
      [{ kind: "group-length", alpha: 0.05, beta: 0.05 }],
    ]);
    for (const { recipe } of stages) {
      expect(recipe.algorithm).toMatchObject({
        entropy_coef: 0.001,
        aggregation: "token",
        advantage: { scale: "group_std", std: "sample", epsilon: 1e-6 },
        clip: { low: 0.2, high: 0.2 },
        kl: { coef: 0 },
      });
      expect(recipe.optimizer).toMatchObject({ lr: 1e-6, beta2: 0.999, weight_decay: 0.01, clip_norm: 1 });
      expect(recipe.rollout).toMatchObject({ group_size: 8, temperature: 0.6, top_p: 1, top_k: 0 });
    }
  });

  it("ends the prompt with the paper's bytes", () => {
    const template = String(autothink.settings.find(({ key }) => key === "prompt.template")!.value);
    expect(template.endsWith("<｜Assistant｜><think>\n...\n")).toBe(true);
    expect(template).toContain(
      "{prompt} Let's think step by step and output the final answer within \\boxed{{}}.",
    );
  });

  it("has ablations that differ from the main laboratory config in their stages alone", () => {
    const shapingsOf = (name: string) =>
      loadRecipe(`configs/${name}.yaml`).stages.map(({ recipe: { shaping, steps } }) => [steps, shaping[0]]);
    expect(shapingsOf("autothink")).toMatchObject([
      [60, { kind: "mode-balance", gamma: 0.5 }],
      [120, undefined],
      [80, { kind: "group-length", alpha: 0.05 }],
    ]);
    expect(shapingsOf("autothink-control")).toMatchObject([
      [60, {}],
      [120, undefined],
      [80, { alpha: 0, beta: 0 }],
    ]);
    expect(shapingsOf("autothink-no-balance")).toMatchObject([
      [60, { gamma: 1 }],
      [120, undefined],
      [80, {}],
    ]);
    expect(shapingsOf("autothink-no-stage1")).toMatchObject([
      [180, undefined],
      [80, { kind: "group-length" }],
    ]);
    expect(shapingsOf("autothink-no-stage3")).toMatchObject([
      [60, { gamma: 0.5 }],
      [120, undefined],
    ]);
    // the collapse and what prevents it: as many steps, and the mean per completion that makes it last
    expect(shapingsOf("autothink-biased-no-stage1")).toEqual([[160, undefined]]);
    expect(shapingsOf("autothink-biased")).toMatchObject([
      [80, { kind: "mode-balance", lambda: 4 }],
      [80, undefined],
    ]);
    for (const name of ["autothink-biased", "autothink-biased-no-stage1"]) {
      for (const { recipe } of loadRecipe(`configs/${name}.yaml`).stages)
        expect(recipe.algorithm).toMatchObject({ aggregation: "sequence" });
    }
  });
});

it("every method's page shows each setting with its source, and all that is said of it", () => {
  for (const method of methods) {
    const page = describeMethod(method, methodConfigs(method.name), 10_000);
    for (const { key, source } of method.settings) {
      expect(page, `${method.name} ${key}`).toContain(`  ${key}`);
      expect(page, `${method.name} ${key}`).toContain(source);
    }
    for (const line of [...method.equations, ...method.pitfalls, ...method.references]) {
      expect(page).toContain(line.trimEnd());
    }
  }
  expect(describeMethod(autothink, methodConfigs("autothink"))).toContain("configs/paper/autothink.yaml");
});
