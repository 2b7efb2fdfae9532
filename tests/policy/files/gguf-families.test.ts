/**
 * GGUF files of each family, laid out as llama.cpp's converter lays them out (its names, its changes to the numbers), give the
 * logits that transformers computes for the model they were made from.
 */
import { beforeAll, expect, it } from "vitest";
import { openGguf } from "../../../src/policy/files/gguf.ts";
import { ggufConfig, ggufWeights } from "../../../src/policy/files/gguf-model.ts";
import { parseModelConfig } from "../../../src/policy/model-config.ts";
import { createPolicy } from "../../../src/policy/policy.ts";
import { closedFormTensors, plainBatch } from "../../helpers/closed-form.ts";
import { golden, type Json } from "../../helpers/goldens.ts";
import { expectClose, useBackend } from "../../helpers/tensors.ts";
import { f32Tensor, type MetadataValue, writeGguf } from "./write-gguf.ts";

interface Tensor {
  shape: readonly number[];
  data: Float32Array;
}

const f32 = (value: unknown): MetadataValue => ({ f32: value as number });
const transposed = ({ shape: [rows, columns], data }: Tensor): Tensor => ({
  shape: [columns!, rows!],
  data: Float32Array.from(data, (_, i) => data[(i % rows!) * columns! + Math.floor(i / rows!)]!),
});
/** Rows 2i and 2i + 1 of a head come from rows i and i + D/2. */
const interleaved = ({ shape, data }: Tensor, heads: number): Tensor => {
  const [rows, width] = [shape[0]!, shape[1] ?? 1];
  const dim = rows / heads;
  const out = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    const [head, i] = [Math.floor(row / dim), row % dim];
    const from = head * dim + (i % 2 === 0 ? i / 2 : (i - 1) / 2 + dim / 2);
    out.set(data.subarray(from * width, (from + 1) * width), row * width);
  }
  return { shape, data: out };
};
/** Query, key and value of each head, then all queries, all keys, all values. */
const joined = ({ shape, data }: Tensor, heads: number): Tensor => {
  const size = data.length / (3 * heads);
  const out = new Float32Array(data.length);
  for (let i = 0; i < 3 * heads; i++) {
    const [head, part] = [Math.floor(i / 3), i % 3];
    out.set(data.subarray(i * size, (i + 1) * size), (part * heads + head) * size);
  }
  return { shape, data: out };
};
const plusOne = ({ shape, data }: Tensor): Tensor => ({ shape, data: data.map((v) => v + 1) });

/** Names by llama.cpp's table (gguf-py, constants.py), of what is called otherwise at Hugging Face. */
const COMMON: [RegExp, string][] = [
  [/^model\.layers\.|^transformer\.h\.|^gpt_neox\.layers\./, "blk."],
  [/self_attn\.([qkv])_norm/, "attn_$1_norm"],
  [/self_attn\.([qkv])_proj/, "attn_$1"],
  [/self_attn\.o_proj|self_attn\.out_proj|attn\.c_proj|attention\.dense/, "attn_output"],
  [/self_attn\.qkv_proj|attn\.c_attn|attention\.query_key_value/, "attn_qkv"],
  [/mlp\.gate_up_proj|mlp\.c_fc|mlp\.dense_h_to_4h/, "ffn_up"],
  [/mlp\.(gate|up|down)_proj/, "ffn_$1"],
  [/mlp\.c_proj|mlp\.dense_4h_to_h/, "ffn_down"],
  [/model\.embed_tokens|transformer\.wte|gpt_neox\.embed_in/, "token_embd"],
  [/transformer\.wpe/, "position_embd"],
  [/model\.norm|transformer\.ln_f|gpt_neox\.final_layer_norm/, "output_norm"],
  [/lm_head|embed_out/, "output"],
  [/input_layernorm|ln_1/, "attn_norm"],
];
const SANDWICH: [RegExp, string][] = [
  [/pre_feedforward_layernorm/, "ffn_norm"],
  [/post_feedforward_layernorm/, "post_ffw_norm"],
  [/post_attention_layernorm/, "post_attention_norm"],
];
const PRE: [RegExp, string][] = [[/post_attention_layernorm|ln_2/, "ffn_norm"]];
const LFM2: [RegExp, string][] = [
  [/model\.embedding_norm/, "token_embd_norm"],
  [/operator_norm/, "attn_norm"],
  [/self_attn\.([qk])_layernorm/, "attn_$1_norm"],
  [/conv\.(conv|in_proj|out_proj)/, "shortconv.$1"],
  [/feed_forward\.w1/, "ffn_gate"],
  [/feed_forward\.w3/, "ffn_up"],
  [/feed_forward\.w2/, "ffn_down"],
];

