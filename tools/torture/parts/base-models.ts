/** Small models of every form that is read, to be damaged: directories with three tokenizers, shards, GGUF, an adapter. */
import { copyFileSync, cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../../src/lib/version.ts";
import type { JsonObject } from "../../../src/policy/files/json.ts";
import { saveModel } from "../../../src/policy/files/model-directory.ts";
import { writeSafetensors } from "../../../src/policy/files/safetensors-write.ts";
import { BYTE_SYMBOLS } from "../../../src/policy/files/tokenizer-json.ts";
import type { NamedTensor } from "../../../src/policy/interfaces.ts";
import { f32Tensor, writeGguf } from "../../../tests/policy/files/write-gguf.ts";

/** What is opened, and the files of it that are damaged. */
export interface BaseModel {
  name: string;
  /** Relative to the folder: a directory, a GGUF file, or a config that names an adapter. */
  opened: string;
  files: readonly string[];
}

const TOKENIZER = ["tokenizer.json", "tokenizer_config.json"];
const CONFIGS = ["config.json", "generation_config.json"];

export const baseModels: readonly BaseModel[] = [
  { name: "lab", opened: ".", files: [...CONFIGS, ...TOKENIZER, "model.safetensors"] },
  { name: "bytes", opened: ".", files: [...CONFIGS, ...TOKENIZER, ...TOKENIZER, "model.safetensors"] },
  { name: "pieces", opened: ".", files: [...CONFIGS, ...TOKENIZER, ...TOKENIZER, "model.safetensors"] },
  {
    name: "shards",
    opened: ".",
    files: ["model.safetensors.index.json", "model-00001-of-00002.safetensors"],
  },
  { name: "gguf", opened: "model.gguf", files: ["model.gguf"] },
  {
    name: "adapter",
    opened: "run.yaml",
    files: ["adapter/adapter_config.json", "adapter/adapter_model.safetensors"],
  },
];

const WIDTH = 16;
const INNER = 24;

const configOf = (vocab: number): JsonObject => ({
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  vocab_size: vocab,
  hidden_size: WIDTH,
  intermediate_size: INNER,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  hidden_act: "silu",
  rms_norm_eps: 1e-5,
  max_position_embeddings: 512,
  rope_theta: 10000,
  rope_scaling: {
    rope_type: "llama3",
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 64,
  },
  tie_word_embeddings: true,
  bos_token_id: 0,
  eos_token_id: [1],
  pad_token_id: 2,
});

const values = (shape: readonly number[], from: number): Float32Array =>
  Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(from * 100 + i) / 2);

function weightsOf(vocab: number): NamedTensor[] {
  const shapes: Record<string, number[]> = {
    "model.embed_tokens.weight": [vocab, WIDTH],
    "model.norm.weight": [WIDTH],
    "model.layers.0.input_layernorm.weight": [WIDTH],
    "model.layers.0.post_attention_layernorm.weight": [WIDTH],
    "model.layers.0.self_attn.q_proj.weight": [WIDTH, WIDTH],
    "model.layers.0.self_attn.k_proj.weight": [WIDTH / 2, WIDTH],
    "model.layers.0.self_attn.v_proj.weight": [WIDTH / 2, WIDTH],
    "model.layers.0.self_attn.o_proj.weight": [WIDTH, WIDTH],
    "model.layers.0.mlp.gate_proj.weight": [INNER, WIDTH],
    "model.layers.0.mlp.up_proj.weight": [INNER, WIDTH],
    "model.layers.0.mlp.down_proj.weight": [WIDTH, INNER],
  };
  return Object.entries(shapes).map(([name, shape], i) => ({ name, shape, data: values(shape, i) }));
}

const SPECIALS = ["<s>", "</s>", "<pad>", "<|im_start|>", "<|im_end|>"];
const added = SPECIALS.map((content, id) => ({
  id,
  content,
  special: true,
  normalized: false,
  lstrip: false,
  rstrip: false,
  single_word: false,
}));

const CHAT_TEMPLATE = `{%- if tools %}{{- raise_exception('no tools') }}{% endif -%}
{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message.content | trim + '<|im_end|>' + '\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`;

