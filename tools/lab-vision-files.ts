/**
 * Files of the laboratory's vision-language model, as transformers reads them: an Idefics3 of 249,984 parameters, its word-level
 * tokenizer, and a processor that makes 4 image tokens of a picture of 32 x 32 pixels.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { picturesVocabulary } from "../src/data/pictures-world.ts";
import type { JsonObject } from "../src/policy/files/json.ts";
import { wordLevelTokenizerFiles } from "../src/policy/files/word-level.ts";

const IMAGE_TOKENS = ["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"];
const PICTURE = { longest_edge: 32 };

export function labVisionFiles(): Map<string, Uint8Array> {
  const words = picturesVocabulary();
  const ids = { pad_token_id: 0, bos_token_id: 1, eos_token_id: 2 };
  const config: JsonObject = {
    architectures: ["Idefics3ForConditionalGeneration"],
    model_type: "idefics3",
    image_token_id: words.indexOf("<image>"),
    scale_factor: 2,
    tie_word_embeddings: false,
    ...ids,
    vocab_size: words.length,
    torch_dtype: "float32",
    text_config: {
      model_type: "llama",
      vocab_size: words.length,
      hidden_size: 64,
      intermediate_size: 160,
      num_hidden_layers: 3,
      num_attention_heads: 4,
      num_key_value_heads: 4,
      head_dim: 16,
      hidden_act: "silu",
      rms_norm_eps: 1e-5,
      rope_theta: 10000,
      max_position_embeddings: 256,
      attention_bias: false,
      mlp_bias: false,
      tie_word_embeddings: false,
      ...ids,
    },
    vision_config: {
      model_type: "idefics3_vision",
      hidden_size: 64,
      intermediate_size: 128,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_channels: 3,
      image_size: 32,
      patch_size: 8,
      hidden_act: "gelu_pytorch_tanh",
      layer_norm_eps: 1e-6,
      attention_dropout: 0,
    },
  };
  const picture: JsonObject = {
    image_processor_type: "Idefics3ImageProcessor",
    processor_class: "Idefics3Processor",
    do_image_splitting: false,
    do_resize: true,
    do_rescale: true,
    do_normalize: true,
    do_pad: true,
    do_convert_rgb: true,
    size: PICTURE,
    max_image_size: PICTURE,
    rescale_factor: 1 / 255,
    image_mean: [0.5, 0.5, 0.5],
    image_std: [0.5, 0.5, 0.5],
    resample: 1,
  };
  const encode = (value: JsonObject): Uint8Array =>
    new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
  const tokenizer = wordLevelTokenizerFiles(
    words,
    { pad: "<pad>", bos: "<bos>", eos: "<eos>", others: IMAGE_TOKENS },
    { separator: "space" },
  );
  return new Map([
    ...tokenizer,
    ["config.json", encode(config)],
    ["generation_config.json", encode({ _from_model_config: true, ...ids })],
    ["preprocessor_config.json", encode(picture)],
    ["processor_config.json", encode({ processor_class: "Idefics3Processor", image_seq_len: 4 })],
  ]);
}

export function main(root: string): void {
  const folder = join(root, "models", "lab-vision-init");
  mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of labVisionFiles()) writeFileSync(join(folder, name), bytes);
}