interface Case {
  architecture: string;
  names: [RegExp, string][];
  change?: (name: string, tensor: Tensor, config: Json) => Tensor;
  metadata?: (config: Json) => Record<string, MetadataValue>;
  extra?: (config: Json) => Record<string, readonly number[]>;
}

const heads = (config: Json, name: string): number =>
  config[name.includes("k_proj") ? "num_key_value_heads" : "num_attention_heads"] as number;
const norms = (name: string, tensor: Tensor) => (name.endsWith("norm.weight") ? plusOne(tensor) : tensor);
const turned = (name: string, tensor: Tensor, config: Json) =>
  /\.[qk]_proj\./.test(name) ? interleaved(tensor, heads(config, name)) : tensor;

const CASES: Record<string, Case> = {
  llama: { architecture: "llama", names: PRE, change: turned },
  gemma2: {
    architecture: "gemma2",
    names: SANDWICH,
    change: norms,
    metadata: (config) => ({
      attn_logit_softcapping: f32(config["attn_logit_softcapping"]),
      final_logit_softcapping: f32(config["final_logit_softcapping"]),
      "attention.sliding_window": config["sliding_window"] as number,
    }),
  },
  phi3: {
    architecture: "phi3",
    names: PRE,
    metadata: (config) => ({ "attention.sliding_window": config["sliding_window"] as number }),
  },
  "phi4-mini": {
    architecture: "phi3",
    names: PRE,
    metadata: () => ({
      "attention.sliding_window": 0,
      "rope.dimension_count": 6,
      "rope.scaling.original_context_length": 32,
      "rope.scaling.attn_factor": f32(Math.sqrt(1 + Math.log(128 / 32) / Math.log(32))),
    }),
    extra: (config) => {
      const { short_factor, long_factor } = config["rope_scaling"] as Record<string, number[]>;
      return { "rope_factors_short.weight": short_factor!, "rope_factors_long.weight": long_factor! };
    },
  },
  olmo2: { architecture: "olmo2", names: SANDWICH },
  granite: {
    architecture: "granite",
    names: PRE,
    change: turned,
    metadata: (config) => ({
      "attention.scale": f32(config["attention_multiplier"]),
      embedding_scale: f32(config["embedding_multiplier"]),
      residual_scale: f32(config["residual_multiplier"]),
      logit_scale: f32(config["logits_scaling"]),
    }),
  },
  lfm2: {
    architecture: "lfm2",
    names: LFM2,
    change: (name, tensor) =>
      name.includes("conv.conv")
        ? { shape: [tensor.shape[0]!, tensor.shape[2]!], data: tensor.data }
        : tensor,
    metadata: () => ({ "attention.head_count_kv": [0, 2, 0], "shortconv.l_cache": 3 }),
  },
  gpt2: {
    architecture: "gpt2",
    names: PRE,
    change: (name, tensor) => (/\.c_\w+\.weight$/.test(name) ? transposed(tensor) : tensor),
  },
  pythia: {
    architecture: "gptneox",
    names: PRE,
    change: (name, tensor, config) =>
      name.includes("query_key_value") ? joined(tensor, heads(config, name)) : tensor,
    metadata: () => ({ "rope.dimension_count": 4, use_parallel_residual: true }),
  },
};