const tokenizerConfig = {
  tokenizer_class: "PreTrainedTokenizerFast",
  bos_token: "<s>",
  eos_token: "</s>",
  pad_token: "<pad>",
  chat_template: CHAT_TEMPLATE,
  model_max_length: 512,
  add_bos_token: true,
  clean_up_tokenization_spaces: false,
};

/** Byte-level BPE as Llama 3 and Qwen have it. */
function bytesTokenizer(): { tokenizer: JsonObject; vocab: string[] } {
  const merges = [
    ["t", "h"],
    ["th", "e"],
    ["Ġ", "the"],
    ["i", "n"],
    ["Ġ", "="],
  ];
  const vocab = [...SPECIALS, ...BYTE_SYMBOLS, ...merges.map((pair) => pair.join(""))];
  return {
    vocab,
    tokenizer: {
      version: "1.0",
      added_tokens: added,
      normalizer: { type: "NFC" },
      pre_tokenizer: {
        type: "Sequence",
        pretokenizers: [
          {
            type: "Split",
            pattern: {
              Regex:
                "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
            },
            behavior: "Isolated",
            invert: false,
          },
          { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
        ],
      },
      post_processor: { type: "ByteLevel", add_prefix_space: true, trim_offsets: false, use_regex: true },
      decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: true,
        vocab: Object.fromEntries(vocab.map((token, id) => [token, id])),
        merges,
      },
    },
  };
}

/** Unigram with byte fallback and a long normalizer, as Llama 2's kin have it. */
function piecesTokenizer(): { tokenizer: JsonObject; vocab: string[] } {
  const bytes = Array.from(
    { length: 256 },
    (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
  );
  const letters = [..."▁abcdefghijklmnopqrstuvwxyz0123456789+=?.!"];
  const vocab = [...SPECIALS, "<unk>", ...bytes, ...letters, "▁the", "ing", "\u001b[2J"];
  return {
    vocab,
    tokenizer: {
      version: "1.0",
      added_tokens: added,
      normalizer: {
        type: "Sequence",
        normalizers: [
          { type: "NFKC" },
          { type: "Lowercase" },
          { type: "Replace", pattern: { Regex: " {2,}" }, content: " " },
          { type: "Prepend", prepend: "▁" },
          { type: "Replace", pattern: { String: " " }, content: "▁" },
        ],
      },
      pre_tokenizer: null,
      post_processor: null,
      decoder: {
        type: "Sequence",
        decoders: [
          { type: "Replace", pattern: { String: "▁" }, content: " " },
          { type: "ByteFallback" },
          { type: "Fuse" },
          { type: "Strip", content: " ", start: 1, stop: 0 },
        ],
      },
      model: {
        type: "Unigram",
        unk_id: SPECIALS.length,
        byte_fallback: true,
        vocab: vocab.map((token, i) => [token, -1 - i / 50]),
      },
    },
  };
}

const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value, null, 1));

function saved(
  directory: string,
  { tokenizer, vocab }: { tokenizer: JsonObject; vocab: string[] },
  maxShardBytes?: number,
): void {
  saveModel(directory, {
    config: configOf(vocab.length),
    generationConfig: { bos_token_id: 0, eos_token_id: [1, 4], pad_token_id: 2, temperature: 0.7 },
    tokenizerFiles: new Map([
      ["tokenizer.json", json(tokenizer)],
      ["tokenizer_config.json", json(tokenizerConfig)],
    ]),
    weights: weightsOf(vocab.length),
    ...(maxShardBytes === undefined ? {} : { maxShardBytes }),
  });
}

