/** Phi-3 and Phi-4-mini: joined projections, heads turned in part. */
import type { LayerConfig } from "../interfaces.ts";
import { type Dimensions, readDimensions, readRotary, readWindow } from "./dimensions.ts";
import type { ModelFamily } from "./family.ts";
import { type LlamaLayerOptions, linear, llamaAttention, plainDecoder, residualNorms } from "./layers.ts";
import type { ConfigReader, Json } from "./reader.ts";

function joinedLayer(n: number, dimensions: Dimensions, options: LlamaLayerOptions): LayerConfig {
  const at = (part: string) => `model.layers.${n}.${part}`;
  const { hiddenSize, intermediateSize, heads, keyValueHeads, headDim } = dimensions;
  const joined = (heads + 2 * keyValueHeads) * headDim;
  const from = "(num_attention_heads + 2 * num_key_value_heads) * head_dim, hidden_size";
  return {
    mixer: {
      ...llamaAttention(at, dimensions, options),
      projections: { kind: "joined", all: linear(at("self_attn.qkv_proj"), [joined, hiddenSize], from) },
    },
    mlp: {
      kind: "gated-joined",
      activation: "silu",
      gateUp: linear(
        at("mlp.gate_up_proj"),
        [2 * intermediateSize, hiddenSize],
        "2 * intermediate_size, hidden_size",
      ),
      down: linear(at("mlp.down_proj"), [hiddenSize, intermediateSize], "hidden_size, intermediate_size"),
    },
    norms: residualNorms(at, "input"),
    parallel: false,
  };
}

/** Files of the first release say "su" or "yarn" for longrope. */
function withLongrope(reader: ConfigReader): ConfigReader {
  const { json } = reader;
  const renamed = (key: string): Json => {
    const found = json[key] as Json | null | undefined;
    const type = found?.["rope_type"] ?? found?.["type"];
    return type === "su" || type === "yarn" ? { [key]: { ...found, rope_type: "longrope" } } : {};
  };
  const original = json["original_max_position_embeddings"] ?? 4096;
  const parts = { ...renamed("rope_scaling"), ...renamed("rope_parameters") };
  return reader.with({ ...json, original_max_position_embeddings: original, ...parts });
}

export const phi3: ModelFamily = {
  modelType: "phi3",
  architecture: "Phi3ForCausalLM",
  models: "Phi-3 and Phi-3.5 mini, medium; Phi-4, Phi-4-mini",
  own: "query, key and value in one matrix, gate and up in another; heads turned in part; a window in all layers; longrope up to the length before it",
  read(reader) {
    const dimensions = readDimensions(reader, { keyValueHeads: "heads", maxPositions: 4096 });
    const { rotary, positions } = readRotary(withLongrope(reader), dimensions, { theta: 1e4, share: 1 });
    reader.oneOf("hidden_act", ["silu"], "silu");
    reader.unread("attention_bias", "mlp_bias", "lm_head_bias", "interpolate_factor", "full_attn_mod");
    const window = readWindow(reader, null);
    return {
      ...plainDecoder,
      family: this.modelType,
      vocabSize: reader.count("vocab_size", "size"),
      hiddenSize: dimensions.hiddenSize,
      norm: { kind: "rms", epsilon: reader.positive("rms_norm_eps", 1e-5) },
      tiedEmbeddings: reader.flag("tie_word_embeddings", false),
      ...positions,
      layers: Array.from({ length: dimensions.layers }, (_, n) =>
        joinedLayer(n, dimensions, { rotary, window }),
      ),
    };
  },
};
