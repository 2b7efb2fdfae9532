/** SmolLM3: Llama with layers that know no positions. */
import { readDimensions, readLayerTypes, readRotary, readWindow, windowsOf } from "./dimensions.ts";
import type { ModelFamily } from "./family.ts";
import { llamaLayer, plainDecoder } from "./layers.ts";
import type { ConfigReader } from "./reader.ts";

/** `no_rope_layers` reads the wrong way round: 1 means that the layer uses RoPE. */
function turnedLayers(reader: ConfigReader, layers: number): boolean[] {
  const listed = reader.raw("no_rope_layers");
  const interval = reader.raw("no_rope_layer_interval") ?? 4;
  if (listed == null) {
    if (!Number.isInteger(interval) || (interval as number) < 1) {
      return reader.fail("no_rope_layer_interval", "a positive integer is needed");
    }
    return Array.from({ length: layers }, (_, n) => (n + 1) % (interval as number) !== 0);
  }
  const fits =
    Array.isArray(listed) && listed.length >= layers && listed.every((value) => value === 0 || value === 1);
  if (!fits) return reader.fail("no_rope_layers", `a list of ${layers} times 0 or 1 is needed`);
  return (listed as number[]).slice(0, layers).map((value) => value === 1);
}

export const smollm3: ModelFamily = {
  modelType: "smollm3",
  architecture: "SmolLM3ForCausalLM",
  models: "SmolLM3",
  own: "layers without RoPE",
  read(reader) {
    const dimensions = readDimensions(reader, {
      keyValueHeads: { absent: 4, nullable: true },
      maxPositions: 32768,
    });
    const { rotary, positions } = readRotary(reader, dimensions, { theta: 2e6 });
    reader.oneOf("hidden_act", ["silu"], "silu");
    reader.unread("max_window_layers");
    const attention = reader.flag("attention_bias", false);
    const biases = { queryKeyValue: attention, output: attention, mlp: reader.flag("mlp_bias", false) };
    const turned = turnedLayers(reader, dimensions.layers);
    const kinds = readLayerTypes(reader, dimensions.layers, ["full_attention", "sliding_attention"]);
    const window = readWindow(reader, null);
    const windowed = reader.flag("use_sliding_window", false);
    const still = turned.map((turns) => (turns ? "full_attention" : "sliding_attention"));
    const windows = windowsOf(kinds ?? still, windowed ? window : null);
    return {
      ...plainDecoder,
      family: this.modelType,
      vocabSize: reader.count("vocab_size", "size"),
      hiddenSize: dimensions.hiddenSize,
      norm: { kind: "rms", epsilon: reader.positive("rms_norm_eps", 1e-6) },
      tiedEmbeddings: reader.flag("tie_word_embeddings", true),
      ...positions,
      layers: windows.map((window, n) =>
        llamaLayer(n, dimensions, { biases, rotary: turned[n] ? rotary : null, window }),
      ),
    };
  },
};