function writeGgufModel(directory: string): void {
  const { vocab, tokenizer } = bytesTokenizer();
  const merges = (tokenizer["model"] as { merges: string[][] }).merges.map((pair) => pair.join(" "));
  const names: [string, string][] = [
    ["model.embed_tokens", "token_embd"],
    ["model.norm", "output_norm"],
    ["model.layers.0.input_layernorm", "blk.0.attn_norm"],
    ["model.layers.0.post_attention_layernorm", "blk.0.ffn_norm"],
    ["model.layers.0.self_attn.q_proj", "blk.0.attn_q"],
    ["model.layers.0.self_attn.k_proj", "blk.0.attn_k"],
    ["model.layers.0.self_attn.v_proj", "blk.0.attn_v"],
    ["model.layers.0.self_attn.o_proj", "blk.0.attn_output"],
    ["model.layers.0.mlp.gate_proj", "blk.0.ffn_gate"],
    ["model.layers.0.mlp.up_proj", "blk.0.ffn_up"],
    ["model.layers.0.mlp.down_proj", "blk.0.ffn_down"],
  ];
  const path = writeGguf(
    {
      "general.architecture": "llama",
      "llama.block_count": 1,
      "llama.embedding_length": WIDTH,
      "llama.feed_forward_length": INNER,
      "llama.attention.head_count": 2,
      "llama.attention.head_count_kv": 1,
      "llama.attention.layer_norm_rms_epsilon": { f32: 1e-5 },
      "llama.rope.freq_base": { f32: 10000 },
      "llama.context_length": 512,
      "tokenizer.ggml.model": "gpt2",
      "tokenizer.ggml.pre": "llama-bpe",
      "tokenizer.ggml.tokens": vocab,
      "tokenizer.ggml.token_type": vocab.map((_, id) => (id < SPECIALS.length ? 3 : 1)),
      "tokenizer.ggml.merges": merges,
      "tokenizer.ggml.bos_token_id": 0,
      "tokenizer.ggml.eos_token_id": 1,
      "tokenizer.ggml.padding_token_id": 2,
      "tokenizer.chat_template": CHAT_TEMPLATE,
    },
    weightsOf(vocab.length).map(({ name, shape, data }) => {
      const [, short] = names.find(([long]) => `${long}.weight` === name)!;
      return f32Tensor(`${short}.weight`, shape, data);
    }),
  );
  copyFileSync(path, join(directory, "model.gguf"));
}

function writeAdapter(directory: string, base: string): void {
  const folder = join(directory, "adapter");
  mkdirSync(folder);
  const module = "base_model.model.model.layers.0.self_attn.q_proj";
  writeSafetensors(folder, "adapter_model.safetensors", [
    { name: `${module}.lora_A.weight`, shape: [2, WIDTH], data: values([2, WIDTH], 1) },
    { name: `${module}.lora_B.weight`, shape: [WIDTH, 2], data: values([WIDTH, 2], 2) },
  ]);
  const config = {
    peft_type: "LORA",
    base_model_name_or_path: base,
    task_type: "CAUSAL_LM",
    r: 2,
    lora_alpha: 4,
    lora_dropout: 0,
    bias: "none",
    target_modules: ["q_proj"],
    modules_to_save: null,
    use_rslora: false,
    use_dora: false,
    fan_in_fan_out: false,
    init_lora_weights: true,
    inference_mode: true,
    rank_pattern: {},
    alpha_pattern: {},
    layers_to_transform: null,
  };
  writeFileSync(join(folder, "adapter_config.json"), JSON.stringify(config));
  const recipe = `steps: 1
model: { path: ${JSON.stringify(base)}, lora: { rank: 2, alpha: 4, targets: [q_proj], adapter: ${JSON.stringify("adapter")} } }
data: { train: { kind: chain, levels: [1] } }
rollout: { prompts_per_step: 2, group_size: 2, max_new_tokens: 4 }
rewards: [{ kind: exact, extract: whole }]
algorithm: { kind: grpo }
optimizer: { lr: 0.01 }
`;
  writeFileSync(join(directory, "run.yaml"), recipe);
}

/** Writes each into a folder of its name. */
export function writeBaseModels(shared: string): void {
  for (const { name } of baseModels) mkdirSync(join(shared, name));
  cpSync(join(packageRoot(), "models", "lab-small"), join(shared, "lab"), { recursive: true });
  saved(join(shared, "bytes"), bytesTokenizer());
  saved(join(shared, "pieces"), piecesTokenizer());
  saved(join(shared, "shards"), bytesTokenizer(), 10_000);
  writeGgufModel(join(shared, "gguf"));
  writeAdapter(join(shared, "adapter"), join(shared, "bytes"));
}

export const readBase = (shared: string, model: BaseModel, file: string): Uint8Array =>
  readFileSync(join(shared, model.name, file));
