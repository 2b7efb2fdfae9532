/** A model of some 20,000 weights that speaks bytes and reads a chat template. */
import { saveModel } from "../../src/policy/files/model-directory.ts";
import { parseModelConfig } from "../../src/policy/model-config.ts";
import { BYTE_VOCABULARY, byteTokenizerFiles } from "./byte-tokenizer.ts";
import { closedFormTensors } from "./closed-form.ts";

/** @param scale of the last norm: larger makes the policy surer */
export function writeTinyChatModel(directory: string, change: Record<string, unknown> = {}): void {
  const config = {
    model_type: "llama",
    vocab_size: BYTE_VOCABULARY,
    hidden_size: 32,
    intermediate_size: 56,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 8,
    max_position_embeddings: 512,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    ...change,
  };
  saveModel(directory, {
    config,
    generationConfig: {},
    tokenizerFiles: byteTokenizerFiles("smollm"),
    weights: closedFormTensors(parseModelConfig(config, "tiny")),
  });
}
