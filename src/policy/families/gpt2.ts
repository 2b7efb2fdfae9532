/** GPT-2: learned positions, LayerNorm, matrices [in, out] in the files. */
import type { Activation } from "../interfaces.ts";
import type { ModelFamily } from "./family.ts";
import { linear } from "./layers.ts";
import type { ConfigReader } from "./reader.ts";

const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  gelu_new: "gelu-tanh",
  gelu_pytorch_tanh: "gelu-tanh",
  gelu: "gelu",
};

/** The activation of an MLP without a gate. */
export function readGelu(reader: ConfigReader, key: string, fallback: string): Activation {
  return ACTIVATIONS[reader.oneOf(key, Object.keys(ACTIVATIONS), fallback)]!;
}

export const gpt2: ModelFamily = {
  modelType: "gpt2",
  architecture: "GPT2LMHeadModel",
  models: "GPT-2, DistilGPT2",
  own: "learned positions; LayerNorm with a bias; biases everywhere; query, key and value in one matrix; GELU by tanh",
  read(reader) {
    const hiddenSize = reader.count("n_embd", "width", 768);
    const heads = reader.count("n_head", "heads", 12);
    const headDim = hiddenSize / heads;
    if (!Number.isInteger(headDim)) {
      reader.refuse(`n_embd = ${hiddenSize} is not a multiple of n_head = ${heads}`);
    }
    const inner = reader.raw("n_inner") == null ? 4 * hiddenSize : reader.count("n_inner", "size");
    const positions = reader.count("n_positions", "positions", 1024);
    const activation = readGelu(reader, "activation_function", "gelu_new");
    const scaled = reader.flag("scale_attn_weights", true);
    const byLayer = reader.flag("scale_attn_by_inverse_layer_idx", false);
    if (reader.flag("add_cross_attention", false)) {
      reader.fail("add_cross_attention", "attention to an encoder is not supported");
    }
    // the order in which float32 scores are computed; and heads of other classes
    reader.unread("reorder_and_upcast_attn", "n_ctx", "gradient_checkpointing");
    reader.unread("summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels");
    reader.unread("summary_first_dropout");
    return {
      family: this.modelType,
      vocabSize: reader.count("vocab_size", "size", 50257),
      hiddenSize,
      norm: { kind: "layer", epsilon: reader.positive("layer_norm_epsilon", 1e-5) },
      names: {
        embedding: "transformer.wte",
        positions: "transformer.wpe",
        finalNorm: "transformer.ln_f",
        head: "lm_head",
      },
      layerPrefix: "transformer.h.",
      matrices: "in-out",
      tiedEmbeddings: reader.flag("tie_word_embeddings", true),
      embeddingScale: 1,
      residualScale: 1,
      vision: null,
      logitScale: 1,
      logitSoftcap: null,
      maxPositions: positions,
      positionsKey: "n_positions",
      learnedPositions: positions,
      layers: Array.from({ length: reader.count("n_layer", "layers", 12) }, (_, n) => {
        const at = (part: string) => `transformer.h.${n}.${part}`;
        return {
          mixer: {
            kind: "attention",
            heads,
            keyValueHeads: heads,
            headDim,
            projections: {
              kind: "joined",
              all: linear(at("attn.c_attn"), [3 * hiddenSize, hiddenSize], "3 * n_embd, n_embd", true),
            },
            output: linear(at("attn.c_proj"), [hiddenSize, hiddenSize], "n_embd, n_embd", true),
            queryKeyNorm: null,
            rotary: null,
            scale: (scaled ? headDim ** -0.5 : 1) / (byLayer ? n + 1 : 1),
            softcap: null,
            window: null,
          },
          mlp: {
            kind: "plain",
            activation,
            up: linear(at("mlp.c_fc"), [inner, hiddenSize], "n_inner, n_embd", true),
            down: linear(at("mlp.c_proj"), [hiddenSize, inner], "n_embd, n_inner", true),
          },
          norms: { mixerInput: at("ln_1"), mixerOutput: null, mlpInput: at("ln_2"), mlpOutput: null },
          parallel: false,
        };
      }),
    };
  },
};
