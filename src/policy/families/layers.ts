/** Layers in the names that Llama began with and most families keep. */
import type {
  Activation,
  AttentionConfig,
  DecoderConfig,
  LayerConfig,
  LinearConfig,
  MlpConfig,
  RotaryConfig,
} from "../interfaces.ts";
import type { Dimensions } from "./dimensions.ts";

export function linear(
  module: string,
  [outputs, inputs]: readonly [number, number],
  from: string,
  bias = false,
): LinearConfig {
  return { module, outputs, inputs, from, bias };
}

/** `input` before mixer and MLP; `output` after them, before the residual; `both`. */
export type NormPlacement = "input" | "output" | "both";

export interface LlamaLayerOptions {
  norms?: NormPlacement;
  /** Biases of query, key and value; of the attention's output; of the MLP. Default: none. */
  biases?: { queryKeyValue: boolean; output: boolean; mlp: boolean };
  queryKeyNorm?: "head" | "projection" | null;
  /** The query's module also gives a gate on what is attended. */
  gated?: boolean;
  rotary: RotaryConfig | null;
  window?: number | null;
  /** Of q k^T; default 1 / sqrt(D). */
  scale?: number;
  softcap?: number | null;
  activation?: Activation;
}

/** Layer n of `model.layers`. */
export function llamaLayer(n: number, dimensions: Dimensions, options: LlamaLayerOptions): LayerConfig {
  const at = (part: string) => `model.layers.${n}.${part}`;
  return {
    mixer: llamaAttention(at, dimensions, options),
    mlp: gatedMlp(at, dimensions, options.activation ?? "silu", options.biases?.mlp ?? false),
    norms: residualNorms(at, options.norms ?? "input"),
    parallel: false,
  };
}

export function llamaAttention(
  at: (part: string) => string,
  { hiddenSize, heads, keyValueHeads, headDim }: Dimensions,
  options: LlamaLayerOptions,
): AttentionConfig {
  const biases = options.biases ?? { queryKeyValue: false, output: false };
  const gated = options.gated ?? false;
  const queries = [(gated ? 2 : 1) * heads * headDim, hiddenSize] as const;
  const keys = [keyValueHeads * headDim, hiddenSize] as const;
  const fromHeads = "num_attention_heads * head_dim";
  const fromKeys = "num_key_value_heads * head_dim, hidden_size";
  const own = (part: string) => at(`self_attn.${part}`);
  const bias = biases.queryKeyValue;
  return {
    kind: "attention",
    heads,
    keyValueHeads,
    headDim,
    projections: {
      kind: "apart",
      query: linear(own("q_proj"), queries, `${gated ? "2 * " : ""}${fromHeads}, hidden_size`, bias),
      key: linear(own("k_proj"), keys, fromKeys, bias),
      value: linear(own("v_proj"), keys, fromKeys, bias),
      gated,
    },
    output: linear(own("o_proj"), [hiddenSize, heads * headDim], `hidden_size, ${fromHeads}`, biases.output),
    queryKeyNorm: options.queryKeyNorm
      ? { query: own("q_norm"), key: own("k_norm"), over: options.queryKeyNorm }
      : null,
    rotary: options.rotary,
    scale: options.scale ?? headDim ** -0.5,
    softcap: options.softcap ?? null,
    window: options.window ?? null,
  };
}

export function gatedMlp(
  at: (part: string) => string,
  { hiddenSize, intermediateSize }: Dimensions,
  activation: Activation,
  bias = false,
): MlpConfig {
  const wide = [intermediateSize, hiddenSize] as const;
  const from = "intermediate_size, hidden_size";
  return {
    kind: "gated",
    activation,
    gate: linear(at("mlp.gate_proj"), wide, from, bias),
    up: linear(at("mlp.up_proj"), wide, from, bias),
    down: linear(at("mlp.down_proj"), [hiddenSize, intermediateSize], "hidden_size, intermediate_size", bias),
  };
}

export function residualNorms(at: (part: string) => string, placement: NormPlacement): LayerConfig["norms"] {
  switch (placement) {
    case "input":
      return {
        mixerInput: at("input_layernorm"),
        mixerOutput: null,
        mlpInput: at("post_attention_layernorm"),
        mlpOutput: null,
      };
    case "output":
      return {
        mixerInput: null,
        mixerOutput: at("post_attention_layernorm"),
        mlpInput: null,
        mlpOutput: at("post_feedforward_layernorm"),
      };
    case "both":
      return {
        mixerInput: at("input_layernorm"),
        mixerOutput: at("post_attention_layernorm"),
        mlpInput: at("pre_feedforward_layernorm"),
        mlpOutput: at("post_feedforward_layernorm"),
      };
  }
}

/** The plain parts of a decoder: Llama's names, no factors, no caps. */
export const plainDecoder = {
  vision: null,
  names: {
    embedding: "model.embed_tokens",
    positions: null,
    finalNorm: "model.norm",
    head: "lm_head",
  },
  layerPrefix: "model.layers.",
  matrices: "out-in",
  embeddingScale: 1,
  residualScale: 1,
  logitScale: 1,
  logitSoftcap: null,
  learnedPositions: 0,
} as const satisfies Partial<DecoderConfig>;
