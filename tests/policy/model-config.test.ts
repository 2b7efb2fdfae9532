import { describe, expect, it } from "vitest";
import { ModelFileError } from "../../src/lib/errors.ts";
import { parameterCount } from "../../src/policy/decoder-weights.ts";
import type { AttentionConfig, DecoderConfig, LayerConfig } from "../../src/policy/interfaces.ts";
import { parseModelConfig } from "../../src/policy/model-config.ts";
import { ropeTables } from "../../src/policy/rope.ts";
import { expectClose } from "../helpers/tensors.ts";

const base = {
  model_type: "llama",
  vocab_size: 97,
  hidden_size: 32,
  intermediate_size: 56,
  num_hidden_layers: 4,
  num_attention_heads: 4,
};
const parse = (keys: Record<string, unknown>) => parseModelConfig({ ...base, ...keys }, "m/config.json");

function attentionOf({ mixer }: LayerConfig): AttentionConfig {
  if (mixer.kind !== "attention") throw new Error("a layer without attention");
  return mixer;
}

/** What the tests below ask of the layers, in few words. */
function summary(config: DecoderConfig) {
  const [first] = config.layers;
  const { keyValueHeads, headDim, projections, output, queryKeyNorm } = attentionOf(first!);
  return {
    family: config.family,
    keyValueHeads,
    headDim,
    epsilon: config.norm.epsilon,
    tied: config.tiedEmbeddings,
    queryKeyValueBias: (projections.kind === "apart" ? projections.query : projections.all).bias,
    outputBias: output.bias,
    mlpBias: first!.mlp.down.bias,
    queryKeyNorm: queryKeyNorm?.over ?? null,
    positions: config.maxPositions,
    turned: config.layers.map((layer) => attentionOf(layer).rotary !== null),
    windows: config.layers.map((layer) => attentionOf(layer).window),
  };
}
const rotaryOf = (config: DecoderConfig, n = 0) => attentionOf(config.layers[n]!).rotary!;

describe("defaults of the model classes", () => {
  it("llama: as many key/value heads as heads, theta 1e4, untied, epsilon 1e-6, no window", () => {
    const config = parse({ sliding_window: 4 });
    expect(summary(config)).toMatchObject({
      family: "llama",
      keyValueHeads: 4,
      headDim: 8,
      epsilon: 1e-6,
      tied: false,
      queryKeyValueBias: false,
      positions: 2048,
      windows: [null, null, null, null],
    });
    expectClose(rotaryOf(config).inverse, [1, 0.1, 0.01, 0.001], { atol: 1e-12 });
    expect(summary(parse({ num_key_value_heads: null })).keyValueHeads).toBe(4);
  });

  it.each([
    [
      "qwen2",
      { num_attention_heads: 32, head_dim: 2 },
      { keyValueHeads: 32, queryKeyValueBias: true, outputBias: false },
    ],
    ["qwen2", { num_key_value_heads: 2, attention_bias: true }, { outputBias: false }],
    ["qwen3", { num_key_value_heads: 2 }, { headDim: 128, queryKeyNorm: "head", queryKeyValueBias: false }],
    ["mistral", { num_attention_heads: 8 }, { keyValueHeads: 8, windows: [4096, 4096, 4096, 4096] }],
    ["mistral", { num_key_value_heads: 2, sliding_window: null }, { windows: [null, null, null, null] }],
    [
      "mistral",
      { num_key_value_heads: 2, attention_bias: true },
      { queryKeyValueBias: false, outputBias: false },
    ],
    ["smollm3", {}, { keyValueHeads: 4, tied: true, turned: [true, true, true, false] }],
    ["smollm3", { no_rope_layer_interval: 2 }, { turned: [true, false, true, false] }],
    ["smollm3", { no_rope_layers: [0, 1, 1, 1] }, { turned: [false, true, true, true] }],
    [
      "llama",
      { attention_bias: true, mlp_bias: true },
      { queryKeyValueBias: true, outputBias: true, mlpBias: true },
    ],
    ["qwen2", { num_key_value_heads: 2, sliding_window: 8 }, { windows: [null, null, null, null] }],
    [
      "qwen2",
      { num_key_value_heads: 2, sliding_window: 8, use_sliding_window: true, max_window_layers: 2 },
      { windows: [null, null, 8, 8] },
    ],
    [
      "qwen3",
      {
        num_key_value_heads: 2,
        sliding_window: 8,
        use_sliding_window: true,
        layer_types: ["sliding_attention", "full_attention", "full_attention", "sliding_attention"],
      },
      { windows: [8, null, null, 8] },
    ],
  ])("%s with %o", (model_type, keys, expected) => {
    expect(summary(parse({ model_type, ...keys }))).toMatchObject(expected);
  });

  it("reads the family from architectures when model_type is absent", () => {
    const keys = { model_type: undefined, architectures: ["Qwen3ForCausalLM"], num_key_value_heads: 2 };
    expect(parse(keys).family).toBe("qwen3");
  });
});

