/** Granite 3 and the dense ones of Granite 4: Llama with four factors. */
import { readDimensions, readRotary } from "./dimensions.ts";
import type { ModelFamily } from "./family.ts";
import { linear, llamaAttention, llamaLayer, plainDecoder, residualNorms } from "./layers.ts";
import type { ConfigReader } from "./reader.ts";

const readFactors = (reader: ConfigReader) => ({
  embeddingScale: reader.positive("embedding_multiplier", 1),
  residualScale: reader.positive("residual_multiplier", 1),
  logitScale: 1 / reader.positive("logits_scaling", 1),
});

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
      ...readFactors(reader),
      layers: Array.from({ length: dimensions.layers }, (_, n) =>
        llamaLayer(n, dimensions, { biases, rotary, scale }),
      ),
    };
  },
};

/** Keys of the mixers that a dense model has none of. */
const WITHOUT_MAMBA = [
  "mamba_n_heads",
  "mamba_n_groups",
  "mamba_d_state",
  "mamba_d_head",
  "mamba_d_conv",
  "mamba_expand",
  "mamba_chunk_size",
  "mamba_conv_bias",
  "mamba_proj_bias",
  "time_step_limit",
];

export const granite4: ModelFamily = {
  modelType: "granitemoehybrid",
  architecture: "GraniteMoeHybridForCausalLM",
  models: "Granite 4 (350M, 1B: those without Mamba layers and experts)",
  own: "as Granite 3; gate and up in one matrix; no positions where `position_embedding_type` is not rope",
  read(reader) {
    const width = reader.count("shared_intermediate_size", "size", 1024);
    reader.unread("intermediate_size");
    const shared = { ...reader.json, intermediate_size: width };
    const dimensions = readDimensions(reader.with(shared), { keyValueHeads: "heads", maxPositions: 2048 });
    const { layers, hiddenSize } = dimensions;
    const { rotary, positions } = readRotary(reader, dimensions, { theta: 1e4 });
    reader.oneOf("hidden_act", ["silu"], "silu");
    const experts = reader.raw("num_local_experts");
    if (experts !== 0) reader.fail("num_local_experts", "0 is needed: mixtures of experts are not supported");
    reader.unread("num_experts_per_tok", "output_router_logits", "router_aux_loss_coef", ...WITHOUT_MAMBA);
    const key = reader.raw("layer_types") == null ? "layers_block_type" : "layer_types";
    const kinds = reader.raw(key);
    const attends = (kind: unknown) => kind === "attention" || kind === "full_attention";
    if (!Array.isArray(kinds) || kinds.length < layers || !kinds.every(attends)) {
      reader.fail(key, `a list of ${layers} times attention is needed: Mamba layers are not supported`);
    }
    const turns = reader.raw("position_embedding_type");
    if (turns != null && turns !== "rope" && turns !== "nope") {
      reader.fail("position_embedding_type", "rope, nope or null is needed");
    }
    reader.only({ normalization_function: "rmsnorm" }, "the class has no other norm");
    reader.unread("init_method");
    const bias = reader.flag("attention_bias", false);
    const options = {
      biases: { queryKeyValue: bias, output: bias, mlp: false },
      rotary: turns === "rope" ? rotary : null,
      scale: reader.positive("attention_multiplier", 1),
    };
    return {
      ...plainDecoder,
      ...positions,
      family: this.modelType,
      vocabSize: reader.count("vocab_size", "size"),
      hiddenSize,
      norm: { kind: "rms", epsilon: reader.positive("rms_norm_eps", 1e-6) },
      tiedEmbeddings: reader.flag("tie_word_embeddings", false),
      ...readFactors(reader),
      layers: Array.from({ length: layers }, (_, n) => {
        const at = (part: string) => `model.layers.${n}.${part}`;
        return {
          mixer: llamaAttention(at, dimensions, options),
          mlp: {
            kind: "gated-joined",
            activation: "silu",
            gateUp: linear(
              at("shared_mlp.input_linear"),
              [2 * width, hiddenSize],
              "2 * shared_intermediate_size, hidden_size",
            ),
            down: linear(
              at("shared_mlp.output_linear"),
              [hiddenSize, width],
              "hidden_size, shared_intermediate_size",
            ),
          },
          norms: residualNorms(at, "input"),
          parallel: false,
        };
      }),
    };
  },
};
