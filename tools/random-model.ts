import { openModel, saveModel } from "../src/policy/files/model-directory.ts";
import { ordinaryWeights } from "./bench/ordinary-weights.ts";

/** Qwen2.5-0.5B's dimensions (its config.json on the Hub). */
const QWEN = {
  architectures: ["Qwen2ForCausalLM"],
  model_type: "qwen2",
  vocab_size: 151936,
  hidden_size: 896,
  intermediate_size: 4864,
  num_hidden_layers: 24,
  num_attention_heads: 14,
  num_key_value_heads: 2,
  hidden_act: "silu",
  rms_norm_eps: 1e-6,
  rope_theta: 1e6,
  max_position_embeddings: 32768,
  tie_word_embeddings: true,
};

export async function main([directory]: string[]): Promise<void> {
  if (directory === undefined) throw new Error("name a directory to write to");
  const tokenizer = await openModel("models/lab-small");
  const special = Object.fromEntries(
    ["bos_token_id", "eos_token_id", "pad_token_id"].map((key) => [key, tokenizer.config[key]]),
  );
  const json = { ...QWEN, ...special };
  const weights = ordinaryWeights(json, "random-model");
  const { generationConfig, tokenizerFiles } = tokenizer;
  saveModel(directory, { config: json, generationConfig, tokenizerFiles, weights, dtype: "BF16" });
  tokenizer.weights.close();
}
