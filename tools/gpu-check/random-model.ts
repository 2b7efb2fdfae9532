/** A model of SmolLM2-135M's shape with random weights, for machines that the real ones cannot be carried to. */

import { createRng } from "../../src/lib/rng.ts";
import { randomWeights } from "../../src/policy/decoder-weights.ts";
import { saveModel } from "../../src/policy/files/model-directory.ts";
import { wordLevelTokenizerFiles } from "../../src/policy/files/word-level.ts";
import { parseModelConfig } from "../../src/policy/model-config.ts";

/** config.json of HuggingFaceTB/SmolLM2-135M-Instruct, as far as it is about shapes. */
const shape = {
  model_type: "llama",
  architectures: ["LlamaForCausalLM"],
  vocab_size: 49_152,
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  head_dim: 64,
  hidden_act: "silu",
  rms_norm_eps: 1e-5,
  rope_theta: 100_000,
  tie_word_embeddings: true,
  max_position_embeddings: 8192,
  attention_bias: false,
  mlp_bias: false,
  bos_token_id: 1,
  eos_token_id: 2,
  pad_token_id: 0,
};

/** " aaaa", " aaab", ...: every token a word of its own, so that a text has as many tokens as it was made of. */
function words(count: number): string[] {
  return Array.from({ length: count }, (_, i) => {
    const letters = [17_576, 676, 26, 1].map((place) =>
      String.fromCharCode(97 + (Math.floor(i / place) % 26)),
    );
    return ` ${letters.join("")}`;
  });
}

/**
 * Writes a Hugging Face directory, which transformers loads too.
 * @param options layers and vocabulary: fewer than SmolLM2's, for comparisons of numbers
 */
export function writeRandomModel(
  folder: string,
  options: { layers?: number; vocabulary?: number } = {},
): { parameters: number } {
  const { layers = shape.num_hidden_layers, vocabulary = shape.vocab_size } = options;
  const config = { ...shape, num_hidden_layers: layers, vocab_size: vocabulary };
  const weights = randomWeights(parseModelConfig(config, "the model"), createRng(1));
  saveModel(folder, {
    config,
    generationConfig: { bos_token_id: 1, eos_token_id: 2, pad_token_id: 0 },
    tokenizerFiles: tokenizerFiles(vocabulary),
    weights: (function* () {
      for (const name of weights.names) yield { name, shape: weights.shape(name), data: weights.read(name) };
    })(),
  });
  const sizes = weights.names.map((name) => weights.shape(name).reduce((product, size) => product * size, 1));
  return { parameters: sizes.reduce((sum, size) => sum + size, 0) };
}

function tokenizerFiles(vocabulary: number): Map<string, Uint8Array> {
  const specials = ["<pad>", "<bos>", "<eos>"] as const;
  const [pad, bos, eos] = specials;
  const tokens = [...specials, ...words(vocabulary - specials.length)];
  const files = wordLevelTokenizerFiles(tokens, { pad, bos, eos }, { separator: "none" });
  const json = JSON.parse(new TextDecoder().decode(files.get("tokenizer.json"))) as {
    pre_tokenizer: { pattern: { Regex: string } };
  };
  // the same cuts as by listing every word, which takes seconds to match
  json.pre_tokenizer.pattern.Regex = " [a-z]{4}";
  return files.set("tokenizer.json", new TextEncoder().encode(JSON.stringify(json)));
}
