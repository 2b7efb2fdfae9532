import { expect, it } from "vitest";
import { parse } from "yaml";
import { modelCard } from "../../src/report/model-card.ts";

const row = (step: number, slice = "all") => ({
  ...{
    step: String(step),
    slice,
    dataset: "held-out | out",
    prompts: "8",
    accuracy: "0.875",
    tokens_mean: "13",
  },
  ...{ accuracy_low: "0.4735", accuracy_high: "0.9968", interval: "clopper-pearson" },
});
const evil = "a|b\n---\n# x `y` <script> [z](http://w)";
const card = modelCard({
  name: "me/tiny",
  run: {
    recipe: {
      algorithm: { kind: "grpo" },
      data: { train: { path: "hf://openai/gsm8k" }, eval: { path: "hf://openai/gsm8k" } },
    },
    provenance: {
      rlpt: "0.1.0",
      node: "v20",
      seed: 3,
      git: { commit: "abc", dirty: true },
      data: { [evil]: { bytes: 1, sha256: "00" } },
    },
    evaluations: [...Array.from({ length: 100 }, (_, i) => row(i)), row(99, "level=1"), row(200)],
  },
  recipeText: "prompt: |\n  ````\n  </details>\n  ````\n",
  step: 100,
  baseModel: "org/base\nlicense: mit",
  version: "0.2.0",
});

it("front matter holds what is known, whatever stands in it", () => {
  const [, front] = /^---\n([\s\S]*?)\n---\n/.exec(card)!;
  expect(parse(front!)).toEqual({
    base_model: "org/base\nlicense: mit",
    library_name: "transformers",
    pipeline_tag: "text-generation",
    tags: ["rlpt", "grpo"],
    datasets: ["openai/gsm8k"],
  });
});

it("the last evaluation up to the step, with interval and n, and a curve that ends with it", () => {
  expect(card).toContain("| held-out \\| out | level=1 | 87.5% | 47.3% to 99.7%");
  expect(card).toContain("At step 99;");
  const curve = card
    .split("The curve:")[1]!
    .split("\n## ")[0]!
    .match(/^\| \d+ .*$/gm)!;
  expect(curve.length).toBeLessThanOrEqual(40);
  expect(curve.at(-1)).toBe("| 99 | held-out \\| out | 87.5% | 47.3% to 99.7% | 8 | 13 |");
  expect(card).not.toContain("| 200 |");
});

it("hostile text stays where it is", () => {
  expect(card).toContain("`````yaml\nprompt");
  expect(card).not.toContain("<script>");
  expect(card).toContain(
    "| a\\|b\\\\n---\\\\n\\# x \\`y\\` &lt;script&gt; \\[z\\]\\(http\\://w\\) | 1 | 00 |",
  );
  expect(card).toContain("commit of the working directory: abc, with changes");
});
