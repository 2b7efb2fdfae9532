/** A model as a GGUF file for llama.cpp: the counterpart of gguf-model.ts. What the file cannot say is refused by name. */
import { ModelFileError } from "../../lib/errors.ts";
import { expectedWeights } from "../decoder-weights.ts";
import type { AttentionConfig, DecoderConfig, ModelFiles, NamedTensor } from "../interfaces.ts";
import { parseModelConfig } from "../model-config.ts";
import { ggmlTypeByName } from "./dequantise.ts";
import type { GgufFile, GgufTensor, GgufValue } from "./gguf.ts";
import { ggufConfig, ggufEosIds, ggufName, permuteRows, writtenArchitecture } from "./gguf-model.ts";
import { ggufTokenizerFiles } from "./gguf-tokenizer.ts";
import { ggufTokenizerMetadata } from "./gguf-tokenizer-write.ts";
import { type WrittenTensor, type WrittenValue, writeGguf } from "./gguf-write.ts";
import type { JsonObject } from "./json.ts";
import { olderSpelling } from "./model-directory.ts";
import { type WrittenType, writtenType } from "./quantise.ts";
import { createTokenizer, type ModelTokenizer } from "./tokenizer.ts";

export interface GgufPlan {
  metadata: Map<string, WrittenValue>;
  /** By Hugging Face name, in the order of the policy's weights. */
  tensors: Map<string, Omit<WrittenTensor, "read">>;
  /** Written beside the policy's weights. */
  ropeFactors: Float32Array | null;
  /** Sentences to print. */
  notes: string[];
}

/** llama.cpp's llama_ftype */
const FILE_TYPES: Readonly<Record<WrittenType, number>> = { F32: 0, F16: 1, BF16: 32, Q8_0: 7, Q4_0: 2 };

/** Texts on which tokenizers differ that differ at all: digits, white space, contractions, accents, scripts. */
const PROBES = [
  "Hello world, it's 12345 o'clock. I'LL pay $1,234.50!",
  "  two\n\n\nlines\t\ttabs   \r\n end ",
  "caf\u00e9 cafe\u0301 \u4f60\u597d \u3053\u3093\u306b\u3061\u306f \u{1f600} na\u00efve x+y=z _a__b",
];

/**
 * All of a GGUF file but the numbers, checked by reading it as {@link ggufConfig} and {@link ggufTokenizerFiles} will.
 * @param type of matrices; vectors stay F32, as llama.cpp wants them
 * @throws ModelFileError naming the key or the part of the tokenizer that GGUF cannot hold
 */
export function planGguf(files: ModelFiles, type: WrittenType, name: string): GgufPlan {
  const config = parseModelConfig(files.config, `${files.source}: config.json`);
  const [, architecture] = architectureFor(config, files.source);
  const { metadata, ropeFactors, notes } = modelMetadata(files, config, name);
  metadata.set("general.file_type", { u32: FILE_TYPES[type] });
  metadata.set("general.quantization_version", { u32: 2 });
  const tokenizer = files.tokenizer as ModelTokenizer;
  const written = ggufTokenizerMetadata(files.tokenizerFiles, tokenizer, config.vocabSize, files.source);
  for (const [key, value] of written.metadata) metadata.set(key, value);

  const tensors = new Map<string, Omit<WrittenTensor, "read">>();
  const coarser: string[] = [];
  for (const [own, { shape }] of expectedWeights(config)) {
    const renamed = ggufName(own, architecture);
    if (renamed === null) throw new ModelFileError(`${files.source}: ${own} has no name in GGUF`);
    const chosen = tensorType(own, shape, type);
    if (shape.length > 1 && chosen === "F16" && type !== "F16") coarser.push(own);
    tensors.set(own, { name: renamed, shape, type: chosen });
  }
  if (coarser.length > 0) {
    notes.push(
      `${coarser.length} matrices have rows that are no multiple of 32 and stay F16, ${coarser[0]} among them`,
    );
  }
  const plan = { metadata, tensors, ropeFactors, notes: [...notes, ...written.notes] };
  checkReadBack(plan, files, config);
  return plan;
}

/** With Q4_0 the embedding and the output are Q8_0: they decide over every token and suffer most. */
function tensorType(name: string, shape: readonly number[], type: WrittenType): WrittenType {
  if (shape.length === 1) return "F32";
  if (shape.at(-1)! % writtenType(type).block !== 0) return "F16";
  return type === "Q4_0" && /embed_tokens|lm_head/.test(name) ? "Q8_0" : type;
}

