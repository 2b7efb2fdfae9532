/** Mistral: Llama with a window of attention. */
import { readDimensions, readLayerTypes, readRotary, readWindow } from "./dimensions.ts";
import type { ModelFamily } from "./family.ts";
import { llamaLayer, plainDecoder } from "./layers.ts";

export const mistral: ModelFamily = {
  modelType: "mistral",
  architecture: "MistralForCausalLM",
  models: "Mistral 7B and Nemo",
  own: "windows of attention over the last keys, in all layers",
  read(reader) {
    const dimensions = readDimensions(reader, {
      keyValueHeads: { absent: 8, nullable: false },
      maxPositions: 131072,
    });
    const { rotary, positions } = readRotary(reader, dimensions, { theta: 1e4 });
    reader.oneOf("hidden_act", ["silu"], "silu");
    reader.unread("attention_bias", "mlp_bias", "use_sliding_window", "max_window_layers");
    const kinds = readLayerTypes(reader, dimensions.layers, ["full_attention", "sliding_attention"]);
    const window = readWindow(reader, 4096);
    if (window !== null && kinds?.includes("full_attention")) {
      reader.fail(
        "layer_types",
        "versions of transformers disagree whether mistral reads it beside a window",
      );
    }
    return {
      ...plainDecoder,
      family: this.modelType,
      vocabSize: reader.count("vocab_size", "size"),
      hiddenSize: dimensions.hiddenSize,
      norm: { kind: "rms", epsilon: reader.positive("rms_norm_eps", 1e-6) },
      tiedEmbeddings: reader.flag("tie_word_embeddings", false),
      ...positions,
      layers: Array.from({ length: dimensions.layers }, (_, n) =>
        llamaLayer(n, dimensions, { rotary, window }),
      ),
    };
  },
};
