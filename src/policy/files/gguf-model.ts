/** A language model out of a GGUF file: config.json rebuilt, tensors under Hugging Face names and row order. */
import { ModelFileError } from "../../lib/errors.ts";
import { transposeMatrix } from "../decoder-weights.ts";
import type { WeightSource } from "../interfaces.ts";
import { fitsForm, fromBlocks } from "../quantised.ts";
import type { GgufFile, GgufValue } from "./gguf.ts";
import { GGUF_ARCHITECTURES, type GgufArchitecture } from "./gguf-architectures.ts";
import type { JsonObject } from "./json.ts";

const KIND = { number: "a number", integer: "an integer", string: "a string", boolean: "a boolean" };

/** Typed look-ups in the metadata, with messages that name key and value. */
export function ggufReader(file: Pick<GgufFile, "path" | "metadata">) {
  const describe = (value: GgufValue): string =>
    Array.isArray(value) ? `an array of ${value.length}` : KIND[typeof value as keyof typeof KIND];
  const typed = (key: string, kind: keyof typeof KIND): GgufValue | undefined => {
    const value = file.metadata.get(key);
    if (value === undefined) return undefined;
    const fits = kind === "integer" ? Number.isSafeInteger(value) : typeof value === kind;
    if (!fits) throw new ModelFileError(`${file.path}: ${key} is ${describe(value)}, expected ${KIND[kind]}`);
    return value;
  };
  const list = (key: string): readonly (number | boolean | string)[] | undefined => {
    const value = file.metadata.get(key);
    if (value === undefined) return undefined;
    if (!Array.isArray(value))
      throw new ModelFileError(`${file.path}: ${key} is ${describe(value)}, expected an array`);
    return value;
  };
  return {
    integer: (key: string) => typed(key, "integer") as number | undefined,
    number: (key: string) => typed(key, "number") as number | undefined,
    string: (key: string) => typed(key, "string") as string | undefined,
    boolean: (key: string) => typed(key, "boolean") as boolean | undefined,
    list,
    requireInteger: (key: string): number => {
      const value = typed(key, "integer") as number | undefined;
      if (value === undefined) throw new ModelFileError(`${file.path} has no metadata key ${key}`);
      return value;
    },
  };
}

function architectureOf(file: GgufFile): [string, GgufArchitecture] {
  const name = ggufReader(file).string("general.architecture");
  const architecture =
    name !== undefined && Object.hasOwn(GGUF_ARCHITECTURES, name) ? GGUF_ARCHITECTURES[name] : undefined;
  if (!architecture) {
    throw new ModelFileError(
      `${file.path}: general.architecture = ${name ?? "(missing)"} is not supported; supported are ${Object.keys(GGUF_ARCHITECTURES).join(", ")}`,
    );
  }
  return [name!, architecture];
}

