/** A Hugging Face directory of a few hundred weights, for tests. */
import type { JsonObject } from "../../../src/policy/files/json.ts";
import { wordLevelTokenizerFiles } from "../../../src/policy/files/word-level.ts";
import type { NamedTensor } from "../../../src/policy/interfaces.ts";

export const TINY_TOKENS = ["<pad>", "<bos>", "<eos>", "0", "1", "+", "="];

export const TINY_CONFIG: JsonObject = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  vocab_size: 8,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 4,
  hidden_act: "silu",
  rms_norm_eps: 1e-5,
  max_position_embeddings: 64,
  rope_theta: 10000,
  rope_scaling: null,
  tie_word_embeddings: true,
  attention_bias: false,
  mlp_bias: false,
  bos_token_id: 1,
  eos_token_id: 2,
  pad_token_id: 0,
  torch_dtype: "float32",
};

const SHAPES: Readonly<Record<string, number[]>> = {
  "model.embed_tokens.weight": [8, 8],
  "model.norm.weight": [8],
  "model.layers.0.input_layernorm.weight": [8],
  "model.layers.0.post_attention_layernorm.weight": [8],
  "model.layers.0.self_attn.q_proj.weight": [8, 8],
  "model.layers.0.self_attn.k_proj.weight": [4, 8],
  "model.layers.0.self_attn.v_proj.weight": [4, 8],
  "model.layers.0.self_attn.o_proj.weight": [8, 8],
  "model.layers.0.mlp.gate_proj.weight": [12, 8],
  "model.layers.0.mlp.up_proj.weight": [12, 8],
  "model.layers.0.mlp.down_proj.weight": [8, 12],
};

/** Values are sines of their position, so that every tensor differs. */
export function tinyWeights(): NamedTensor[] {
  return Object.entries(SHAPES).map(([name, shape], t) => ({
    name,
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(t * 100 + i)),
  }));
}

export function tinyModel() {
  return {
    config: TINY_CONFIG,
    generationConfig: { bos_token_id: 1, eos_token_id: [2], pad_token_id: 0 },
    tokenizerFiles: wordLevelTokenizerFiles(
      TINY_TOKENS,
      { pad: "<pad>", bos: "<bos>", eos: "<eos>" },
      { separator: "none" },
    ),
    weights: tinyWeights(),
  };
}
