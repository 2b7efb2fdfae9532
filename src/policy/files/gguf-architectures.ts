/**
 * Architectures of GGUF files: what `general.architecture` is called at Hugging Face, which metadata becomes which config key,
 * how tensors are called, and what llama.cpp's converter did to their numbers.
 */
import type { GgufFile } from "./gguf.ts";
import type { ggufReader } from "./gguf-model.ts";
import type { JsonObject } from "./json.ts";

/** What the converter made of a tensor's numbers, to be undone. */
export type Conversion =
  /** Rows of query and key lie for interleaved RoPE. */
  | "interleaved"
  /** A norm's weight is stored as 1 + w. */
  | "one-added"
  /** Rows of query, key and value of each head became all queries, all keys, all values. */
  | "joined"
  /** [in, out] became [out, in]. */
  | "transposed"
  /** A dimension of one was dropped. */
  | "squeezed";

export interface GgufShared {
  hidden: number;
  heads: number;
  headDim: number;
  layers: number;
}

export interface GgufArchitecture {
  modelType: string;
  className: string;
  /** Prefix of the layers' modules, and their names by tensor. */
  layers: string;
  names: Readonly<Record<string, string>>;
  top: Readonly<Record<string, string>>;
  /** Of a tensor by its Hugging Face name. */
  conversion?: (name: string) => Conversion | null;
  /** RMS norms: `layer_norm_rms_epsilon`; else `layer_norm_epsilon`. */
  norm?: "layer";
  /** Models can be written so, not only read (gguf-export.ts). */
  written?: boolean;
  /** Layers differ in key/value heads: `config` reads them. */
  keyValueHeadsPerLayer?: boolean;
  /** It may turn a part of each head. */
  partialRotary?: boolean;
  /** Its keys beside, or in the place of, the shared ones. */
  config?: (meta: ReturnType<typeof ggufReader>, file: GgufFile, shared: GgufShared) => JsonObject;
}

const LLAMA_TOP = {
  "token_embd.weight": "model.embed_tokens.weight",
  "output_norm.weight": "model.norm.weight",
  "output.weight": "lm_head.weight",
};

const ATTENTION = {
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  attn_q_norm: "self_attn.q_norm",
  attn_k_norm: "self_attn.k_norm",
};
const MLP = { ffn_gate: "mlp.gate_proj", ffn_up: "mlp.up_proj", ffn_down: "mlp.down_proj" };
const LLAMA_NAMES = {
  ...ATTENTION,
  ...MLP,
  attn_norm: "input_layernorm",
  ffn_norm: "post_attention_layernorm",
};
/** Norms before and after mixer and MLP, or after them alone. */
const SANDWICH_NAMES = {
  ...ATTENTION,
  ...MLP,
  attn_norm: "input_layernorm",
  post_attention_norm: "post_attention_layernorm",
  ffn_norm: "pre_feedforward_layernorm",
  post_ffw_norm: "post_feedforward_layernorm",
};

const asLlama = { layers: "model.layers.", names: LLAMA_NAMES, top: LLAMA_TOP };

const interleaved = (name: string): Conversion | null =>
  /\.(q_proj|k_proj)\./.test(name) ? "interleaved" : null;

const biases = (file: GgufFile) => ({
  attention_bias: file.tensors.has("blk.0.attn_q.bias"),
  mlp_bias: file.tensors.has("blk.0.ffn_gate.bias"),
});

/** SmolLM3 skips RoPE in every fourth layer; 1 = with RoPE. GGUF does not say so. */
const noRopeLayers = (layers: number): number[] =>
  Array.from({ length: layers }, (_, i) => ((i + 1) % 4 === 0 ? 0 : 1));

const oneAdded = (name: string): Conversion | null => (name.endsWith("norm.weight") ? "one-added" : null);

/** llama.cpp's rule: the largest models divide by the heads' share of the width, the others by their head. */
const gemmaScale = ({ layers, hidden, heads, headDim }: GgufShared, largest: number): number =>
  layers === largest ? hidden / heads : headDim;

const kindsOf = (pattern: readonly unknown[]): string[] =>
  pattern.map((sliding) => (sliding ? "sliding_attention" : "full_attention"));

