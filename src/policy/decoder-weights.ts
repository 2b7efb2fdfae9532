/** Names and shapes of a decoder's weights, reading them from files, and drawing them at random. */
import * as tf from "@tensorflow/tfjs";
import { frozenTensor, halvedTensor } from "../backend/frozen.ts";
import { ModelFileError } from "../lib/errors.ts";
import { createRng, type Rng } from "../lib/rng.ts";
import type { DecoderConfig, WeightSource } from "./interfaces.ts";

export const embeddingName = "model.embed_tokens.weight";
export const headName = "lm_head.weight";
export const finalNormName = "model.norm.weight";

interface Expected {
  /** As in files: matrices [out, in]. */
  shape: readonly number[];
  /** Where the numbers come from, for messages. */
  from: string;
}

/** Module names of layer `n`. */
export function layerModule(n: number, part: string): string {
  return `model.layers.${n}.${part}`;
}

/** The linear layers of decoder layer `n`, module name to [out, in] and the config keys these come from. */
export function linearModules(config: DecoderConfig, n: number): Map<string, Expected> {
  const { hiddenSize, intermediateSize, heads, keyValueHeads, headDim } = config;
  const query = heads * headDim;
  const keyValue = keyValueHeads * headDim;
  const attention = (part: string) => layerModule(n, `self_attn.${part}`);
  const mlp = (part: string) => layerModule(n, `mlp.${part}`);
  return new Map<string, Expected>([
    [
      attention("q_proj"),
      { shape: [query, hiddenSize], from: "num_attention_heads * head_dim, hidden_size" },
    ],
    [
      attention("k_proj"),
      { shape: [keyValue, hiddenSize], from: "num_key_value_heads * head_dim, hidden_size" },
    ],
    [
      attention("v_proj"),
      { shape: [keyValue, hiddenSize], from: "num_key_value_heads * head_dim, hidden_size" },
    ],
    [
      attention("o_proj"),
      { shape: [hiddenSize, query], from: "hidden_size, num_attention_heads * head_dim" },
    ],
    [mlp("gate_proj"), { shape: [intermediateSize, hiddenSize], from: "intermediate_size, hidden_size" }],
    [mlp("up_proj"), { shape: [intermediateSize, hiddenSize], from: "intermediate_size, hidden_size" }],
    [mlp("down_proj"), { shape: [hiddenSize, intermediateSize], from: "hidden_size, intermediate_size" }],
  ]);
}

/** Every weight the config implies, in the order of the forward pass, under its Hugging Face name. */
export function expectedWeights(config: DecoderConfig): Map<string, Expected> {
  const { vocabSize, hiddenSize, headDim, layers } = config;
  const expected = new Map<string, Expected>();
  const width = { shape: [hiddenSize], from: "hidden_size" };
  const vocabulary = { shape: [vocabSize, hiddenSize], from: "vocab_size, hidden_size" };
  expected.set(embeddingName, vocabulary);
  for (let n = 0; n < layers; n++) {
    expected.set(layerModule(n, "input_layernorm.weight"), width);
    for (const [module, { shape, from }] of linearModules(config, n)) {
      if (module.endsWith("gate_proj"))
        expected.set(layerModule(n, "post_attention_layernorm.weight"), width);
      expected.set(`${module}.weight`, { shape, from });
      if (hasBias(config, module))
        expected.set(`${module}.bias`, { shape: [shape[0]!], from: from.split(",")[0]! });
    }
    if (config.queryKeyNorm) {
      for (const part of ["q_norm", "k_norm"]) {
        expected.set(layerModule(n, `self_attn.${part}.weight`), { shape: [headDim], from: "head_dim" });
      }
    }
  }
  expected.set(finalNormName, width);
  if (!config.tiedEmbeddings) expected.set(headName, vocabulary);
  return expected;
}

function hasBias(config: DecoderConfig, module: string): boolean {
  if (module.includes(".mlp.")) return config.mlpBias;
  return module.endsWith("o_proj") ? config.outputBias : config.queryKeyValueBias;
}

/** Number of weights that `config` implies, tied ones once. */
export function parameterCount(config: DecoderConfig): number {
  let count = 0;
  for (const { shape } of expectedWeights(config).values()) count += shape.reduce((a, b) => a * b, 1);
  return count;
}

/** Linear layers are held [in, out], everything else as in the file; an untied head is a linear layer. */
export function isTransposed(name: string): boolean {
  return name === headName || name.endsWith("_proj.weight");
}

/**
 * Reads every weight onto the current backend, one tensor at a time.
 * @param source what the user named, for messages
 * @param options.frozen nothing will train them: they may be held in less memory
 * @returns tensors by Hugging Face name, linear layers [in, out]; `notes` for what was accepted with a remark
 * @throws ModelFileError listing missing, unexpected or misshapen tensors
 */