describe("rotary frequencies", () => {
  it("precedence: rope_scaling replaces rope_parameters whole, theta included; then rope_theta; then the class", () => {
    const theta = (keys: Record<string, unknown>) => rotaryOf(parse(keys)).inverse[1]! ** -4;
    const parameters = { rope_type: "default", rope_theta: 16 };
    expect(theta({ rope_parameters: parameters, rope_theta: 81 })).toBeCloseTo(16, 8);
    expect(
      theta({ rope_parameters: parameters, rope_theta: 81, rope_scaling: { type: "default" } }),
    ).toBeCloseTo(81, 8);
    expect(theta({ rope_parameters: parameters, rope_scaling: { rope_type: "default" } })).toBeCloseTo(
      1e4,
      4,
    );
    expect(theta({ model_type: "smollm3" })).toBeCloseTo(2e6, 2);
    const nested = { full_attention: parameters, sliding_attention: parameters };
    expect(theta({ rope_parameters: nested })).toBeCloseTo(16, 8);
  });

  const frequencies = (headDim: number, keys: Record<string, unknown>) =>
    parse({ num_attention_heads: 2, head_dim: headDim, ...keys });

  it("llama3 scaling of Llama-3.2", () => {
    const rope_scaling = {
      rope_type: "llama3",
      factor: 32,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    };
    const scaled = rotaryOf(frequencies(64, { rope_theta: 5e5, rope_scaling })).inverse;
    const expected: [number, number][] = [
      [0, 1],
      [1, 0.663601279],
      [8, 0.0376060307],
      [15, 0.00129054801],
      [16, 0.000429556705],
      [24, 1.66196742e-6],
      [31, 9.41830649e-8],
    ];
    for (const [i, value] of expected) expect(scaled[i]! / value).toBeCloseTo(1, 6);
    const plain = rotaryOf(frequencies(64, { rope_theta: 5e5 })).inverse;
    for (const [i, value] of [
      [15, 0.0021311196] as const,
      [16, 0.00141421345] as const,
      [31, 3.01385808e-6] as const,
    ]) {
      expect(plain[i]! / value).toBeCloseTo(1, 6);
    }
  });

  it("yarn scaling of Qwen2.5", () => {
    const rope_scaling = { type: "yarn", factor: 4, original_max_position_embeddings: 32768 };
    const rotary = rotaryOf(frequencies(128, { rope_theta: 1e6, rope_scaling }));
    expect(rotary.attentionFactor).toBeCloseTo(1.138629436, 8);
    const expected: [number, number][] = [
      [16, 0.0316227786],
      [31, 0.000802959781],
      [32, 0.000602941145],
      [63, 3.10234441e-7],
    ];
    for (const [i, value] of expected) expect(rotary.inverse[i]! / value).toBeCloseTo(1, 6);
    const own = { ...rope_scaling, attention_factor: 1.5 };
    expect(rotaryOf(frequencies(128, { rope_theta: 1e6, rope_scaling: own })).attentionFactor).toBe(1.5);
    const scales = { ...rope_scaling, mscale: 1, mscale_all_dim: 0.5 };
    expect(rotaryOf(frequencies(128, { rope_theta: 1e6, rope_scaling: scales })).attentionFactor).toBeCloseTo(
      (0.1 * Math.log(4) + 1) / (0.05 * Math.log(4) + 1),
      12,
    );
  });

  it("linear divides, dynamic leaves the trained range alone", () => {
    const plain = rotaryOf(parse({})).inverse;
    const linear = rotaryOf(parse({ rope_scaling: { rope_type: "linear", factor: 4 } })).inverse;
    expect([...linear]).toEqual([...plain].map((value) => value / 4));
    expect(rotaryOf(parse({ rope_scaling: { type: "dynamic", factor: 2 } })).inverse).toEqual(plain);
  });

  it("tables: angle in float32, the attention factor on both", () => {
    const rope = { inverse: Float64Array.of(1, 0.3), attentionFactor: 2 };
    const { cos, sin } = ropeTables([0, 5], rope);
    const angle = Math.fround(5 * Math.fround(0.3));
    expectClose(cos, [2, 2, 2 * Math.cos(5), 2 * Math.cos(angle)], { atol: 1e-7 });
    expectClose(sin, [0, 0, 2 * Math.sin(5), 2 * Math.sin(angle)], { atol: 1e-7 });
  });
});

