/** Families beside Llama at the sizes of a test's own tiny Llama. */

type Json = Record<string, unknown>;

/** @param llama the test's config @returns configs by family */
export function tinyFamilies(llama: Json) {
  const { rms_norm_eps: _, ...base } = llama;
  const common = {
    vocab_size: base["vocab_size"],
    initializer_range: base["initializer_range"],
    n_embd: base["hidden_size"],
    n_head: base["num_attention_heads"],
    n_layer: base["num_hidden_layers"],
    n_positions: base["max_position_embeddings"],
  };
  const lfm2: Json = {
    ...base,
    model_type: "lfm2",
    num_hidden_layers: 3,
    layer_types: ["conv", "full_attention", "conv"],
    block_multiple_of: 4,
  };
  const qwen35: Json = {
    ...base,
    model_type: "qwen3_5_text",
    head_dim: 8,
    num_hidden_layers: 3,
    layer_types: ["linear_attention", "full_attention", "linear_attention"],
    linear_num_key_heads: 2,
    linear_num_value_heads: 4,
    linear_key_head_dim: 4,
    linear_value_head_dim: 6,
  };
  const { num_key_value_heads: __, ...rest } = base;
  return {
    gemma2: { ...base, model_type: "gemma2", head_dim: 4, sliding_window: 4, query_pre_attn_scalar: 6 },
    gemma3: { ...base, model_type: "gemma3_text", head_dim: 4, sliding_window: 4, sliding_window_pattern: 2 },
    phi3: { ...base, model_type: "phi3", head_dim: 8, partial_rotary_factor: 0.5 },
    olmo2: { ...base, model_type: "olmo2" },
    granite: { ...base, model_type: "granite", residual_multiplier: 0.4, logits_scaling: 0.5 },
    gpt2: { ...common, model_type: "gpt2" },
    pythia: { ...rest, model_type: "gpt_neox", rotary_pct: 0.5 },
    lfm2,
    qwen35,
    "lfm2, a longer kernel, biases": { ...lfm2, conv_L_cache: 4, conv_bias: true },
  } satisfies Record<string, Json>;
}