export function loadDecoderWeights(
  config: DecoderConfig,
  weights: WeightSource,
  source: string,
  { frozen = false }: { frozen?: boolean } = {},
): { tensors: Map<string, tf.Tensor>; notes: string[] } {
  const notes: string[] = [];
  const expected = expectedWeights(config);
  const inFile = fileNames(weights, notes);
  if (config.tiedEmbeddings && inFile.has(headName)) {
    checkTiedHead(weights, inFile, source);
    inFile.delete(headName);
  }
  const missing = [...expected.keys()].filter((name) => !inFile.has(name));
  if (missing.length > 0) throw new ModelFileError(`${source}: ${missingMessage(missing)}`);
  const unexpected = [...inFile.keys()].filter((name) => !expected.has(name));
  if (unexpected.length > 0) {
    throw new ModelFileError(
      `${source}: unexpected tensors for a ${config.family} model: ${firstFew(unexpected)}; does config.json belong to these weights?`,
    );
  }
  const misshapen = [...expected].flatMap(([name, { shape, from }]) => {
    const found = weights.shape(inFile.get(name)!);
    if (found.length === shape.length && found.every((size, i) => size === shape[i])) return [];
    return [`${name} is [${found.join(", ")}], config.json implies [${shape.join(", ")}] (${from})`];
  });
  if (misshapen.length > 0) throw new ModelFileError(`${source}: ${firstFew(misshapen, "; ")}`);

  const tensors = new Map<string, tf.Tensor>();
  for (const [name, { shape }] of expected) {
    const held = isTransposed(name) ? [...shape].reverse() : shape;
    tensors.set(
      name,
      weights.tensor?.(held, frozen) ?? weightTensor(name, shape, weights.read(inFile.get(name)!), frozen),
    );
  }
  return { tensors, notes };
}

/** A tensor in the layout it is held in. @param shape as in the file */
export function weightTensor(
  name: string,
  shape: readonly number[],
  values: Float32Array,
  frozen = false,
): tf.Tensor {
  const make = frozen
    ? frozenTensor
    : (held: Float32Array, size: readonly number[]) => tf.tensor(held, [...size]);
  if (!isTransposed(name)) return make(values, shape);
  const [rows, columns] = shape as [number, number];
  return make(transposeMatrix(values, rows, columns), [columns, rows]);
}

/** [rows, columns] to [columns, rows], in blocks that fit the cache. */
export function transposeMatrix(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  const block = 32;
  for (let top = 0; top < rows; top += block) {
    const bottom = Math.min(rows, top + block);
    for (let left = 0; left < columns; left += block) {
      const right = Math.min(columns, left + block);
      for (let r = top; r < bottom; r++) {
        for (let c = left; c < right; c++) result[c * rows + r] = values[r * columns + c]!;
      }
    }
  }
  return result;
}

/** Canonical name to name in the file, buffers of very old files dropped, a missing `model.` prefix added. */
function fileNames(weights: WeightSource, notes: string[]): Map<string, string> {
  const names = weights.names.filter(
    (name) => !name.endsWith(".rotary_emb.inv_freq") && !name.endsWith(".self_attn.masked_bias"),
  );
  const bare = names.length > 0 && !names.some((name) => name.startsWith("model."));
  if (bare) notes.push("the tensors have no `model.` prefix: read as a base model without it");
  return new Map(names.map((name) => [bare && name !== headName ? `model.${name}` : name, name]));
}

function checkTiedHead(weights: WeightSource, inFile: Map<string, string>, source: string): void {
  const embedding = inFile.get(embeddingName);
  if (embedding === undefined) return;
  const head = weights.read(inFile.get(headName)!);
  const table = weights.read(embedding);
  if (head.length !== table.length || head.some((value, i) => value !== table[i])) {
    throw new ModelFileError(
      `${source}: config.json ties the embeddings, yet ${headName} differs from ${embeddingName}; ` +
        "set tie_word_embeddings to false to use both",
    );
  }
}

function missingMessage(missing: readonly string[]): string {
  const hint =
    missing.length === 1 && missing[0] === headName
      ? "; set tie_word_embeddings to true if the output uses the embedding"
      : "";
  return `missing tensors: ${firstFew(missing)}${hint}`;
}

function firstFew(items: readonly string[], separator = ", "): string {
  const more = items.length > 5 ? ` and ${items.length - 5} more` : "";
  return items.slice(0, 5).join(separator) + more;
}

/**
 * Weights of an untrained model, drawn when they are read: N(0, `initializer_range`, 0.02 if absent) for
 * matrices, with o_proj and down_proj scaled by 1/sqrt(2 L) (GPT-2's residual scaling), norms 1, biases 0.
 * @param rng each weight draws from its own fork, named like the weight
 */
export function randomWeights(config: DecoderConfig, rng: Rng, deviation = 0.02): WeightSource {
  const expected = expectedWeights(config);
  const shapeOf = (name: string): readonly number[] => {
    const found = expected.get(name);
    if (!found) throw new RangeError(`no weight is called ${name}`);
    return found.shape;
  };
  return {
    names: [...expected.keys()],
    shape: shapeOf,
    dtype: () => "F32",
    read: (name) => {
      const shape = shapeOf(name);
      const size = shape.reduce((a, b) => a * b, 1);
      if (shape.length === 1) return new Float32Array(size).fill(name.endsWith(".bias") ? 0 : 1);
      const residual = name.endsWith("o_proj.weight") || name.endsWith("down_proj.weight");
      const scale = residual ? deviation / Math.sqrt(2 * config.layers) : deviation;
      const stream = rng.fork("weights", name);
      return Float32Array.from({ length: size }, (_, i) => scale * stream.normal(i));
    },
    close: () => {},
  };
}

/**
 * Weights of a model of which only the shapes matter: all 0, and the host keeps none of them.
 * @param dtype that the files have: "BF16" ones are held in less memory where they are frozen
 */
export function zeroWeights(config: DecoderConfig, dtype = "F32"): WeightSource {
  const { names, shape, close } = randomWeights(config, createRng(0));
  return {
    names,
    shape,
    dtype: () => dtype,
    read: (name) => new Float32Array(sizeOf(shape(name))),
    tensor: (held, frozen) => {
      const halved = frozen && dtype === "BF16" ? halvedTensor(new Float32Array(sizeOf(held)), held) : null;
      return halved ?? tf.zeros([...held]);
    },
    close,
  };
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);
