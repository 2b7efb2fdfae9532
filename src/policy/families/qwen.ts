/** Qwen2, Qwen2.5 and dense Qwen3: windows from a layer on, biases or norms of query and key. */
import {
  type Dimensions,
  readDimensions,
  readLayerTypes,
  readRotary,
  readWindow,
  windowsOf,
} from "./dimensions.ts";
import type { ModelFamily } from "./family.ts";
import { llamaLayer, plainDecoder } from "./layers.ts";
import type { ConfigReader } from "./reader.ts";

/** Windows count only with `use_sliding_window`: of the layers that `layer_types` names, else from `max_window_layers` on. */
function readWindows(reader: ConfigReader, { layers }: Dimensions): (number | null)[] {
  const window = readWindow(reader, 4096);
  const kinds = readLayerTypes(reader, layers, ["full_attention", "sliding_attention"]);
  const first = reader.raw("max_window_layers") ?? 28;
  if (!Number.isInteger(first) || (first as number) < 0) {
    reader.fail("max_window_layers", "a number of layers is needed");
  }
  if (!reader.flag("use_sliding_window", false)) return new Array<null>(layers).fill(null);
  const late = Array.from({ length: layers }, (_, n) =>
    n >= (first as number) ? "sliding_attention" : "full_attention",
  );
  return windowsOf(kinds ?? late, window);
}

export const qwen2: ModelFamily = {
  modelType: "qwen2",
  architecture: "Qwen2ForCausalLM",
  models: "Qwen2, Qwen2.5, DeepSeek-R1-Distill-Qwen",
  own: "biases of query, key and value; windows from `max_window_layers` on; YaRN",
  read(reader) {
    const dimensions = readDimensions(reader, {
      keyValueHeads: { absent: 32, nullable: true },
      maxPositions: 32768,
    });
    const { rotary, positions } = readRotary(reader, dimensions, { theta: 1e4 });
    reader.oneOf("hidden_act", ["silu"], "silu");
    reader.unread("attention_bias", "mlp_bias", "use_mrope");
    const biases = { queryKeyValue: true, output: false, mlp: false };
    return {
      ...plainDecoder,
      family: this.modelType,
      vocabSize: reader.count("vocab_size", "size"),
      hiddenSize: dimensions.hiddenSize,
      norm: { kind: "rms", epsilon: reader.positive("rms_norm_eps", 1e-6) },
      tiedEmbeddings: reader.flag("tie_word_embeddings", false),
      ...positions,
      layers: readWindows(reader, dimensions).map((window, n) =>
        llamaLayer(n, dimensions, { biases, rotary, window }),
      ),
    };
  },
};

export const qwen3: ModelFamily = {
  modelType: "qwen3",
  architecture: "Qwen3ForCausalLM",
  models: "Qwen3 (dense)",
  own: "RMS norm of each head's query and key; `head_dim` apart from the hidden size",
  read(reader) {
    const dimensions = readDimensions(reader, {
      keyValueHeads: { absent: 32, nullable: true },
      headDim: 128,
      maxPositions: 32768,
    });
    const { rotary, positions } = readRotary(reader, dimensions, { theta: 1e4 });
    reader.oneOf("hidden_act", ["silu"], "silu");
    reader.unread("mlp_bias");
    const bias = reader.flag("attention_bias", false);
    const biases = { queryKeyValue: bias, output: bias, mlp: false };
    return {
      ...plainDecoder,
      family: this.modelType,
      vocabSize: reader.count("vocab_size", "size"),
      hiddenSize: dimensions.hiddenSize,
      norm: { kind: "rms", epsilon: reader.positive("rms_norm_eps", 1e-6) },
      tiedEmbeddings: reader.flag("tie_word_embeddings", false),
      ...positions,
      layers: readWindows(reader, dimensions).map((window, n) =>
        llamaLayer(n, dimensions, { biases, queryKeyNorm: "head", rotary, window }),
      ),
    };
  },
};
