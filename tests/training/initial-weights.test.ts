import { expect, it } from "vitest";
import { openRecipeModel } from "../../src/training/assemble.ts";

const config = {
  model_type: "llama",
  vocab_size: 4,
  hidden_size: 8,
  intermediate_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 2,
};
const tokenizer = {
  tokens: ["a", "b", "<pad>", "<eos>"],
  pad: "<pad>",
  eos: "<eos>",
  separator: "none" as const,
};

async function deviation(init: Record<string, unknown>, name: string): Promise<number> {
  const model = { init, tokenizer, rematerialise: false };
  const { weights } = await openRecipeModel({ model, seed: 1 } as never, () => {});
  const values = weights.read(name);
  return Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);
}

it("weights of an untrained model are as wide as initializer_range says, of its text part too", async () => {
  const plain = await deviation(config, "model.embed_tokens.weight");
  expect(plain).toBeGreaterThan(0.01);
  expect(plain).toBeLessThan(0.03);
  const wide = await deviation({ ...config, initializer_range: 0.2 }, "model.embed_tokens.weight");
  expect(wide / plain).toBeCloseTo(10, 4);
  const vision = {
    model_type: "idefics3_vision",
    hidden_size: 8,
    intermediate_size: 8,
    num_hidden_layers: 1,
  };
  const seeing = {
    model_type: "idefics3",
    image_token_id: 2,
    text_config: { ...config, initializer_range: 0.2 },
    vision_config: { ...vision, num_attention_heads: 2, image_size: 8, patch_size: 4 },
  };
  expect(await deviation(seeing, "model.text_model.embed_tokens.weight")).toBeGreaterThan(0.1);
  // the tower's follow from the number of inputs, 3 x 4 x 4
  const patch = await deviation(seeing, "model.vision_model.embeddings.patch_embedding.weight");
  expect(patch * Math.sqrt(48)).toBeGreaterThan(0.85);
  expect(patch * Math.sqrt(48)).toBeLessThan(1.15);
});
