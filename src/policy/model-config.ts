/** config.json of a decoder, in both of its spellings, to dimensions and switches. */
import { ModelFileError } from "../lib/errors.ts";
import type { DecoderConfig } from "./interfaces.ts";
import { ropeFrequencies } from "./rope.ts";

type Json = Readonly<Record<string, unknown>>;
type Family = DecoderConfig["family"];

/** What the model class of each family assumes for a key that the file lacks (transformers 5). */
const families: Record<
  Family,
  { keyValueHeads: number | "heads"; headDim?: number; theta: number; tied: boolean; maxPositions: number }
> = {
  llama: { keyValueHeads: "heads", theta: 1e4, tied: false, maxPositions: 2048 },
  mistral: { keyValueHeads: 8, theta: 1e4, tied: false, maxPositions: 131072 },
  qwen2: { keyValueHeads: 32, theta: 1e4, tied: false, maxPositions: 32768 },
  qwen3: { keyValueHeads: 32, headDim: 128, theta: 1e4, tied: false, maxPositions: 32768 },
  smollm3: { keyValueHeads: 4, theta: 2e6, tied: true, maxPositions: 32768 },
};

const architectures: Readonly<Record<string, Family>> = {
  LlamaForCausalLM: "llama",
  MistralForCausalLM: "mistral",
  Qwen2ForCausalLM: "qwen2",
  Qwen3ForCausalLM: "qwen3",
  SmolLM3ForCausalLM: "smollm3",
};

/** Above the largest public model by an order of magnitude, and below what would exhaust memory before weights are read. */
const LARGEST = {
  vocab_size: 10_000_000,
  hidden_size: 1_000_000,
  intermediate_size: 10_000_000,
  num_hidden_layers: 2_000,
  num_attention_heads: 10_000,
  num_key_value_heads: 10_000,
  head_dim: 100_000,
  max_position_embeddings: 1_000_000_000,
};
type LimitedKey = keyof typeof LARGEST;

/**
 * Reads a decoder's config.json, older files (`rope_theta`, `rope_scaling`) and newer ones (`rope_parameters`).
 * @param file what messages start with
 * @throws ModelFileError naming the key that is missing, out of range or not supported
 */
export function parseModelConfig(json: Json, file: string): DecoderConfig {
  const family = familyOf(json, file);
  const defaults = families[family];
  const fail = (key: string, reason: string): never => {
    const value = json[key] === undefined ? "is missing" : `= ${JSON.stringify(json[key])}`;
    throw new ModelFileError(`${file}: ${key} ${value}: ${reason}`);
  };
  const count = (key: LimitedKey, fallback?: number): number => {
    const value = json[key] === undefined ? fallback : json[key];
    if (!Number.isInteger(value) || (value as number) < 1) return fail(key, "a positive integer is needed");
    if ((value as number) > LARGEST[key]) return fail(key, `at most ${LARGEST[key]} is supported`);
    return value as number;
  };
  const flag = (key: string, fallback: boolean): boolean => {
    const value = json[key] ?? fallback;
    return typeof value === "boolean" ? value : fail(key, "true or false is needed");
  };

  if (json["quantization_config"] != null) {
    fail("quantization_config", "quantised checkpoints are not supported; use the original or a GGUF file");
  }
  if ((json["hidden_act"] ?? "silu") !== "silu") fail("hidden_act", 'only "silu" is supported');

  const hiddenSize = count("hidden_size");
  const layers = count("num_hidden_layers");
  const heads = count("num_attention_heads");
  if (json["num_key_value_heads"] === null && family === "mistral") {
    fail("num_key_value_heads", "mistral needs a number");
  }
  const keyValueHeads =
    json["num_key_value_heads"] === null
      ? heads
      : count("num_key_value_heads", defaults.keyValueHeads === "heads" ? heads : defaults.keyValueHeads);
  if (heads % keyValueHeads !== 0) {
    throw new ModelFileError(
      `${file}: num_attention_heads = ${heads} is not a multiple of num_key_value_heads = ${keyValueHeads}`,
    );
  }
  if (json["head_dim"] === null && family === "qwen3") fail("head_dim", "qwen3 needs a number");
  const headDim = json["head_dim"] == null ? (defaults.headDim ?? hiddenSize / heads) : count("head_dim");
  if (!Number.isInteger(headDim)) {
    throw new ModelFileError(
      `${file}: hidden_size = ${hiddenSize} is not a multiple of num_attention_heads = ${heads}, and there is no head_dim`,
    );
  }
  if (headDim % 2 !== 0) {
    throw new ModelFileError(`${file}: head_dim = ${headDim}: rotary embedding needs an even number`);
  }
  const maxPositions = count("max_position_embeddings", defaults.maxPositions);
  const epsilon = json["rms_norm_eps"] ?? 1e-6;
  if (typeof epsilon !== "number" || !(epsilon > 0)) fail("rms_norm_eps", "a positive number is needed");

  const rope = ropeParameters(json, file);
  const theta = rope.parameters["rope_theta"] ?? json["rope_theta"] ?? defaults.theta;
  if (typeof theta !== "number" || !(theta > 0)) {
    throw new ModelFileError(`${file}: rope_theta = ${JSON.stringify(theta)}: a positive number is needed`);
  }
  const frequencies = ropeFrequencies(
    rope.parameters,
    { theta, headDim, maxPositions },
    `${file}: ${rope.key}`,
  );
  const attentionBias = ["llama", "qwen3", "smollm3"].includes(family) && flag("attention_bias", false);
  const ropeLayers = ropeLayersOf(json, family, layers, fail);

  return {
    family,
    vocabSize: count("vocab_size"),
    hiddenSize,
    intermediateSize: count("intermediate_size"),
    layers,
    heads,
    keyValueHeads,
    headDim,
    rmsNormEps: epsilon as number,
    tiedEmbeddings: flag("tie_word_embeddings", defaults.tied),
    queryKeyValueBias: family === "qwen2" || attentionBias,
    outputBias: attentionBias,
    mlpBias: ["llama", "smollm3"].includes(family) && flag("mlp_bias", false),
    queryKeyNorm: family === "qwen3",
    ropeInverseFrequencies: frequencies.inverse,
    ropeAttentionFactor: frequencies.attentionFactor,
    ropeLayers,
    windows: windowsOf(json, family, ropeLayers, fail),
    maxPositions,
  };
}

