/** OLMo 2 and 3: norms after mixer and MLP, and over all queries and all keys of a token. */
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

function readShared(reader: ConfigReader, hiddenSize: number) {
  reader.oneOf("hidden_act", ["silu"], "silu");
  const bias = reader.flag("attention_bias", false);
  return {
    layer: {
      norms: "output",
      queryKeyNorm: "projection",
      biases: { queryKeyValue: bias, output: bias, mlp: false },
    } as const,
    decoder: {
      ...plainDecoder,
      vocabSize: reader.count("vocab_size", "size"),
      hiddenSize,
      norm: { kind: "rms", epsilon: reader.positive("rms_norm_eps", 1e-5) },
      tiedEmbeddings: reader.flag("tie_word_embeddings", false),
    } as const,
  };
}

export const olmo2: ModelFamily = {
  modelType: "olmo2",
  architecture: "Olmo2ForCausalLM",
  models: "OLMo 2",
  own: "norms after mixer and MLP instead of before; norms over all queries and all keys of a token",
  read(reader) {
    const dimensions = readDimensions(reader, { keyValueHeads: "heads", maxPositions: 2048 });
    const { rotary, positions } = readRotary(reader, dimensions, { theta: 1e4 });
    const { layer, decoder } = readShared(reader, dimensions.hiddenSize);
    return {
      ...decoder,
      ...positions,
      family: this.modelType,
      layers: Array.from({ length: dimensions.layers }, (_, n) =>
        llamaLayer(n, dimensions, { ...layer, rotary }),
      ),
    };
  },
};

const THETA = 5e5;

export const olmo3: ModelFamily = {
  modelType: "olmo3",
  architecture: "Olmo3ForCausalLM",
  models: "OLMo 3",
  own: "as OLMo 2, with a window in three of four layers, and RoPE scaled in the others alone",
  read(reader) {
    const dimensions = readDimensions(reader, { keyValueHeads: "heads", maxPositions: 2048 });
    const { layers } = dimensions;
    const theta = reader.raw("rope_theta") ?? THETA;
    if (theta !== THETA) {
      reader.fail(
        "rope_theta",
        `versions of transformers disagree which layers that is for; say it in rope_parameters, by kind of layer`,
      );
    }
    const { full, sliding, positions } = readRotaryByKind(reader, dimensions, {
      full: { theta: THETA },
      sliding: { theta: THETA },
    });
    const { layer, decoder } = readShared(reader, dimensions.hiddenSize);
    const kinds =
      readLayerTypes(reader, layers, ["full_attention", "sliding_attention"]) ??
      Array.from({ length: layers }, (_, n) => ((n + 1) % 4 === 0 ? "full_attention" : "sliding_attention"));
    const windows = windowsOf(kinds, readWindow(reader, 4096));
    return {
      ...decoder,
      ...positions,
      family: this.modelType,
      layers: kinds.map((kind, n) =>
        llamaLayer(n, dimensions, {
          ...layer,
          rotary: kind === "sliding_attention" ? sliding : full,
          window: windows[n]!,
        }),
      ),
    };
  },
};
