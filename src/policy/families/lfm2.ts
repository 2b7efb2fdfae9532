/** LFM2 and LFM2.5: short convolutions with attention between them. */
import type { LayerConfig } from "../interfaces.ts";
import { readHeadDim, readLayerTypes, readRotary } from "./dimensions.ts";
import type { ModelFamily } from "./family.ts";
import { linear, llamaAttention, plainDecoder } from "./layers.ts";
import type { ConfigReader } from "./reader.ts";

/** Width of the MLP: what `block_auto_adjust_ff_dim` makes of the number in the file. */
function readWidth(reader: ConfigReader): number {
  const own = reader.raw("block_ff_dim");
  const given = reader.count("intermediate_size", "size", 12288);
  const size = own == null ? given : reader.count("block_ff_dim", "size");
  const step = reader.count("block_multiple_of", "size", 256);
  const factor = reader.positiveOrNone("block_ffn_dim_multiplier", 1);
  if (!reader.flag("block_auto_adjust_ff_dim", true)) return size;
  const shrunk = Math.trunc((2 * size) / 3);
  return factor === null ? shrunk : step * Math.ceil(Math.trunc(factor * shrunk) / step);
}

function readKinds(reader: ConfigReader, layers: number): ("full_attention" | "conv")[] {
  const declared = readLayerTypes(reader, layers, ["full_attention", "conv"]);
  const attending = reader.raw("full_attn_idxs") ?? Array.from({ length: layers }, (_, n) => n);
  if (!Array.isArray(attending) || attending.some((n) => !Number.isInteger(n))) {
    reader.fail("full_attn_idxs", "null or a list of layers is needed");
  }
  const listed = attending as number[];
  return (
    declared ?? Array.from({ length: layers }, (_, n) => (listed.includes(n) ? "full_attention" : "conv"))
  );
}

export const lfm2: ModelFamily = {
  modelType: "lfm2",
  architecture: "Lfm2ForCausalLM",
  models: "LFM2, LFM2.5 (dense)",
  own: "short convolutions between two gates in most layers, with a state instead of keys and values; norms of query and key",
  read(reader) {
    const hiddenSize = reader.count("hidden_size", "width", 2560);
    const layerCount = reader.count("num_hidden_layers", "layers", 32);
    const heads = reader.count("num_attention_heads", "heads", 32);
    const keyValueHeads = reader.count("num_key_value_heads", "heads", 8);
    if (heads % keyValueHeads !== 0) {
      reader.refuse(
        `num_attention_heads = ${heads} is not a multiple of num_key_value_heads = ${keyValueHeads}`,
      );
    }
    const headDim = readHeadDim(reader, hiddenSize, heads);
    const maxPositions = reader.count("max_position_embeddings", "positions", 128000);
    const { rotary, positions } = readRotary(reader, { headDim, maxPositions }, { theta: 1e6 });
    const width = readWidth(reader);
    const kernel = reader.count("conv_L_cache", "headDim", 3);
    const bias = reader.flag("conv_bias", false);
    const kinds = readKinds(reader, layerCount);
    // what initialises weights, and names of the numbers above
    reader.unread("block_dim", "block_mlp_init_scale", "block_norm_eps", "block_out_init_scale");
    reader.unread("block_use_swiglu", "block_use_xavier_init", "conv_dim", "conv_dim_out");
    reader.unread("conv_use_xavier_init", "num_heads", "use_pos_enc", "theta");
    const tied = reader.flag("tie_word_embeddings", true);
    const dimensions = {
      hiddenSize,
      intermediateSize: width,
      layers: layerCount,
      heads,
      keyValueHeads,
      headDim,
      maxPositions,
    };
    return {
      ...plainDecoder,
      ...positions,
      family: this.modelType,
      vocabSize: reader.count("vocab_size", "size", 65536),
      hiddenSize,
      norm: { kind: "rms", epsilon: reader.positive("norm_eps", 1e-5) },
      names: { ...plainDecoder.names, finalNorm: "model.embedding_norm" },
      tiedEmbeddings: reader.flag("tie_embedding", tied),
      layers: kinds.map((kind, n): LayerConfig => {
        const at = (part: string) => `model.layers.${n}.${part}`;
        const square = [hiddenSize, hiddenSize] as const;
        const wide = [width, hiddenSize] as const;
        const from = "intermediate_size, hidden_size";
        const attention = llamaAttention(at, dimensions, { rotary });
        return {
          mixer:
            kind === "full_attention"
              ? {
                  ...attention,
                  output: { ...attention.output, module: at("self_attn.out_proj") },
                  queryKeyNorm: {
                    query: at("self_attn.q_layernorm"),
                    key: at("self_attn.k_layernorm"),
                    over: "head",
                  },
                }
              : {
                  kind: "short-conv",
                  input: linear(
                    at("conv.in_proj"),
                    [3 * hiddenSize, hiddenSize],
                    "3 * hidden_size, hidden_size",
                    bias,
                  ),
                  conv: {
                    module: at("conv.conv"),
                    channels: hiddenSize,
                    kernel,
                    bias,
                    from: "hidden_size, conv_L_cache",
                  },
                  output: linear(at("conv.out_proj"), square, "hidden_size, hidden_size", bias),
                },
          mlp: {
            kind: "gated",
            activation: "silu",
            gate: linear(at("feed_forward.w1"), wide, from),
            up: linear(at("feed_forward.w3"), wide, from),
            down: linear(at("feed_forward.w2"), [hiddenSize, width], "hidden_size, intermediate_size"),
          },
          norms: {
            mixerInput: at("operator_norm"),
            mixerOutput: null,
            mlpInput: at("ffn_norm"),
            mlpOutput: null,
          },
          parallel: false,
        };
      }),
    };
  },
};
