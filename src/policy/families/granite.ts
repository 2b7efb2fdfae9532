/** Granite 3: Llama with four factors. */
import { readDimensions, readRotary } from "./dimensions.ts";
import type { ModelFamily } from "./family.ts";
import { llamaLayer, plainDecoder } from "./layers.ts";

export const granite: ModelFamily = {
  modelType: "granite",
  architecture: "GraniteForCausalLM",
  models: "Granite 3 (dense)",
  own: "factors on embeddings, scores, what a layer adds, and logits",
  read(reader) {
    const dimensions = readDimensions(reader, { keyValueHeads: "heads", maxPositions: 2048 });
    const { rotary, positions } = readRotary(reader, dimensions, { theta: 1e4 });
    reader.oneOf("hidden_act", ["silu"], "silu");
    const attention = reader.flag("attention_bias", false);
    const biases = { queryKeyValue: attention, output: attention, mlp: reader.flag("mlp_bias", false) };
    const scale = reader.positive("attention_multiplier", 1);
    return {
      ...plainDecoder,
      ...positions,
      family: this.modelType,
      vocabSize: reader.count("vocab_size", "size"),
      hiddenSize: dimensions.hiddenSize,
      norm: { kind: "rms", epsilon: reader.positive("rms_norm_eps", 1e-6) },
      tiedEmbeddings: reader.flag("tie_word_embeddings", false),
      embeddingScale: reader.positive("embedding_multiplier", 1),
      residualScale: reader.positive("residual_multiplier", 1),
      logitScale: 1 / reader.positive("logits_scaling", 1),
      layers: Array.from({ length: dimensions.layers }, (_, n) =>
        llamaLayer(n, dimensions, { biases, rotary, scale }),
      ),
    };
  },
};
