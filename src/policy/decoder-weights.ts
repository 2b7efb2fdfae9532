/** Names and shapes of a decoder's weights, reading them from files, and drawing them at random. */
import * as tf from "@tensorflow/tfjs";
import { frozenTensor, halvedTensor } from "../backend/frozen.ts";
import { ModelFileError } from "../lib/errors.ts";
import { createRng, type Rng } from "../lib/rng.ts";
import { frozenBase } from "./frozen-base.ts";
import type {
  CausalConvConfig,
  ConnectorConfig,
  DecoderConfig,
  LinearConfig,
  MixerConfig,
  MlpConfig,
  VisionConfig,
  WeightSource,
} from "./interfaces.ts";
import type { ModelPart } from "./model-parts.ts";
import type { BaseDtype } from "./options.ts";

interface Expected {
  /** As in files. */
  shape: readonly number[];
  /** Where the numbers come from, for messages. */
  from: string;
  /** A linear layer's matrix, held [in, out]. */
  matrix: boolean;
  /**
   * Of an untrained model: drawn, smaller where it writes into the residual stream, or by the number of inputs (a tower's);
   * ln of U(0.01, 16); or one number.
   */
  initial: "normal" | "residual" | "fan-in" | "log-rate" | 0 | 1;
}

/** The linear layers of decoder layer `n` by module name, in the order of the forward pass. */
export function linearModules(config: DecoderConfig, n: number): Map<string, LinearConfig> {
  const layer = config.layers[n]!;
  const all = [...mixerLinears(layer.mixer), ...mlpLinears(layer.mlp)];
  return new Map(all.map((linear) => [linear.module, linear]));
}

/** The linear layers of the tower's layer `n`. */
export function towerModules({ layers }: VisionConfig, n: number): Map<string, LinearConfig> {
  const { mixer, mlp } = layers[n]!;
  return new Map([...mixerLinears(mixer), ...mlpLinears(mlp)].map((linear) => [linear.module, linear]));
}

/** In the order of the forward pass. */
export function connectorLinears(connector: ConnectorConfig): LinearConfig[] {
  return connector.kind === "shuffle" ? [connector.projection] : [connector.up, connector.down];
}

/** Which part of the model a weight or module belongs to. */
export function partOf({ vision }: Pick<DecoderConfig, "vision">, name: string): ModelPart {
  if (vision === null) return "decoder";
  if (name.startsWith(vision.connector.prefix)) return "projector";
  return name.startsWith(vision.prefix) ? "tower" : "decoder";
}

function mixerLinears(mixer: MixerConfig): LinearConfig[] {
  if (mixer.kind === "short-conv") return [mixer.input, mixer.output];
  if (mixer.kind === "delta-net") {
    return [mixer.input, mixer.gate, mixer.strength, mixer.decay, mixer.output];
  }
  const { projections, output } = mixer;
  if (projections.kind !== "apart") return [projections.all, output];
  return [projections.query, projections.key, projections.value, output];
}

function mlpLinears(mlp: MlpConfig): LinearConfig[] {
  switch (mlp.kind) {
    case "gated":
      return [mlp.gate, mlp.up, mlp.down];
    case "gated-joined":
      return [mlp.gateUp, mlp.down];
    case "plain":
      return [mlp.up, mlp.down];
  }
}