function architectureFor({ family }: DecoderConfig, source: string) {
  const architecture = writtenArchitecture(family);
  if (architecture !== null) return architecture;
  throw new ModelFileError(
    `${source}: models of the family ${family} cannot be written to GGUF; export a Hugging Face directory instead`,
  );
}

/** Sizes of all layers, taken from one with positions; what differs in another is found when the plan is read back. */
function sizesOf({ layers }: DecoderConfig): { attention: AttentionConfig; intermediateSize: number } {
  const mixers = layers.flatMap(({ mixer }) => (mixer.kind === "attention" ? [mixer] : []));
  const attention = mixers.find(({ rotary }) => rotary !== null) ?? mixers[0]!;
  return { attention, intermediateSize: layers[0]!.mlp.down.inputs };
}

function modelMetadata(files: ModelFiles, config: DecoderConfig, name: string): Omit<GgufPlan, "tensors"> {
  const [prefix] = architectureFor(config, files.source);
  const { attention, intermediateSize } = sizesOf(config);
  const json = olderSpelling(files.config, "F32");
  const theta = typeof json["rope_theta"] === "number" ? json["rope_theta"] : 10000;
  const metadata = new Map<string, WrittenValue>([
    ["general.architecture", { string: prefix }],
    ["general.type", { string: "model" }],
    ["general.name", { string: name }],
  ]);
  const set = (key: string, value: WrittenValue) => metadata.set(`${prefix}.${key}`, value);
  set("block_count", { u32: config.layers.length });
  set("context_length", { u32: config.maxPositions });
  set("embedding_length", { u32: config.hiddenSize });
  set("feed_forward_length", { u32: intermediateSize });
  set("attention.head_count", { u32: attention.heads });
  set("attention.head_count_kv", { u32: attention.keyValueHeads });
  set("attention.key_length", { u32: attention.headDim });
  set("attention.value_length", { u32: attention.headDim });
  set("attention.layer_norm_rms_epsilon", { f32: config.norm.epsilon });
  set("rope.dimension_count", { u32: attention.headDim });
  set("rope.freq_base", { f32: theta });
  set("vocab_size", { u32: config.vocabSize });
  const notes: string[] = [];
  const { window } = attention;
  if (window !== null) {
    set("attention.sliding_window", { u32: window });
    notes.push(
      `llama.cpp attends to everything in this architecture: beyond ${window} tokens its logits are not this model's`,
    );
  }
  const scaling = json["rope_scaling"] as JsonObject | null | undefined;
  const kind = scaling?.["rope_type"] ?? scaling?.["type"] ?? "default";
  let ropeFactors: Float32Array | null = null;
  if (kind === "linear" || kind === "yarn") {
    set("rope.scaling.type", { string: kind });
    set("rope.scaling.factor", { f32: scaling!["factor"] as number });
    const original = scaling!["original_max_position_embeddings"];
    if (typeof original === "number") set("rope.scaling.original_context_length", { u32: original });
  } else if (kind === "llama3") {
    if (prefix !== "llama") {
      throw new ModelFileError(
        `${files.source}: config.json: rope_type "llama3" can be written for llama only, not for ${config.family}`,
      );
    }
    ropeFactors = Float32Array.from(
      attention.rotary!.inverse,
      (inverse, i) => theta ** ((-2 * i) / attention.headDim) / inverse,
    );
  }
  return { metadata, ropeFactors, notes };
}

function plainValue(value: WrittenValue): GgufValue {
  return "f32" in value ? shortest(value.f32) : (Object.values(value)[0] as GgufValue);
}

/** As the reader of GGUF gives a float32. */
function shortest(value: number): number {
  return Number(Math.fround(value).toPrecision(7));
}

/** The plan as a file that was opened. */
function asFile(plan: Omit<GgufPlan, "notes">, source: string): GgufFile {
  const info = (name: string, shape: readonly number[]): [string, GgufTensor] => [
    name,
    { name, shape, type: ggmlTypeByName("F32"), offset: 0, bytes: 0 },
  ];
  const tensors = [...plan.tensors.values()].map(({ name, shape }) => info(name, shape));
  if (plan.ropeFactors !== null) tensors.push(info("rope_freqs.weight", [plan.ropeFactors.length]));
  return {
    path: `${source} as GGUF`,
    metadata: new Map([...plan.metadata].map(([key, value]) => [key, plainValue(value)])),
    tensors: new Map(tensors),
    read: () => plan.ropeFactors!,
    bytes: () => new Uint8Array(0),
    close() {},
  };
}