/** config.json from the metadata, in the older spelling. @throws ModelFileError for what cannot be expressed */
export function ggufConfig(file: GgufFile): JsonObject {
  const meta = ggufReader(file);
  const [prefix, architecture] = architectureOf(file);
  const key = (name: string): string => `${prefix}.${name}`;
  const refuse = (name: string, reason: string): never => {
    throw new ModelFileError(`${file.path}: ${name} = ${JSON.stringify(file.metadata.get(name))}: ${reason}`);
  };
  if ((meta.integer("split.count") ?? 1) > 1)
    refuse("split.count", "it is a part of a split model; merge it first");
  if ((meta.integer(key("expert_count")) ?? 0) > 0) {
    refuse(key("expert_count"), "mixtures of experts are not supported");
  }
  const single = architecture.keyValueHeadsPerLayer ? [] : ["attention.head_count_kv"];
  for (const name of ["attention.head_count", "feed_forward_length", ...single]) {
    if (Array.isArray(file.metadata.get(key(name)))) refuse(key(name), "values per layer are not supported");
  }
  const hidden = meta.requireInteger(key("embedding_length"));
  const heads = meta.requireInteger(key("attention.head_count"));
  const headDim = meta.integer(key("attention.key_length")) ?? hidden / heads;
  const rotary = meta.integer(key("rope.dimension_count")) ?? headDim;
  if (rotary !== headDim && architecture.partialRotary !== true)
    refuse(key("rope.dimension_count"), `partial RoPE (of ${headDim}) is not supported`);
  const valueLength = meta.integer(key("attention.value_length")) ?? headDim;
  if (valueLength !== headDim)
    refuse(key("attention.value_length"), `it differs from the key length ${headDim}`);
  const embedding = file.tensors.get("token_embd.weight");
  if (!embedding) throw new ModelFileError(`${file.path} has no tensor token_embd.weight`);
  const layers = meta.requireInteger(key("block_count"));
  const eos = ggufEosIds(file);
  const own = architecture.config?.(meta, file, { hidden, heads, headDim, layers }) ?? {};
  const config: JsonObject = {
    architectures: [architecture.className],
    model_type: architecture.modelType,
    vocab_size: embedding.shape[0]!,
    ...(architecture.norm === "layer" && architecture.partialRotary !== true ? {} : sharedKeys()),
    tie_word_embeddings: !file.tensors.has("output.weight"),
    ...own,
    bos_token_id: meta.integer("tokenizer.ggml.bos_token_id") ?? null,
    eos_token_id: eos[0] ?? null,
    pad_token_id: meta.integer("tokenizer.ggml.padding_token_id") ?? null,
    initializer_range: 0.02,
    use_cache: true,
    torch_dtype: "float32",
  };
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined));

  /** What all but GPT-2 have, in Llama's words. */
  function sharedKeys(): JsonObject {
    const theta = meta.number(key("rope.freq_base")) ?? 10000;
    const epsilon = meta.number(key("attention.layer_norm_rms_epsilon"));
    if (epsilon === undefined && architecture.norm !== "layer") {
      throw new ModelFileError(`${file.path} has no metadata key ${key("attention.layer_norm_rms_epsilon")}`);
    }
    const counts = file.metadata.get(key("attention.head_count_kv"));
    return {
      hidden_size: hidden,
      intermediate_size: meta.requireInteger(key("feed_forward_length")),
      num_hidden_layers: layers,
      num_attention_heads: heads,
      num_key_value_heads: Array.isArray(counts)
        ? heads
        : (meta.integer(key("attention.head_count_kv")) ?? heads),
      head_dim: headDim,
      hidden_act: "silu",
      rms_norm_eps: epsilon,
      max_position_embeddings: meta.requireInteger(key("context_length")),
      rope_theta: theta,
      rope_scaling: "rope_scaling" in own ? null : ropeScaling(file, prefix, headDim, theta),
      attention_dropout: 0,
    };
  }
}

/** Ids that end a completion: of the text, of a turn, of a message that awaits a tool. */
export const EOS_KEYS = ["eos", "eot", "eom"].map((name) => `tokenizer.ggml.${name}_token_id`);

/** End ids of the metadata: eos first, then those of turns and messages where they differ. */
export function ggufEosIds(file: Pick<GgufFile, "path" | "metadata">): number[] {
  const meta = ggufReader(file);
  const ids = EOS_KEYS.map((key) => meta.integer(key));
  return [...new Set(ids.filter((id) => id !== undefined))];
}

function ropeScaling(file: GgufFile, prefix: string, headDim: number, theta: number): JsonObject | null {
  const meta = ggufReader(file);
  const type = meta.string(`${prefix}.rope.scaling.type`) ?? "none";
  const factor = meta.number(`${prefix}.rope.scaling.factor`) ?? 1;
  if (file.tensors.has("rope_freqs.weight")) return llama3Scaling(file, headDim, theta);
  if (type === "none" || (type === "linear" && factor === 1)) return null;
  if (type === "linear") return { rope_type: "linear", type: "linear", factor };
  if (type === "yarn") {
    const original = meta.integer(`${prefix}.rope.scaling.original_context_length`);
    return {
      rope_type: "yarn",
      type: "yarn",
      factor,
      ...(original === undefined ? {} : { original_max_position_embeddings: original }),
    };
  }
  throw new ModelFileError(
    `${file.path}: ${prefix}.rope.scaling.type = ${type} is not supported; supported are none, linear, yarn`,
  );
}

