/** Qwen3.5, dense: gated delta nets with gated attention between them. */
import type { DeltaNetConfig, LayerConfig } from "../interfaces.ts";
import { type Dimensions, readDimensions, readLayerTypes, readRotary } from "./dimensions.ts";
import type { ModelFamily } from "./family.ts";
import { gatedMlp, linear, llamaAttention, plainDecoder, residualNorms } from "./layers.ts";
import type { ConfigReader } from "./reader.ts";

const KINDS = ["linear_attention", "full_attention"] as const;

/** `layer_types`, else attention in every n-th layer. */
function readKinds(reader: ConfigReader, layers: number): (typeof KINDS)[number][] {
  const declared = readLayerTypes(reader, layers, KINDS);
  const interval = reader.count("full_attention_interval", "layers", 4);
  const kinds = Array.from({ length: layers }, (_, n) => KINDS[(n + 1) % interval === 0 ? 1 : 0]!);
  return declared ?? kinds;
}

/** The delta net of every layer that has one, by its layer's names. */
function readDeltaNet(
  reader: ConfigReader,
  { hiddenSize }: Dimensions,
): (at: (part: string) => string) => DeltaNetConfig {
  const keyHeads = reader.count("linear_num_key_heads", "heads", 16);
  const valueHeads = reader.count("linear_num_value_heads", "heads", 32);
  if (valueHeads % keyHeads !== 0) {
    reader.refuse(
      `linear_num_value_heads = ${valueHeads} is not a multiple of linear_num_key_heads = ${keyHeads}`,
    );
  }
  const keyDim = reader.count("linear_key_head_dim", "headDim", 128);
  const valueDim = reader.count("linear_value_head_dim", "headDim", 128);
  const kernel = reader.count("linear_conv_kernel_dim", "headDim", 4);
  const values = valueHeads * valueDim;
  const channels = 2 * keyHeads * keyDim + values;
  const fromValues = "linear_num_value_heads * linear_value_head_dim";
  const fromChannels = `2 * linear_num_key_heads * linear_key_head_dim + ${fromValues}`;
  return (at) => {
    const own = (part: string) => at(`linear_attn.${part}`);
    const into = (part: string, outputs: number, from: string) =>
      linear(own(part), [outputs, hiddenSize], `${from}, hidden_size`);
    return {
      kind: "delta-net",
      keyHeads,
      valueHeads,
      keyDim,
      valueDim,
      input: into("in_proj_qkv", channels, fromChannels),
      conv: {
        module: own("conv1d"),
        channels,
        kernel,
        bias: false,
        from: `${fromChannels}, linear_conv_kernel_dim`,
      },
      gate: into("in_proj_z", values, fromValues),
      strength: into("in_proj_b", valueHeads, "linear_num_value_heads"),
      decay: into("in_proj_a", valueHeads, "linear_num_value_heads"),
      rate: own("A_log"),
      rateBias: own("dt_bias"),
      norm: own("norm"),
      output: linear(own("out_proj"), [hiddenSize, values], `hidden_size, ${fromValues}`),
    };
  };
}

export const qwen35: ModelFamily = {
  modelType: "qwen3_5_text",
  architecture: "Qwen3_5ForCausalLM",
  models: "Qwen3.5 (dense), without its pictures",
  own: "gated delta nets in three of four layers, with a memory of one size instead of keys and values; a gate on what attention gives; heads turned in part; norms times 1 + w",
  read(reader) {
    const dimensions = readDimensions(reader, {
      keyValueHeads: { absent: 4, nullable: false },
      headDim: 256,
      maxPositions: 32768,
    });
    const { hiddenSize, layers } = dimensions;
    const { rotary, positions } = readRotary(reader, dimensions, { theta: 1e4, share: 0.25 });
    reader.oneOf("hidden_act", ["silu"], "silu");
    reader.only({ attn_output_gate: true }, "attention of qwen3_5_text is gated");
    // of the part that predicts further tokens, which nothing here reads, and of kernels
    reader.unread("mtp_num_hidden_layers", "mtp_use_dedicated_embeddings", "mamba_ssm_dtype");
    const bias = reader.flag("attention_bias", false);
    const biases = { queryKeyValue: bias, output: bias, mlp: false };
    const kinds = readKinds(reader, layers);
    const deltaNet = readDeltaNet(reader, dimensions);
    return {
      ...plainDecoder,
      ...positions,
      family: this.modelType,
      vocabSize: reader.count("vocab_size", "size", 248320),
      hiddenSize,
      norm: { kind: "rms-one-plus", epsilon: reader.positive("rms_norm_eps", 1e-6) },
      tiedEmbeddings: reader.flag("tie_word_embeddings", false),
      layers: kinds.map((kind, n): LayerConfig => {
        const at = (part: string) => `model.layers.${n}.${part}`;
        return {
          mixer:
            kind === "linear_attention"
              ? deltaNet(at)
              : llamaAttention(at, dimensions, { rotary, biases, queryKeyNorm: "head", gated: true }),
          mlp: gatedMlp(at, dimensions, "silu"),
          norms: residualNorms(at, "input"),
          parallel: false,
        };
      }),
    };
  },
};