function ggufOf(config: Json, { architecture, names, change, metadata, extra }: Case): string {
  const key = (...options: string[]) => options.map((name) => config[name]).find((v) => v !== undefined);
  const width = key("hidden_size", "n_embd") as number;
  const inner = (key("intermediate_size", "n_inner") as number | undefined) ?? 4 * width;
  const epsilon = key("rms_norm_eps", "norm_eps", "layer_norm_eps", "layer_norm_epsilon");
  const rms = key("rms_norm_eps", "norm_eps") !== undefined ? "layer_norm_rms_epsilon" : "layer_norm_epsilon";
  const shared: Record<string, MetadataValue> = {
    block_count: key("num_hidden_layers", "n_layer") as number,
    context_length: key("max_position_embeddings", "n_positions") as number,
    embedding_length: width,
    // LFM2's is two thirds, rounded up to a multiple
    feed_forward_length: architecture === "lfm2" ? 40 : inner,
    "attention.head_count": key("num_attention_heads", "n_head") as number,
    "attention.head_count_kv": (key("num_key_value_heads", "num_attention_heads", "n_head") as number) ?? 4,
    [`attention.${rms}`]: f32(epsilon),
    "rope.freq_base": f32(key("rope_theta", "rotary_emb_base") ?? 1e4),
    ...(config["head_dim"] === undefined
      ? {}
      : {
          "attention.key_length": config["head_dim"] as number,
          "attention.value_length": config["head_dim"] as number,
        }),
    ...metadata?.(config),
  };
  const tensors = closedFormTensors(parseModelConfig(config, "x")).map(({ name, shape, data }) => {
    const made = change?.(name, { shape, data }, config) ?? { shape, data };
    const renamed = [...names, ...COMMON].reduce((text, [from, to]) => text.replace(from, to), name);
    return f32Tensor(renamed, made.shape, made.data);
  });
  const more = Object.entries(extra?.(config) ?? {}).map(([name, values]) =>
    f32Tensor(name, [values.length], values),
  );
  const prefixed = Object.entries(shared).map(([name, value]) => [`${architecture}.${name}`, value] as const);
  return writeGguf([["general.architecture", architecture], ...prefixed], [...tensors, ...more]);
}

beforeAll(() => useBackend("wasm with our kernels"));

it.each(Object.entries(CASES))("%s: the logits of the model that it was made from", (name, own) => {
  const { config, ids, logits } = golden(name);
  const file = openGguf(ggufOf(config, own));
  const read = ggufConfig(file);
  // files do not say this scale: llama.cpp divides by the head's size
  const found = name === "gemma2" ? { ...read, query_pre_attn_scalar: 24 } : read;
  const policy = createPolicy(
    { config: found, weights: ggufWeights(file, read), source: name },
    { trainable: "none" },
  );
  const every = Int32Array.from(ids, (_, i) => i);
  expectClose(policy.logits(plainBatch([ids]), every).dataSync(), logits, {
    atol: 2e-4,
    rtol: 0,
    what: name,
  });
  policy.dispose();
  file.close();
});

it("gemma3: five layers with a window to one, tables of its own for each kind", () => {
  const { config } = golden("gemma3");
  const made = ggufOf(
    { ...config, num_hidden_layers: 6, sliding_window_pattern: 6 },
    {
      architecture: "gemma3",
      names: SANDWICH,
      change: norms,
      metadata: () => ({
        "attention.sliding_window": 4,
        "rope.scaling.type": "linear",
        "rope.scaling.factor": f32(8),
      }),
    },
  );
  const file = openGguf(made);
  const read = ggufConfig(file);
  const own = { ...config, num_hidden_layers: 6, sliding_window_pattern: 6, rope_local_base_freq: 1e4 };
  const expected = parseModelConfig({ ...own, query_pre_attn_scalar: 16 }, "x");
  expect(parseModelConfig(read, "x")).toEqual(expected);
  const name = "model.layers.0.input_layernorm.weight";
  const original = closedFormTensors(expected).find((tensor) => tensor.name === name)!;
  expectClose(ggufWeights(file, read).read(name), original.data, { atol: 2e-7, rtol: 0 });
  file.close();
});