/** What the reader makes of the plan must be the model that it was made of. */
function checkReadBack(plan: Omit<GgufPlan, "notes">, files: ModelFiles, config: DecoderConfig): void {
  const file = asFile(plan, files.source);
  const json = ggufConfig(file);
  const again = parseModelConfig(json, file.path);
  const difference = firstDifference(config, again);
  if (difference !== null) {
    const { key, is, read } = difference;
    throw new ModelFileError(
      `${files.source}: config.json: a GGUF file of this architecture cannot say ${key} = ${shown(is)}; it would be read as ${shown(read)}. Export a Hugging Face directory instead`,
    );
  }
  const tokenizer = createTokenizer(ggufTokenizerFiles(file), {
    path: file.path,
    rows: config.vocabSize,
    config: json,
    generationConfig: { eos_token_id: ggufEosIds(file) },
  });
  const special = { addSpecialTokens: true };
  for (const text of PROBES) {
    if (`${tokenizer.encode(text, special)}` !== `${files.tokenizer.encode(text, special)}`) {
      throw new ModelFileError(
        `${files.source}: tokenizer.json: read back from GGUF it gives other ids for ${JSON.stringify(text)}: export a Hugging Face directory instead`,
      );
    }
  }
}

interface Difference {
  key: string;
  is: unknown;
  read: unknown;
}

/** Numbers may differ as much as float32 rounds them; messages about a config's keys are no part of the model. */
function firstDifference(is: unknown, read: unknown, key = ""): Difference | null {
  if (typeof is === "number" && typeof read === "number")
    return Math.abs(is - read) <= 1e-5 * Math.abs(is) ? null : { key, is, read };
  if (typeof is !== "object" || typeof read !== "object" || is === null || read === null)
    return is === read ? null : { key, is, read };
  const [a, b] = [is as Record<string, unknown>, read as Record<string, unknown>];
  for (const name of new Set([...Object.keys(a), ...Object.keys(b)])) {
    if (NOT_MODEL.has(name)) continue;
    const found = firstDifference(a[name], b[name], key === "" ? name : `${key}.${name}`);
    if (found !== null) return found;
  }
  return null;
}

/** Keys that only say where a number came from. */
const NOT_MODEL = new Set(["from", "positionsKey"]);

function shown(value: unknown): string {
  const text = JSON.stringify(ArrayBuffer.isView(value) ? Array.from(value as Float64Array) : value);
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}

/** Largest finite float16. */
const LARGEST_HALF = 65504;

/**
 * Writes the file, synced but not atomic: write aside and rename.
 * @param weights in the plan's order, consumed one at a time
 * @throws ModelFileError for a weight that is not finite, or too large for F16
 */
export function writeGgufModel(
  path: string,
  plan: GgufPlan,
  config: DecoderConfig,
  weights: Iterable<NamedTensor>,
): void {
  const [, architecture] = architectureFor(config, path);
  const { attention } = sizesOf(config);
  const queue = weights[Symbol.iterator]();
  const next = (name: string, type: WrittenType): Float32Array => {
    const { value, done } = queue.next();
    if (done || value.name !== name) {
      throw new ModelFileError(`${path}: expected the weight ${name}, got ${done ? "none" : value.name}`);
    }
    checkRange(path, value, type);
    if (architecture.conversion?.(name) !== "interleaved") return value.data;
    const heads = name.includes(".q_proj.") ? attention.heads : attention.keyValueHeads;
    return permuteRows(value.data, heads, value.shape[1] ?? 1);
  };
  const tensors = [...plan.tensors].map(
    ([name, tensor]): WrittenTensor => ({
      ...tensor,
      read: () => next(name, tensor.type),
    }),
  );
  const { ropeFactors } = plan;
  if (ropeFactors !== null) {
    const shape = [ropeFactors.length];
    tensors.push({ name: "rope_freqs.weight", shape, type: "F32", read: () => ropeFactors });
  }
  writeGguf(path, plan.metadata, tensors);
}

function checkRange(path: string, { name, data }: NamedTensor, type: WrittenType): void {
  const limit = type === "F32" || type === "BF16" ? Number.MAX_VALUE : LARGEST_HALF;
  const wrong = data.find((value) => !(Math.abs(value) <= limit));
  if (wrong === undefined) return;
  const advice = Number.isFinite(wrong)
    ? `beyond ${type}'s largest, ${limit}: use --type bf16`
    : "not finite";
  throw new ModelFileError(`${path}: ${name} holds ${wrong}, ${advice}`);
}
