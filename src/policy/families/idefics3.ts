/** Idefics3 and SmolVLM: a SigLIP tower, a pixel shuffle with one product, and Llama's decoder. */
import type { DecoderConfig, VisionConfig } from "../interfaces.ts";
import type { ModelFamily } from "./family.ts";
import { linear } from "./layers.ts";
import { llama } from "./llama.ts";
import { ConfigReader, type Json } from "./reader.ts";
import { renamed } from "./renamed.ts";

const own = "a tower of full attention with learned positions; scale_factor^2 patches become one image token";

export const idefics3: ModelFamily = {
  modelType: "idefics3",
  architecture: "Idefics3ForConditionalGeneration",
  models: "SmolVLM (256M, 500M, 2.2B), Idefics3, the laboratory's models that see pictures",
  own,
  read: (reader) => readModel(reader),
};

/** The same network, for pictures, in a class of its own. */
export const smolvlm: ModelFamily = {
  modelType: "smolvlm",
  architecture: "SmolVLMForConditionalGeneration",
  models: "SmolVLM2 (256M, 500M, 2.2B)",
  own,
  read: (reader) => readModel(reader),
};

function readModel(reader: ConfigReader): DecoderConfig {
  const text = part(reader, "text_config");
  const textReader = new ConfigReader(text, `${reader.file}: text_config`, "llama");
  if ((text["model_type"] ?? "llama") !== "llama") textReader.fail("model_type", 'only "llama" is supported');
  // what the class of the published files read, and transformers' does not
  textReader.unread("perceiver_config", "pixel_shuffle_factor", "neftune_noise_alpha");
  const decoder = llama.read(textReader);
  textReader.finish();
  const tied = reader.flag("tie_word_embeddings", false);
  if (text["tie_word_embeddings"] !== undefined && text["tie_word_embeddings"] !== tied) {
    reader.fail("tie_word_embeddings", "text_config says otherwise: say the same in both");
  }
  reader.unread("vocab_size", "image_seq_len", "use_reentrant_checkpointing");
  return {
    ...renamed(decoder, "model.", "model.text_model."),
    family: reader.family,
    tiedEmbeddings: tied,
    vision: readTower(reader, decoder),
  };
}

function part(reader: ConfigReader, key: string): Json {
  const found = reader.raw(key);
  if (typeof found !== "object" || found === null || Array.isArray(found)) {
    return reader.fail(key, "an object is needed");
  }
  return found as Json;
}

function readTower(whole: ConfigReader, { hiddenSize: width, vocabSize }: DecoderConfig): VisionConfig {
  const reader = new ConfigReader(
    part(whole, "vision_config"),
    `${whole.file}: vision_config`,
    `${whole.family}_vision`,
  );
  const hiddenSize = reader.count("hidden_size", "width", 1152);
  const inner = reader.count("intermediate_size", "size", 3072);
  const layers = reader.count("num_hidden_layers", "layers", 12);
  const heads = reader.count("num_attention_heads", "heads", 16);
  if (hiddenSize % heads !== 0) {
    reader.refuse(`hidden_size = ${hiddenSize} is not a multiple of num_attention_heads = ${heads}`);
  }
  const channels = reader.count("num_channels", "width", 3);
  if (channels !== 3) reader.fail("num_channels", "pictures have 3");
  const size = reader.count("image_size", "width", 224);
  const patch = reader.count("patch_size", "width", 32);
  const scale = whole.count("scale_factor", "width", 2);
  const side = Math.floor(size / patch);
  if (size % patch !== 0 || side % scale !== 0) {
    reader.refuse(
      `image_size = ${size} and patch_size = ${patch} give ${size / patch} patches a side, which scale_factor = ${scale} does not divide`,
    );
  }
  reader.oneOf("hidden_act", ["gelu_pytorch_tanh"], "gelu_pytorch_tanh");
  const epsilon = reader.positive("layer_norm_eps", 1e-6);
  // what the processor's files say again
  reader.unread("max_image_size", "size", "use_base_siglip", "tie_word_embeddings");
  reader.finish();
  const imageTokenId = whole.json["image_token_id"] ?? 128257;
  if (!Number.isInteger(imageTokenId) || Number(imageTokenId) < 0 || Number(imageTokenId) >= vocabSize) {
    whole.fail("image_token_id", `an id of the vocabulary, below ${vocabSize}, is needed`);
  }
  const at = (name: string) => `model.vision_model.${name}`;
  const square = [hiddenSize, hiddenSize] as const;
  const from = "hidden_size, hidden_size";
  const headDim = hiddenSize / heads;
  return {
    hiddenSize,
    patch: {
      module: at("embeddings.patch_embedding"),
      shape: [hiddenSize, channels, patch, patch],
      bias: true,
      from: "vision_config: hidden_size, num_channels, patch_size, patch_size",
    },
    positions: { kind: "learned", module: at("embeddings.position_embedding"), count: side * side },
    norm: { kind: "layer", epsilon },
    residualScale: 1,
    layers: Array.from({ length: layers }, (_, n) => {
      const own = (name: string) => at(`encoder.layers.${n}.${name}`);
      return {
        mixer: {
          kind: "attention" as const,
          heads,
          keyValueHeads: heads,
          headDim,
          projections: {
            kind: "apart" as const,
            query: linear(own("self_attn.q_proj"), square, from, true),
            key: linear(own("self_attn.k_proj"), square, from, true),
            value: linear(own("self_attn.v_proj"), square, from, true),
            gated: false,
          },
          output: linear(own("self_attn.out_proj"), square, from, true),
          queryKeyNorm: null,
          rotary: null,
          scale: headDim ** -0.5,
          softcap: null,
          window: null,
        },
        mlp: {
          kind: "plain" as const,
          activation: "gelu-tanh" as const,
          up: linear(own("mlp.fc1"), [inner, hiddenSize], "intermediate_size, hidden_size", true),
          down: linear(own("mlp.fc2"), [hiddenSize, inner], "hidden_size, intermediate_size", true),
        },
        norms: {
          mixerInput: own("layer_norm1"),
          mixerOutput: null,
          mlpInput: own("layer_norm2"),
          mlpOutput: null,
        },
        parallel: false,
      };
    }),
    finalNorm: at("post_layernorm"),
    windows: null,
    connector: {
      kind: "shuffle",
      scale,
      prefix: "model.connector.",
      projection: linear(
        "model.connector.modality_projection.proj",
        [width, hiddenSize * scale * scale],
        "text_config.hidden_size, vision_config.hidden_size * scale_factor^2",
      ),
    },
    prefix: at(""),
    layerPrefix: at("encoder.layers."),
    imageTokenId: Number(imageTokenId),
  };
}