/** Every weight the config implies, in the order of the forward pass, under its Hugging Face name. */
export function expectedWeights(config: DecoderConfig): Map<string, Expected> {
  const { vocabSize, hiddenSize, names } = config;
  const expected = new Map<string, Expected>();
  const add = (name: string, shape: readonly number[], from: string, rest: Partial<Expected> = {}) =>
    expected.set(name, { shape, from, matrix: false, initial: "normal", ...rest });
  const addNorm = (
    module: string | null,
    width = hiddenSize,
    from = "hidden_size",
    { kind } = config.norm,
  ) => {
    if (module === null) return;
    add(`${module}.weight`, [width], from, { initial: kind === "rms-one-plus" ? 0 : 1 });
    if (kind === "layer") add(`${module}.bias`, [width], from, { initial: 0 });
  };
  const addLinear = (
    { module, outputs, inputs, from, bias }: LinearConfig,
    initial: "normal" | "residual" | "fan-in",
  ) => {
    const [rows, columns] = from.split(", ") as [string, string];
    if (config.matrices === "out-in")
      add(`${module}.weight`, [outputs, inputs], from, { matrix: true, initial });
    else add(`${module}.weight`, [inputs, outputs], `${columns}, ${rows}`, { matrix: true, initial });
    if (bias) add(`${module}.bias`, [outputs], rows, { initial: 0 });
  };
  const addConv = ({ module, channels, kernel, bias, from }: CausalConvConfig) => {
    const [width, taps] = from.split(", ") as [string, string];
    add(`${module}.weight`, [channels, 1, kernel], `${width}, 1, ${taps}`);
    if (bias) add(`${module}.bias`, [channels], width, { initial: 0 });
  };
  const addTower = ({ hiddenSize: width, patch, positions, layers, norm, ...tower }: VisionConfig) => {
    const [first] = patch.from.split(", ") as [string];
    add(`${patch.module}.weight`, patch.shape, patch.from, { initial: "fan-in" });
    if (patch.bias) add(`${patch.module}.bias`, [width], first, { initial: 0 });
    if (positions.kind === "learned") {
      add(`${positions.module}.weight`, [positions.count, width], "(image_size / patch_size)^2, hidden_size");
    }
    for (const { mixer, mlp, norms } of layers) {
      addNorm(norms.mixerInput, width, first, norm);
      for (const linear of mixerLinears(mixer)) addLinear(linear, "fan-in");
      addNorm(norms.mlpInput, width, first, norm);
      for (const linear of mlpLinears(mlp)) addLinear(linear, "fan-in");
    }
    addNorm(tower.finalNorm, width, first, norm);
    if (tower.connector.kind === "merger") addNorm(tower.connector.norm, width, first, norm);
    for (const linear of connectorLinears(tower.connector)) addLinear(linear, "fan-in");
  };
  if (config.vision !== null) addTower(config.vision);
  add(`${names.embedding}.weight`, [vocabSize, hiddenSize], "vocab_size, hidden_size");
  if (names.positions !== null) {
    add(
      `${names.positions}.weight`,
      [config.learnedPositions, hiddenSize],
      "max_position_embeddings, hidden_size",
    );
  }
  for (const { mixer, mlp, norms } of config.layers) {
    addNorm(norms.mixerInput);
    for (const linear of mixerLinears(mixer))
      addLinear(linear, linear === mixer.output ? "residual" : "normal");
    addNorm(norms.mixerOutput);
    addNorm(norms.mlpInput);
    for (const linear of mlpLinears(mlp)) addLinear(linear, linear === mlp.down ? "residual" : "normal");
    addNorm(norms.mlpOutput);
    if (mixer.kind !== "attention") addConv(mixer.conv);
    if (mixer.kind === "delta-net") {
      const { valueHeads, valueDim } = mixer;
      add(mixer.rate, [valueHeads], "linear_num_value_heads", { initial: "log-rate" });
      add(mixer.rateBias, [valueHeads], "linear_num_value_heads", { initial: 1 });
      add(`${mixer.norm}.weight`, [valueDim], "linear_value_head_dim", { initial: 1 });
    }
    if (mixer.kind === "attention" && mixer.queryKeyNorm !== null) {
      const { query, key, over } = mixer.queryKeyNorm;
      const { heads, keyValueHeads, headDim } = mixer;
      const all = over === "projection";
      addNorm(query, all ? heads * headDim : headDim, all ? "num_attention_heads * head_dim" : "head_dim");
      addNorm(
        key,
        all ? keyValueHeads * headDim : headDim,
        all ? "num_key_value_heads * head_dim" : "head_dim",
      );
    }
  }
  addNorm(names.finalNorm);
  if (!config.tiedEmbeddings) {
    add(`${names.head}.weight`, [vocabSize, hiddenSize], "vocab_size, hidden_size", { matrix: true });
  }
  return expected;
}

/** Number of weights that `config` implies, tied ones once. */
export function parameterCount(config: DecoderConfig): number {
  let count = 0;
  for (const { shape } of expectedWeights(config).values()) count += shape.reduce((a, b) => a * b, 1);
  return count;
}

/** Linear layers are held [in, out], an untied head too; everything else lies as in the file. */
export function isTransposed(
  config: DecoderConfig,
  name: string,
  { matrix }: Pick<Expected, "matrix">,
): boolean {
  return matrix && (config.matrices === "out-in" || name === headWeight(config));
}

export const headWeight = ({ names }: Pick<DecoderConfig, "names">): string => `${names.head}.weight`;
export const embeddingWeight = ({ names }: Pick<DecoderConfig, "names">): string =>
  `${names.embedding}.weight`;

/**
 * Reads every weight onto the current backend, one tensor at a time.
 * @param source what the user named, for messages
 * @param options.frozen which of them nothing will train: they may be held in less memory
 * @param options.baseDtype the form of frozen matrices; absent: float32
 * @returns tensors by Hugging Face name, linear layers [in, out]; `notes` for what was accepted with a remark
 * @throws ModelFileError listing missing, unexpected or misshapen tensors
 */