/**
 * Llama 3.1's scaling lies in the file as divisors of the inverse frequencies, rope_freqs.weight [D/2]. All its
 * releases share low 1, high 4 and 8192 positions, so the largest divisor is the factor; the rest is compared.
 */
function llama3Scaling(file: GgufFile, headDim: number, theta: number): JsonObject | null {
  const divisors = file.read("rope_freqs.weight");
  const factor = divisors.reduce((largest, f) => Math.max(largest, f), 1);
  if (divisors.every((f) => f === 1)) return null;
  const original = 8192;
  const expected = Array.from({ length: headDim / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * theta ** ((2 * i) / headDim);
    if (wavelength < original / 4) return 1;
    if (wavelength > original) return factor;
    const smooth = (original / wavelength - 1) / 3;
    return 1 / ((1 - smooth) / factor + smooth);
  });
  const fits =
    divisors.length === expected.length && expected.every((f, i) => Math.abs(divisors[i]! - f) < 1e-3 * f);
  if (!fits) {
    throw new ModelFileError(
      `${file.path}: rope_freqs.weight is not Llama 3's scaling (low 1, high 4, 8192 positions), the only one supported`,
    );
  }
  return {
    rope_type: "llama3",
    factor,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: original,
  };
}

/** Hugging Face name of a GGUF tensor, or null when there is none. */
export function huggingFaceName(name: string, architecture = GGUF_ARCHITECTURES["llama"]!): string | null {
  const top = architecture.top[name];
  if (top) return top;
  const match = /^blk\.(\d+)\.([\w.]+)\.(weight|bias)$/.exec(name);
  const module = match && architecture.names[match[2]!];
  return module ? `${architecture.layers}${match[1]}.${module}.${match[3]}` : null;
}

/** GGUF name of a tensor, or null when there is none: {@link huggingFaceName} backwards. */
export function ggufName(name: string, { top, names, layers }: GgufArchitecture): string | null {
  const outside = Object.entries(top).find(([, renamed]) => renamed === name);
  if (outside) return outside[0];
  const match = name.startsWith(layers)
    ? /^(\d+)\.(.+)\.(weight|bias)$/.exec(name.slice(layers.length))
    : null;
  const part = match && Object.entries(names).find(([, renamed]) => renamed === match[2]);
  return part ? `blk.${match[1]}.${part[0]}.${match[3]}` : null;
}

/** The architecture that a `model_type` is written as, and its name; null where export does not write it. */
export function writtenArchitecture(modelType: string): [name: string, GgufArchitecture] | null {
  // a window makes a llama file a mistral
  const sought = modelType === "mistral" ? "llama" : modelType;
  const found = Object.entries(GGUF_ARCHITECTURES).find(
    ([, { modelType: own, written }]) => written === true && own === sought,
  );
  return found ?? null;
}

/** Numbers, or blocks as they lie. */
type Rows = Float32Array | Uint8Array;

/** The converter's row order for interleaved RoPE: within each head, row 2i is row i, row 2i + 1 is row i + D/2. */
export function permuteRows<T extends Rows>(data: T, heads: number, width: number): T {
  const out = data.slice() as T;
  const headDim = data.length / heads / width;
  for (let head = 0; head < heads; head++) {
    for (let i = 0; i < headDim; i++) {
      const to = i < headDim / 2 ? 2 * i : 2 * (i - headDim / 2) + 1;
      const row = (head * headDim + i) * width;
      out.set(data.subarray(row, row + width), (head * headDim + to) * width);
    }
  }
  return out;
}

/**
 * Undoes the converter's row order for interleaved RoPE: within each head, row i came from row 2i for i < D/2
 * and from row 2(i - D/2) + 1 otherwise.
 * @param data [heads * D, width] row-major; a bias has width 1
 */
