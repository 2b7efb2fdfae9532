/** What does not fit into WebAssembly's 4 GB is said before a run begins. */
import { afterAll, expect, it } from "vitest";
import { loadRecipe } from "../../src/config/load.ts";
import { heapWarnings, updateBytes } from "../../src/planning/wasm-heap.ts";
import { parseModelConfig } from "../../src/policy/model-config.ts";
import { openRecipeModel } from "../../src/training/assemble.ts";
import { tinyGrpo, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const recipe = (set: readonly string[] = []) => loadRecipe("configs/smollm2-gsm8k.yaml", { set }).recipe;
/** SmolLM2-135M's. */
const config = parseModelConfig(
  {
    ...{ model_type: "llama", hidden_size: 576, intermediate_size: 1536, num_hidden_layers: 30 },
    ...{ num_attention_heads: 9, num_key_value_heads: 3, vocab_size: 49_152, tie_word_embeddings: true },
  },
  "SmolLM2",
);
const gib = (set: readonly string[]) => updateBytes(recipe(set), config, 134_515_008, 160) / 2 ** 30;

it("grows with rows, tokens and what is trained, and falls with recomputed layers", () => {
  const [lora, all] = ["model.rematerialise=true", "model.lora=null"];
  const rows = (n: number) => `algorithm.micro_batch_rows=${n}`;
  expect(gib([rows(8), lora])).toBeLessThan(4);
  expect(gib([rows(8), "model.rematerialise=false"])).toBeGreaterThan(4);
  expect(gib([rows(4), lora])).toBeLessThan(gib([rows(8), lora]));
  // float32 gradients and two moments
  expect(gib([rows(8), lora, all]) - gib([rows(8), lora])).toBeCloseTo((3 * 4 * 134_515_008) / 2 ** 30, 5);
});

it("names the stage and what takes less, and is silent where all fits", async () => {
  const file = space.write("tiny.yaml", tinyGrpo);
  const { stages } = loadRecipe(file);
  const files = await openRecipeModel(stages[0]!.recipe, () => {});
  expect(await heapWarnings(stages, files)).toEqual([]);
  const large = loadRecipe(file, {
    set: ["rollout.prompts_per_step=2000", "rollout.group_size=500", "data.train.levels=[1,2,3]"],
  }).stages;
  expect(await heapWarnings(large, files)).toEqual([
    expect.stringMatching(
      /^an update may need about \d+\.\d GiB, and WebAssembly has at most 4.*micro_batch_rows 8, then fewer; model\.rematerialise/,
    ),
  ]);
  files.weights.close();
});

it("counts prompts and targets apart, as a tokenizer of words asks for", async () => {
  // `[direct]G2` is no word
  const { stages } = loadRecipe("configs/lab-base-items.yaml");
  const files = await openRecipeModel(stages[0]!.recipe, () => {});
  expect(await heapWarnings(stages, files)).toEqual([]);
  files.weights.close();
});