export function loadDecoderWeights(
  config: DecoderConfig,
  weights: WeightSource,
  source: string,
  {
    frozen = () => false,
    baseDtype,
  }: { frozen?: (name: string) => boolean; baseDtype?: BaseDtype | undefined } = {},
): { tensors: Map<string, tf.Tensor>; notes: string[] } {
  const notes: string[] = [];
  const expected = expectedWeights(config);
  const inFile = fileNames(config, weights, notes);
  if (config.tiedEmbeddings && inFile.has(headWeight(config))) {
    checkTiedHead(config, weights, inFile, source);
    inFile.delete(headWeight(config));
  }
  const missing = [...expected.keys()].filter((name) => !inFile.has(name));
  if (missing.length > 0)
    throw new ModelFileError(`${source}: ${missingMessage(missing, headWeight(config))}`);
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
  const base = baseDtype === undefined ? null : frozenBase(baseDtype, weights);
  for (const [name, weight] of expected) {
    const { shape, matrix } = weight;
    const transposed = isTransposed(config, name, weight);
    const held = transposed ? [...shape].reverse() : shape;
    const own = inFile.get(name)!;
    const overTokens = [embeddingWeight(config), headWeight(config)].includes(name);
    const rows = matrix && !transposed ? "in-out" : "out-in";
    const isFrozen = frozen(name);
    const quantised =
      base !== null && isFrozen && (matrix || overTokens)
        ? base.tensorOf({ name, inFile: own, shape, rows, transposed: matrix, overTokens })
        : null;
    tensors.set(
      name,
      quantised ??
        weights.tensor?.(held, isFrozen) ??
        weightTensor(transposed, shape, weights.read(own), isFrozen),
    );
  }
  return { tensors, notes: [...notes, ...(base?.notes() ?? [])] };
}

/** A tensor in the layout it is held in. @param shape as in the file */
function weightTensor(
  transposed: boolean,
  shape: readonly number[],
  values: Float32Array,
  frozen = false,
): tf.Tensor {
  const make = frozen
    ? frozenTensor
    : (held: Float32Array, size: readonly number[]) => tf.tensor(held, [...size]);
  if (!transposed) return make(values, shape);
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

/** Buffers that old files hold: masks and frequencies, which follow from the config. */
const BUFFER = /\.(rotary_emb\.inv_freq|(self_attn|attn|attention)\.(masked_)?bias)$/;

/** Canonical name to name in the file, buffers of old files dropped, a missing prefix (`model.`) added. */
function fileNames(config: DecoderConfig, weights: WeightSource, notes: string[]): Map<string, string> {
  const aliasOf = (name: string): string => {
    const alias = config.aliases?.find(([there]) => name.startsWith(there));
    return alias === undefined ? name : alias[1] + name.slice(alias[0].length);
  };
  const files = new Map(
    weights.names.filter((name) => !BUFFER.test(name)).map((name) => [aliasOf(name), name]),
  );
  const names = [...files.keys()];
  const prefix = config.layerPrefix.slice(0, config.layerPrefix.indexOf(".") + 1);
  const bare = names.length > 0 && !names.some((name) => name.startsWith(prefix));
  if (bare) notes.push(`the tensors have no \`${prefix}\` prefix: read as a base model without it`);
  const head = headWeight(config);
  return new Map([...files].map(([name, own]) => [bare && name !== head ? `${prefix}${name}` : name, own]));
}

function checkTiedHead(
  config: DecoderConfig,
  weights: WeightSource,
  inFile: Map<string, string>,
  source: string,
): void {
  const [headName, embeddingName] = [headWeight(config), embeddingWeight(config)];
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

function missingMessage(missing: readonly string[], headName: string): string {
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

/** `initializer_range` of config.json, or of its `text_config`. */
export function initializerRange(json: Readonly<Record<string, unknown>>): number | undefined {
  const { text_config: text } = json as { text_config?: Record<string, unknown> };
  const found = json["initializer_range"] ?? text?.["initializer_range"];
  return typeof found === "number" ? found : undefined;
}

/**
 * Weights of an untrained model, drawn when they are read: N(0, `initializer_range`, 0.02 if absent) for
 * matrices, those that write into the residual stream scaled by 1/sqrt(2 L) (as in GPT-2), norms that change nothing, biases 0,
 * rates of a delta net as its class in transformers draws them, matrices of a tower from N(0, 1/sqrt(inputs)).
 * @param rng each weight draws from its own fork, named like the weight
 */
export function randomWeights(config: DecoderConfig, rng: Rng, deviation = 0.02): WeightSource {
  const expected = expectedWeights(config);
  const weightOf = (name: string): Expected => {
    const found = expected.get(name);
    if (!found) throw new RangeError(`no weight is called ${name}`);
    return found;
  };
  return {
    names: [...expected.keys()],
    shape: (name) => weightOf(name).shape,
    dtype: () => "F32",
    read: (name) => {
      const { shape, initial } = weightOf(name);
      const size = sizeOf(shape);
      if (typeof initial === "number") return new Float32Array(size).fill(initial);
      if (initial === "log-rate") {
        const stream = rng.fork("weights", name);
        return Float32Array.from({ length: size }, (_, i) => Math.log(0.01 + 15.99 * stream.uniform(i)));
      }
      const scale =
        initial === "residual"
          ? deviation / Math.sqrt(2 * config.layers.length)
          : initial === "fan-in"
            ? 1 / Math.sqrt(sizeOf(shape.slice(1)))
            : deviation;
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