describe("refused with the key's name", () => {
  const scaling = (keys: Record<string, unknown>) => ({ rope_scaling: keys });
  it.each<[Record<string, unknown>, string]>([
    [{ model_type: "bloom" }, 'm/config.json: model_type = "bloom" is not supported; known are llama, qwen2'],
    [{ model_type: undefined }, "m/config.json: model_type is missing"],
    [{ hidden_act: "gelu" }, 'hidden_act = "gelu": only "silu" is supported'],
    [{ num_attention_heads: 4, num_key_value_heads: 3 }, "num_key_value_heads = 3"],
    [{ head_dim: 7 }, "head_dim = 7: rotary embedding needs an even number"],
    [{ num_attention_heads: 5 }, "hidden_size = 32 is not a multiple of num_attention_heads = 5"],
    [{ vocab_size: undefined }, "vocab_size is missing: a positive integer"],
    [{ num_hidden_layers: 2.5 }, "num_hidden_layers = 2.5: a positive integer"],
    [{ rms_norm_eps: 0 }, "rms_norm_eps = 0"],
    [{ rope_theta: -1 }, "rope_theta = -1"],
    [{ quantization_config: { bits: 4 } }, 'quantization_config = {"bits":4}'],
    [{ tie_word_embeddings: "yes" }, 'tie_word_embeddings = "yes": true or false'],
    [scaling({ rope_type: "spiral" }), 'rope_scaling.rope_type = "spiral" is not supported'],
    [scaling({ rope_type: "longrope" }), 'rope_scaling.short_factor: rope_type "longrope" needs 4 positive'],
    [
      scaling({ rope_type: "linear", factor: 2, fators: 3 }),
      "rope_scaling.fators = 3: this key is not known",
    ],
    [{ num_hiden_layers: 3 }, "num_hiden_layers = 3: this key is not known to llama"],
    [{ partial_rotary_factor: 0.5 }, "partial_rotary_factor = 0.5: llama turns whole heads"],
    [scaling({ rope_type: "linear" }), 'rope_scaling.factor is missing: rope_type "linear" needs'],
    [scaling({ rope_type: "llama3", factor: 8 }), "rope_scaling.low_freq_factor is missing"],
    [{ rope_parameters: 3 }, "rope_parameters = 3: null or an object"],
    [
      { model_type: "mistral", num_key_value_heads: null },
      "num_key_value_heads = null: mistral needs a number",
    ],
    [
      { model_type: "qwen3", num_key_value_heads: 2, head_dim: null },
      "head_dim = null: qwen3 needs a number",
    ],
    [{ model_type: "smollm3", no_rope_layers: [1, 0] }, "no_rope_layers = [1,0]: a list of 4"],
    [{ model_type: "mistral", num_key_value_heads: 2, sliding_window: 0 }, "sliding_window = 0"],
    [{ layer_types: new Array(4).fill("sliding_attention") }, "llama has no sliding windows"],
  ])("%o", (keys, message) => {
    expect(() => parse(keys)).toThrow(ModelFileError);
    expect(() => parse(keys)).toThrow(message);
  });
});

describe("parameter counts of published shapes", () => {
  it.each<[string, Record<string, unknown>, number]>([
    [
      "SmolLM2-135M",
      {
        model_type: "llama",
        num_hidden_layers: 30,
        hidden_size: 576,
        intermediate_size: 1536,
        num_attention_heads: 9,
        num_key_value_heads: 3,
        vocab_size: 49152,
        tie_word_embeddings: true,
      },
      134_515_008,
    ],
    [
      "Qwen2.5-0.5B",
      {
        model_type: "qwen2",
        num_hidden_layers: 24,
        hidden_size: 896,
        intermediate_size: 4864,
        num_attention_heads: 14,
        num_key_value_heads: 2,
        vocab_size: 151936,
        tie_word_embeddings: true,
      },
      494_032_768,
    ],
    [
      "Qwen3-0.6B",
      {
        model_type: "qwen3",
        num_hidden_layers: 28,
        hidden_size: 1024,
        intermediate_size: 3072,
        num_attention_heads: 16,
        num_key_value_heads: 8,
        vocab_size: 151936,
        tie_word_embeddings: true,
      },
      596_049_920,
    ],
  ])("%s", (_name, keys, count) => {
    expect(parameterCount(parse(keys))).toBe(count);
  });
});

it.each(["vocab_size", "hidden_size", "num_hidden_layers", "head_dim", "max_position_embeddings"])(
  "%s beyond every model is refused by name",
  (key) => {
    const base = {
      model_type: "llama",
      vocab_size: 8,
      hidden_size: 8,
      intermediate_size: 12,
      num_hidden_layers: 1,
      num_attention_heads: 2,
    };
    expect(() => parseModelConfig({ ...base, [key]: 2 ** 40 }, "config.json")).toThrow(
      new RegExp(`config.json: ${key} = 1099511627776: at most \\d+ is supported`),
    );
  },
);