export const GGUF_ARCHITECTURES: Readonly<Record<string, GgufArchitecture>> = {
  llama: {
    ...asLlama,
    modelType: "llama",
    className: "LlamaForCausalLM",
    written: true,
    conversion: interleaved,
    config: (meta, file) => {
      // Mistral's files say llama too; what tells them apart is the window
      const window = meta.integer("llama.attention.sliding_window") ?? 0;
      if (window === 0) return biases(file);
      return {
        ...biases(file),
        architectures: ["MistralForCausalLM"],
        model_type: "mistral",
        sliding_window: window,
      };
    },
  },
  smollm3: {
    ...asLlama,
    modelType: "smollm3",
    className: "SmolLM3ForCausalLM",
    written: true,
    conversion: interleaved,
    config: (_, file, { layers }) => ({
      ...biases(file),
      no_rope_layer_interval: 4,
      no_rope_layers: noRopeLayers(layers),
    }),
  },
  qwen2: { ...asLlama, modelType: "qwen2", className: "Qwen2ForCausalLM", written: true },
  qwen3: {
    ...asLlama,
    modelType: "qwen3",
    className: "Qwen3ForCausalLM",
    written: true,
    config: (_, file) => ({ attention_bias: biases(file).attention_bias }),
  },
  gemma2: {
    ...asLlama,
    modelType: "gemma2",
    className: "Gemma2ForCausalLM",
    names: SANDWICH_NAMES,
    conversion: oneAdded,
    config: (meta, _, shared) => ({
      hidden_act: "gelu_pytorch_tanh",
      hidden_activation: "gelu_pytorch_tanh",
      query_pre_attn_scalar: gemmaScale(shared, 46),
      attn_logit_softcapping: meta.number("gemma2.attn_logit_softcapping") ?? 50,
      final_logit_softcapping: meta.number("gemma2.final_logit_softcapping") ?? 30,
      sliding_window: meta.integer("gemma2.attention.sliding_window") ?? 4096,
    }),
  },
  gemma3: {
    ...asLlama,
    modelType: "gemma3_text",
    className: "Gemma3ForCausalLM",
    names: SANDWICH_NAMES,
    conversion: oneAdded,
    config: (meta, _, shared) => {
      const window = meta.integer("gemma3.attention.sliding_window");
      return {
        hidden_act: "gelu_pytorch_tanh",
        hidden_activation: "gelu_pytorch_tanh",
        query_pre_attn_scalar: gemmaScale(shared, 62),
        final_logit_softcapping: meta.number("gemma3.final_logit_softcapping") ?? null,
        rope_theta: meta.number("gemma3.rope.freq_base") ?? 1e6,
        rope_local_base_freq: meta.number("gemma3.rope.freq_base_swa") ?? 1e4,
        ...(window === undefined
          ? { layer_types: kindsOf(new Array(shared.layers).fill(false)) }
          : { sliding_window: window, sliding_window_pattern: 6 }),
      };
    },
  },
  phi3: {
    ...asLlama,
    modelType: "phi3",
    className: "Phi3ForCausalLM",
    partialRotary: true,
    names: {
      ...LLAMA_NAMES,
      attn_qkv: "self_attn.qkv_proj",
      ffn_up: "mlp.gate_up_proj",
    },
    config: (meta, file, { headDim }) => {
      const original = meta.integer("phi3.rope.scaling.original_context_length");
      const turned = meta.integer("phi3.rope.dimension_count") ?? headDim;
      const factors = (kind: string): number[] | null => {
        const name = `rope_factors_${kind}.weight`;
        return file.tensors.has(name) ? [...file.read(name)] : null;
      };
      const short = factors("short");
      const attention = meta.number("phi3.rope.scaling.attn_factor");
      return {
        sliding_window: meta.integer("phi3.attention.sliding_window") || null,
        partial_rotary_factor: turned / headDim,
        ...(original === undefined ? {} : { original_max_position_embeddings: original }),
        ...(short === null
          ? {}
          : {
              rope_scaling: {
                rope_type: "longrope",
                short_factor: short,
                long_factor: factors("long"),
                ...(attention === undefined ? {} : { attention_factor: attention }),
              },
            }),
      };
    },
  },
  olmo2: {
    ...asLlama,
    modelType: "olmo2",
    className: "Olmo2ForCausalLM",
    names: SANDWICH_NAMES,
    config: (meta, file, { layers }) => {
      const attention_bias = biases(file).attention_bias;
      const window = meta.integer("olmo2.attention.sliding_window");
      if (window === undefined) return { attention_bias };
      const pattern = meta.list("olmo2.attention.sliding_window_pattern");
      const every4th = Array.from({ length: layers }, (_, n) => (n + 1) % 4 !== 0);
      return {
        attention_bias,
        architectures: ["Olmo3ForCausalLM"],
        model_type: "olmo3",
        sliding_window: window,
        layer_types: kindsOf(pattern ?? every4th),
      };
    },
  },
  granite: {
    ...asLlama,
    modelType: "granite",
    className: "GraniteForCausalLM",
    conversion: interleaved,
    config: (meta, file) => ({
      ...biases(file),
      attention_multiplier: meta.number("granite.attention.scale") ?? 1,
      embedding_multiplier: meta.number("granite.embedding_scale") ?? 1,
      residual_multiplier: meta.number("granite.residual_scale") ?? 1,
      logits_scaling: meta.number("granite.logit_scale") ?? 1,
    }),
  },
  lfm2: {
    ...asLlama,
    modelType: "lfm2",
    className: "Lfm2ForCausalLM",
    keyValueHeadsPerLayer: true,
    names: {
      attn_norm: "operator_norm",
      ffn_norm: "ffn_norm",
      attn_q: "self_attn.q_proj",
      attn_k: "self_attn.k_proj",
      attn_v: "self_attn.v_proj",
      attn_output: "self_attn.out_proj",
      attn_q_norm: "self_attn.q_layernorm",
      attn_k_norm: "self_attn.k_layernorm",
      "shortconv.conv": "conv.conv",
      "shortconv.in_proj": "conv.in_proj",
      "shortconv.out_proj": "conv.out_proj",
      ffn_gate: "feed_forward.w1",
      ffn_up: "feed_forward.w3",
      ffn_down: "feed_forward.w2",
    },
    top: {
      "token_embd.weight": "model.embed_tokens.weight",
      "token_embd_norm.weight": "model.embedding_norm.weight",
      // older files' name of the same
      "output_norm.weight": "model.embedding_norm.weight",
      "output.weight": "lm_head.weight",
    },
    conversion: (name) => (name.endsWith("conv.conv.weight") ? "squeezed" : null),
    config: (meta, file, { layers, heads }) => {
      const counts = meta.list("lfm2.attention.head_count_kv") ?? new Array<number>(layers).fill(heads);
      return {
        norm_eps: meta.number("lfm2.attention.layer_norm_rms_epsilon") ?? 1e-5,
        rms_norm_eps: undefined,
        hidden_act: undefined,
        num_key_value_heads: Math.max(1, ...(counts as number[])),
        layer_types: counts.map((count) => (count === 0 ? "conv" : "full_attention")),
        conv_L_cache: meta.requireInteger("lfm2.shortconv.l_cache"),
        conv_bias: file.tensors.has("blk.0.shortconv.in_proj.bias"),
        block_auto_adjust_ff_dim: false,
      };
    },
  },
  gpt2: {
    modelType: "gpt2",
    className: "GPT2LMHeadModel",
    norm: "layer",
    layers: "transformer.h.",
    names: {
      attn_norm: "ln_1",
      attn_qkv: "attn.c_attn",
      attn_output: "attn.c_proj",
      ffn_norm: "ln_2",
      ffn_up: "mlp.c_fc",
      ffn_down: "mlp.c_proj",
    },
    top: {
      "token_embd.weight": "transformer.wte.weight",
      "position_embd.weight": "transformer.wpe.weight",
      "output_norm.weight": "transformer.ln_f.weight",
      "output_norm.bias": "transformer.ln_f.bias",
      "output.weight": "lm_head.weight",
    },
    conversion: (name) => (/\.(c_attn|c_proj|c_fc)\.weight$/.test(name) ? "transposed" : null),
    config: (meta, _, { hidden, heads, layers }) => ({
      n_embd: hidden,
      n_head: heads,
      n_layer: layers,
      n_inner: meta.requireInteger("gpt2.feed_forward_length"),
      n_positions: meta.requireInteger("gpt2.context_length"),
      layer_norm_epsilon: meta.number("gpt2.attention.layer_norm_epsilon") ?? 1e-5,
      activation_function: "gelu_new",
    }),
  },
  gptneox: {
    modelType: "gpt_neox",
    className: "GPTNeoXForCausalLM",
    norm: "layer",
    partialRotary: true,
    layers: "gpt_neox.layers.",
    names: {
      attn_norm: "input_layernorm",
      attn_qkv: "attention.query_key_value",
      attn_output: "attention.dense",
      ffn_norm: "post_attention_layernorm",
      ffn_up: "mlp.dense_h_to_4h",
      ffn_down: "mlp.dense_4h_to_h",
    },
    top: {
      "token_embd.weight": "gpt_neox.embed_in.weight",
      "output_norm.weight": "gpt_neox.final_layer_norm.weight",
      "output_norm.bias": "gpt_neox.final_layer_norm.bias",
      "output.weight": "embed_out.weight",
    },
    conversion: (name) => (name.includes("query_key_value") ? "joined" : null),
    config: (meta, file, { headDim }) => ({
      hidden_act: "gelu",
      num_key_value_heads: undefined,
      rms_norm_eps: undefined,
      layer_norm_eps: meta.number("gptneox.attention.layer_norm_epsilon") ?? 1e-5,
      rotary_pct: (meta.integer("gptneox.rope.dimension_count") ?? headDim) / headDim,
      rotary_emb_base: meta.number("gptneox.rope.freq_base") ?? 1e4,
      rope_theta: undefined,
      use_parallel_residual: meta.boolean("gptneox.use_parallel_residual") ?? true,
      attention_bias: file.tensors.has("blk.0.attn_qkv.bias"),
    }),
  },
};
