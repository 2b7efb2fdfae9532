/** A model of SmolVLM-256M's shape with random weights, and prompts that show it a picture. */
import { mkdirSync } from "node:fs";
import { createRng } from "../../src/lib/rng.ts";
import { saveModel } from "../../src/policy/files/model-directory.ts";
import type { ModelFiles } from "../../src/policy/interfaces.ts";
import type { ChatMessage, Picture, Prompt } from "../../src/types.ts";
import { ordinaryWeights } from "../bench/ordinary-weights.ts";

/** Pixels of a side; one tile. */
export const PICTURE_SIDE = 512;

/** Behind SmolLM2's own tokens. */
const ADDED = ["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"];
const FIRST_ADDED = 49152;

/** SmolVLM-256M-Instruct's dimensions (its config.json on the Hub). */
const SMOLVLM = {
  architectures: ["Idefics3ForConditionalGeneration"],
  model_type: "idefics3",
  image_token_id: FIRST_ADDED,
  scale_factor: 4,
  tie_word_embeddings: false,
  pad_token_id: 2,
  torch_dtype: "float32",
  vocab_size: 49280,
  text_config: {
    model_type: "llama",
    vocab_size: 49280,
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    head_dim: 64,
    hidden_act: "silu",
    rms_norm_eps: 1e-5,
    rope_theta: 1e5,
    max_position_embeddings: 8192,
    attention_bias: false,
    mlp_bias: false,
    tie_word_embeddings: false,
    pad_token_id: 2,
    bos_token_id: 1,
    eos_token_id: 2,
  },
  vision_config: {
    model_type: "idefics3_vision",
    hidden_size: 768,
    intermediate_size: 3072,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    num_channels: 3,
    image_size: PICTURE_SIDE,
    patch_size: 16,
    hidden_act: "gelu_pytorch_tanh",
    layer_norm_eps: 1e-6,
    attention_dropout: 0,
  },
};

const PREPROCESSOR = {
  image_processor_type: "Idefics3ImageProcessor",
  processor_class: "Idefics3Processor",
  do_convert_rgb: true,
  do_image_splitting: false,
  do_normalize: true,
  do_pad: true,
  do_rescale: true,
  do_resize: true,
  image_mean: [0.5, 0.5, 0.5],
  image_std: [0.5, 0.5, 0.5],
  max_image_size: { longest_edge: PICTURE_SIDE },
  size: { longest_edge: PICTURE_SIDE },
  rescale_factor: 1 / 255,
  resample: 1,
};

const TEMPLATE =
  "<|im_start|>{% for m in messages %}{{ m['role'] | capitalize }}:{% if m['content'] is string %} {{ m['content'] }}{% else %}" +
  "{% for part in m['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}" +
  "{% endif %}<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}";

/** @param smollm2 whose tokenizer it takes */
export function writeVisionModel(directory: string, smollm2: ModelFiles): void {
  mkdirSync(directory);
  const weights = ordinaryWeights(SMOLVLM, "vision-model");
  const json = (value: unknown) => new TextEncoder().encode(`${JSON.stringify(value)}\n`);
  const files = new Map(smollm2.tokenizerFiles);
  const tokenizer = JSON.parse(new TextDecoder().decode(files.get("tokenizer.json"))) as {
    added_tokens: object[];
  };
  for (const [i, content] of ADDED.entries()) {
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
    tokenizer.added_tokens.push({ id: FIRST_ADDED + i, content, ...flags });
  }
  files.set("tokenizer.json", json(tokenizer));
  const settings = JSON.parse(new TextDecoder().decode(files.get("tokenizer_config.json"))) as object;
  files.set("tokenizer_config.json", json({ ...settings, chat_template: undefined }));
  files.set("chat_template.jinja", new TextEncoder().encode(TEMPLATE));
  files.set("preprocessor_config.json", json(PREPROCESSOR));
  files.set("processor_config.json", json({ processor_class: "Idefics3Processor", image_seq_len: 64 }));
  const special = { bos_token_id: 1, eos_token_id: 2, pad_token_id: 2 };
  saveModel(directory, {
    config: SMOLVLM,
    generationConfig: special,
    tokenizerFiles: files,
    weights,
    dtype: "F32",
  });
}

/** A picture of its own for each prompt: noise, since only its size matters. */
export function picturePrompt(text: string, id: string): Prompt {
  const picture: Picture = {
    id: `noise ${id}`,
    name: `noise ${id}`,
    load() {
      const stream = createRng(8).fork("picture", id);
      const data = Uint8Array.from({ length: 3 * PICTURE_SIDE ** 2 }, (_, i) => stream.integer(256, i));
      return { width: PICTURE_SIDE, height: PICTURE_SIDE, data };
    },
  };
  const content = [
    { type: "image" as const, picture },
    { type: "text" as const, text },
  ];
  const messages: ChatMessage[] = [{ role: "user", content }];
  return { id, input: { kind: "chat", messages }, answer: "", slices: {}, fields: {} };
}
