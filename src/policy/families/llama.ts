/** Llama 2 and 3, and what kept their class. */
import { readDimensions, readLayerTypes, readRotary } from "./dimensions.ts";
import type { ModelFamily } from "./family.ts";
import { llamaLayer, plainDecoder } from "./layers.ts";

export const llama: ModelFamily = {
  modelType: "llama",
  architecture: "LlamaForCausalLM",
  models: "Llama 2 and 3 (3.1 and 3.2 too), SmolLM2, TinyLlama, the laboratory's models",
  own: "biases of attention and MLP where the file asks for them; Llama 3.1's scaling of RoPE",
  read(reader) {
    const dimensions = readDimensions(reader, { keyValueHeads: "heads", maxPositions: 2048 });
    const { rotary, positions } = readRotary(reader, dimensions, { theta: 1e4 });
    reader.oneOf("hidden_act", ["silu"], "silu");
    const attention = reader.flag("attention_bias", false);
    const biases = { queryKeyValue: attention, output: attention, mlp: reader.flag("mlp_bias", false) };
    const kinds = readLayerTypes(reader, dimensions.layers, ["full_attention", "sliding_attention"]);
    if (kinds?.includes("sliding_attention")) reader.fail("layer_types", "llama has no sliding windows");
    reader.unread("sliding_window", "use_sliding_window", "max_window_layers", "rope_interleaved");
    return {
      ...plainDecoder,
      family: this.modelType,
      vocabSize: reader.count("vocab_size", "size"),
      hiddenSize: dimensions.hiddenSize,
      norm: { kind: "rms", epsilon: reader.positive("rms_norm_eps", 1e-6) },
      tiedEmbeddings: reader.flag("tie_word_embeddings", false),
      ...positions,
      layers: Array.from({ length: dimensions.layers }, (_, n) =>
        llamaLayer(n, dimensions, { biases, rotary }),
      ),
    };
  },
};
