/** Gemma 2 and Gemma 3 text: norms on both sides of mixer and MLP, times 1 + w; GeGLU; scaled embeddings; windows. */
import {
  readDimensions,
  readLayerTypes,
  readRotary,
  readRotaryByKind,
  readWindow,
  windowsOf,
} from "./dimensions.ts";
import type { ModelFamily } from "./family.ts";
import { llamaLayer, plainDecoder } from "./layers.ts";
import type { ConfigReader } from "./reader.ts";

const KINDS = ["full_attention", "sliding_attention"] as const;

/** Every n-th layer sees all keys. */
function everyNth(layers: number, n: number): (typeof KINDS)[number][] {
  return Array.from({ length: layers }, (_, i) =>
    (i + 1) % n === 0 ? "full_attention" : "sliding_attention",
  );
}

/** What both share but for the attention. */
function readShared(reader: ConfigReader, hiddenSize: number) {
  reader.oneOf("hidden_activation", ["gelu_pytorch_tanh"], "gelu_pytorch_tanh");
  reader.unread("hidden_act");
  if (reader.flag("use_bidirectional_attention", false)) {
    reader.fail("use_bidirectional_attention", "tokens that see later ones are not supported");
  }
  const bias = reader.flag("attention_bias", false);
  return {
    layer: {
      norms: "both",
      activation: "gelu-tanh",
      biases: { queryKeyValue: bias, output: bias, mlp: false },
      scale: reader.positive("query_pre_attn_scalar", 256) ** -0.5,
    } as const,
    decoder: {
      ...plainDecoder,
      vocabSize: reader.count("vocab_size", "size"),
      hiddenSize,
      norm: { kind: "rms-one-plus", epsilon: reader.positive("rms_norm_eps", 1e-6) },
      tiedEmbeddings: reader.flag("tie_word_embeddings", true),
      embeddingScale: Math.sqrt(hiddenSize),
    } as const,
  };
}

export const gemma2: ModelFamily = {
  modelType: "gemma2",
  architecture: "Gemma2ForCausalLM",
  models: "Gemma 2",
  own: "norms before and after, times 1 + w; GeGLU; scaled embeddings; tanh caps on scores and logits; every second layer with a window",
  read(reader) {
    const dimensions = readDimensions(reader, {
      keyValueHeads: { absent: 4, nullable: false },
      headDim: 256,
      maxPositions: 8192,
    });
    const { layers, hiddenSize } = dimensions;
    const { rotary, positions } = readRotary(reader, dimensions, { theta: 1e4 });
    const { layer, decoder } = readShared(reader, hiddenSize);
    const softcap = reader.positiveOrNone("attn_logit_softcapping", 50);
    const kinds = readLayerTypes(reader, layers, KINDS) ?? everyNth(layers, 2);
    return {
      ...decoder,
      ...positions,
      family: this.modelType,
      logitSoftcap: reader.positiveOrNone("final_logit_softcapping", 30),
      layers: windowsOf(kinds, readWindow(reader, 4096)).map((window, n) =>
        llamaLayer(n, dimensions, { ...layer, rotary, softcap, window }),
      ),
    };
  },
};

export const gemma3: ModelFamily = {
  modelType: "gemma3_text",
  architecture: "Gemma3ForCausalLM",
  models: "Gemma 3 (270M, 1B: those that read text alone)",
  own: "as Gemma 2 without caps on scores; norms of query and key; five layers with a window to one without, each kind with a rotary table of its own",
  read(reader) {
    const dimensions = readDimensions(reader, {
      keyValueHeads: { absent: 4, nullable: false },
      headDim: 256,
      maxPositions: 131072,
    });
    const { layers, hiddenSize } = dimensions;
    const { full, sliding, positions } = readRotaryByKind(reader, dimensions, {
      full: { theta: 1e6 },
      sliding: { theta: 1e4, thetaKey: "rope_local_base_freq" },
    });
    const { layer, decoder } = readShared(reader, hiddenSize);
    if (reader.raw("attn_logit_softcapping") != null) {
      reader.fail("attn_logit_softcapping", "null is needed: gemma3_text has no cap on scores");
    }
    const pattern = reader.raw("sliding_window_pattern") ?? 6;
    if (!Number.isInteger(pattern) || (pattern as number) < 1) {
      reader.fail("sliding_window_pattern", "a positive integer is needed");
    }
    const kinds = readLayerTypes(reader, layers, KINDS) ?? everyNth(layers, pattern as number);
    const windows = windowsOf(kinds, readWindow(reader, 4096));
    return {
      ...decoder,
      ...positions,
      family: this.modelType,
      logitSoftcap: reader.positiveOrNone("final_logit_softcapping", null),
      layers: kinds.map((kind, n) =>
        llamaLayer(n, dimensions, {
          ...layer,
          queryKeyNorm: "head",
          rotary: kind === "sliding_attention" ? sliding : full,
          window: windows[n]!,
        }),
      ),
    };
  },
};