function familyOf(json: Json, file: string): Family {
  const type = json["model_type"];
  if (typeof type === "string" && Object.hasOwn(families, type)) return type as Family;
  const listed = json["architectures"];
  const architecture = Array.isArray(listed) ? String(listed[0]) : "";
  if (type === undefined && Object.hasOwn(architectures, architecture)) return architectures[architecture]!;
  const found = type === undefined ? "is missing" : `= ${JSON.stringify(type)} is not supported`;
  throw new ModelFileError(
    `${file}: model_type ${found}; known are ${Object.keys(families).join(", ")} (SmolLM2 and Llama 3 are llama)`,
  );
}

/** `rope_scaling` replaces `rope_parameters` whole; a nested object per layer kind must agree with itself. */
function ropeParameters(json: Json, file: string): { parameters: Json; key: string } {
  const key = json["rope_scaling"] != null ? "rope_scaling" : "rope_parameters";
  const found = json[key];
  if (found == null) return { parameters: {}, key };
  if (typeof found !== "object" || Array.isArray(found)) {
    throw new ModelFileError(`${file}: ${key} = ${JSON.stringify(found)}: null or an object is needed`);
  }
  const parameters = found as Json;
  const nested = ["full_attention", "sliding_attention"].filter(
    (kind) => typeof parameters[kind] === "object",
  );
  if (nested.length === 0) return { parameters, key };
  const [first, second] = nested.map((kind) => JSON.stringify(parameters[kind]));
  if (second !== undefined && first !== second) {
    throw new ModelFileError(
      `${file}: ${key} differs between full_attention and sliding_attention layers, which is not supported`,
    );
  }
  return { parameters: parameters[nested[0]!] as Json, key: `${key}.${nested[0]}` };
}

type Fail = (key: string, reason: string) => never;

/** SmolLM3's `no_rope_layers` reads the wrong way round: 1 means that the layer uses RoPE. */
function ropeLayersOf(json: Json, family: Family, layers: number, fail: Fail): boolean[] {
  if (family !== "smollm3") return new Array(layers).fill(true);
  const listed = json["no_rope_layers"];
  if (listed == null) {
    const interval = json["no_rope_layer_interval"] ?? 4;
    if (!Number.isInteger(interval) || (interval as number) < 1) {
      return fail("no_rope_layer_interval", "a positive integer is needed");
    }
    return Array.from({ length: layers }, (_, n) => (n + 1) % (interval as number) !== 0);
  }
  if (
    !Array.isArray(listed) ||
    listed.length < layers ||
    listed.some((value) => value !== 0 && value !== 1)
  ) {
    return fail("no_rope_layers", `a list of ${layers} times 0 or 1 is needed`);
  }
  return listed.slice(0, layers).map((value) => value === 1);
}

/** Window of each layer in keys, itself included; null for full attention. */
function windowsOf(
  json: Json,
  family: Family,
  ropeLayers: readonly boolean[],
  fail: Fail,
): (number | null)[] {
  const layers = ropeLayers.length;
  const none = new Array<null>(layers).fill(null);
  const declared = json["layer_types"];
  if (declared != null) {
    const known = ["full_attention", "sliding_attention"];
    if (
      !Array.isArray(declared) ||
      declared.length < layers ||
      declared.some((kind) => !known.includes(kind))
    ) {
      return fail("layer_types", `a list of ${layers} times full_attention or sliding_attention is needed`);
    }
  }
  if (family === "llama") {
    const sliding = Array.isArray(declared) && declared.includes("sliding_attention");
    return sliding ? fail("layer_types", "llama has no sliding windows") : none;
  }
  const fallback = family === "mistral" && json["sliding_window"] === undefined ? 4096 : null;
  const size = json["sliding_window"] ?? fallback;
  if (size !== null && (!Number.isInteger(size) || (size as number) < 1)) {
    return fail("sliding_window", "null or a positive integer is needed");
  }
  const window = size as number | null;
  if (family === "mistral") return Array.isArray(declared) ? pick(declared, window) : none.map(() => window);
  if (window === null || json["use_sliding_window"] !== true) return none;
  if (Array.isArray(declared)) return pick(declared, window);
  if (family === "smollm3") return ropeLayers.map((rotates) => (rotates ? null : window));
  const first = json["max_window_layers"] ?? 28;
  return none.map((_, n) => (n >= (first as number) ? window : null));

  function pick(kinds: readonly unknown[], value: number | null): (number | null)[] {
    return kinds.slice(0, layers).map((kind) => (kind === "sliding_attention" ? value : null));
  }
}