export function unpermuteRows<T extends Rows>(data: T, heads: number, width: number): T {
  const out = data.slice() as T;
  const headDim = data.length / heads / width;
  for (let head = 0; head < heads; head++) {
    for (let i = 0; i < headDim; i++) {
      const from = i < headDim / 2 ? 2 * i : 2 * (i - headDim / 2) + 1;
      const row = (head * headDim + from) * width;
      out.set(data.subarray(row, row + width), (head * headDim + i) * width);
    }
  }
  return out;
}

/** Tensors under Hugging Face names, decoded on demand. @throws ModelFileError for one that has no such name */
export function ggufWeights(file: GgufFile, config: Readonly<JsonObject>): WeightSource {
  const [, architecture] = architectureOf(file);
  const names = new Map<string, string>();
  for (const name of file.tensors.keys()) {
    if (IN_CONFIG.test(name)) continue;
    const renamed = huggingFaceName(name, architecture);
    if (renamed === null) throw new ModelFileError(`${file.path}: unexpected tensor ${name}`);
    names.set(renamed, name);
  }
  const find = (name: string) => {
    const source = names.get(name);
    if (source === undefined) throw new ModelFileError(`${file.path} has no tensor for ${name}`);
    return file.tensors.get(source)!;
  };
  const heads = config["num_attention_heads"] as number;
  const keyValueHeads = config["num_key_value_heads"] as number;
  const conversionOf = (name: string) => architecture.conversion?.(name) ?? null;
  const headsOf = (name: string) => (name.includes(".q_proj.") ? heads : keyValueHeads);
  return {
    names: [...names.keys()],
    shape: (name) => {
      const { shape } = find(name);
      switch (conversionOf(name)) {
        case "transposed":
          return [...shape].reverse();
        case "squeezed":
          return [shape[0]!, 1, shape[1]!];
        default:
          return shape;
      }
    },
    dtype: (name) => find(name).type.name,
    read: (name) => {
      const { name: stored, shape } = find(name);
      const data = file.read(stored);
      switch (conversionOf(name)) {
        case "interleaved":
          return unpermuteRows(data, headsOf(name), shape[1] ?? 1);
        case "one-added":
          return data.map((value) => value - 1);
        case "transposed":
          return transposeMatrix(data, shape[0]!, shape[1]!);
        case "joined":
          return rowsByHead(data, heads);
        default:
          return data;
      }
    },
    quantised: (name) => {
      const { name: stored, shape, type, bytes } = find(name);
      const form = type.name.toLowerCase();
      const [rows, columns] = shape as [number, number];
      if ((form !== "q8_0" && form !== "q4_0") || shape.length !== 2 || !fitsForm(form, rows, columns))
        return null;
      const conversion = conversionOf(name);
      // rows are moved whole; blocks of a transposed one lie as the others' do, and it is read as [out, in] as they are
      const moved: Readonly<Record<string, (data: Uint8Array) => Uint8Array>> = {
        interleaved: (data) => unpermuteRows(data, headsOf(name), bytes / rows),
        joined: (data) => rowsByHead(data, heads),
        transposed: (data) => data,
      };
      const inOrder = conversion === null ? (data: Uint8Array) => data : moved[conversion];
      if (inOrder === undefined) return null;
      return { form, read: () => fromBlocks(form, inOrder(file.bytes(stored)), rows, columns) };
    },
    close: () => file.close(),
  };
}

/** Tensors that stand in config.json as RoPE's scaling. */
const IN_CONFIG = /^rope_(freqs|factors_long|factors_short)\.weight$/;

/** All queries, all keys, all values to those of head 0, of head 1 and so on. @param data [3 * heads * D, width] */
function rowsByHead<T extends Rows>(data: T, heads: number): T {
  const out = data.slice() as T;
  const size = data.length / 3 / heads; // D rows
  for (let part = 0; part < 3; part++) {
    for (let head = 0; head < heads; head++) {
      const from = (part * heads + head) * size;
      out.set(data.subarray(from, from + size), (head * 3 + part) * size);
    }
  }
  return out;
}
