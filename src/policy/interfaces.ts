/** What flows between model files, the decoder and the algorithms. */
import type { Scalar, Tensor, Tensor1D, Tensor2D, Variable } from "@tensorflow/tfjs";
import type { QuantisedForm, QuantisedMatrix } from "../backend/quantised.ts";
import type { GenerativePolicy, PictureTile, PromptPictures, Tokenizer } from "../types.ts";

/** Weights as they lie on disk, under their Hugging Face names, matrices [out, in] row-major. */
export interface WeightSource {
  readonly names: readonly string[];
  shape(name: string): readonly number[];
  /** dtype on disk: "F32", "BF16", "F16", "Q4_1", ... */
  dtype(name: string): string;
  /** Decoded to float32. Reads one tensor at a time, so that a model never stands in memory twice. */
  read(name: string): Float32Array;
  /**
   * A matrix [out, in] as codes and scales, as the file has them, to be read when they are wanted; null: it has none of a form
   * that can be held.
   */
  quantised?(name: string): { form: QuantisedForm; read(): QuantisedMatrix } | null;
  /** Makes the tensor itself, of the shape that it is held in; only where its numbers do not matter. */
  tensor?(shape: readonly number[], frozen: boolean): Tensor;
  close(): void;
}

/** A model directory, GGUF file or Hub snapshot, opened. */
export interface ModelFiles {
  /** What the user named, for messages. */
  readonly source: string;
  /** config.json (for GGUF: rebuilt from its metadata). */
  readonly config: Readonly<Record<string, unknown>>;
  /** generation_config.json, or {}. */
  readonly generationConfig: Readonly<Record<string, unknown>>;
  readonly weights: WeightSource;
  readonly tokenizer: Tokenizer;
  /** Tokenizer files by name, copied byte for byte into every checkpoint (for GGUF: rebuilt). */
  readonly tokenizerFiles: ReadonlyMap<string, Uint8Array>;
}

export interface NamedTensor {
  name: string;
  shape: readonly number[];
  data: Float32Array;
}

/** One linear layer: y = W x + b. */
export interface LinearConfig {
  /** Name in the files, without `.weight`. */
  module: string;
  outputs: number;
  inputs: number;
  bias: boolean;
  /** Config keys that its shape [out, in] comes from, for messages. */
  from: string;
}

/** A rotary table: pairs i and i + R/2 of a head's first R dimensions are turned, the rest stays. */
export interface RotaryConfig {
  /** Inverse frequencies, [R/2], scaling applied. */
  inverse: Float64Array;
  /** Factor on cos and sin (yarn, longrope), 1 otherwise. */
  attentionFactor: number;
  /** Frequencies that turn with a token's time, its row and its column; absent: all with its position. */
  sections?: readonly [number, number, number];
}

export interface AttentionConfig {
  kind: "attention";
  heads: number; // Nh
  keyValueHeads: number; // Nk
  headDim: number; // D
  /**
   * Three modules; or one whose outputs are queries, keys and values of all heads in turn ("joined"), or those of the
   * first head, of the second and so on ("by-head"). Where they are gated, the query's module gives each head's query and then
   * its gate: what is attended is times sigmoid(gate) (Qwen3.5).
   */
  projections:
    | { kind: "apart"; query: LinearConfig; key: LinearConfig; value: LinearConfig; gated: boolean }
    | { kind: "joined" | "by-head"; all: LinearConfig };
  output: LinearConfig;
  /** Norms of queries and keys before rotation, over each head or all of them together; null: none. */
  queryKeyNorm: { query: string; key: string; over: "head" | "projection" } | null;
  /** null: positions do not enter here. */
  rotary: RotaryConfig | null;
  /** Factor on q k^T. */
  scale: number;
  /** c: scores s become c tanh(s / c); null: they stay. */
  softcap: number | null;
  /** Keys that a query sees, itself included; null: all before it. */
  window: number | null;
}

/** A convolution over time that has a kernel of its own for each channel and sees a token and those before it. */
export interface CausalConvConfig {
  /** Module of the kernels, [channels, 1, K], and their bias. */
  module: string;
  channels: number;
  kernel: number; // K
  bias: boolean;
  /** Config keys that channels and K come from, for messages. */
  from: string;
}

/** A short convolution between two gates (LFM2): with b, c, u the thirds of `input`, c * conv(b * u). */
export interface ShortConvConfig {
  kind: "short-conv";
  input: LinearConfig; // H to 3 H
  conv: CausalConvConfig;
  output: LinearConfig;
}

/**
 * A gated delta net (arXiv:2412.06464 section 3): each value head has a memory [Dk, Dv] instead of keys and values. What is
 * computed stands in gated-delta-net.ts. Hv / Hk value heads, one after the other, have a query and a key in common.
 */
export interface DeltaNetConfig {
  kind: "delta-net";
  keyHeads: number; // Hk
  valueHeads: number; // Hv
  keyDim: number; // Dk
  valueDim: number; // Dv
  /** All queries, all keys, all values: what the convolution sees. */
  input: LinearConfig; // H to 2 Hk Dk + Hv Dv
  conv: CausalConvConfig;
  /** Gate of what a head reads, before `output`. */
  gate: LinearConfig; // H to Hv Dv
  /** How much of its value a token writes. */
  strength: LinearConfig; // H to Hv
  /** How much of the memory a token forgets, with the weights `rate` and `rateBias`, [Hv] each. */
  decay: LinearConfig; // H to Hv
  rate: string;
  rateBias: string;
  /** Module of the RMS norm over Dv of what is read, times its weight as it is. */
  norm: string;
  output: LinearConfig;
}

/** Mixers that remember a state of one size instead of keys and values. */
export type RecurrentConfig = ShortConvConfig | DeltaNetConfig;

export type MixerConfig = AttentionConfig | RecurrentConfig;

export type Activation = "silu" | "gelu" | "gelu-tanh" | "quick-gelu";

/** Layers one after the other on a residual stream: a decoder's, or those of a tower that sees pictures. */
export interface LayerStack {
  layers: readonly LayerConfig[];
  norm: NormConfig;
  /** Factor on what a layer adds. */
  residualScale: number;
}

/** down(activation(gate x) * up x), gate and up in one module or two; or down(activation(up x)). */
export type MlpConfig = { activation: Activation; down: LinearConfig } & (
  | { kind: "gated"; gate: LinearConfig; up: LinearConfig }
  | { kind: "gated-joined"; gateUp: LinearConfig }
  | { kind: "plain"; up: LinearConfig }
);

/** What one layer computes: x + mixer(x), then + mlp. Names of norms are modules; null: there is none. */
export interface LayerConfig {
  mixer: MixerConfig;
  mlp: MlpConfig;
  norms: {
    mixerInput: string | null;
    mixerOutput: string | null;
    mlpInput: string | null;
    mlpOutput: string | null;
  };
  /** The MLP reads the layer's input instead of what the mixer has been added to. */
  parallel: boolean;
}

/** Of the residual stream: RMS times w, or times 1 + w; or LayerNorm with weight and bias. */
export interface NormConfig {
  kind: "rms" | "rms-one-plus" | "layer";
  epsilon: number;
}

/**
 * Idefics3's pixel shuffle and one product, patches of a tile row by row; or Qwen2-VL's merger, a norm of each patch and two
 * products with GELU between them, patches of a cell one after the other. Names of its weights begin with `prefix`.
 */
export type ConnectorConfig = { scale: number; prefix: string } & (
  | { kind: "shuffle"; projection: LinearConfig }
  | { kind: "merger"; norm: string; up: LinearConfig; down: LinearConfig }
);

/**
 * What makes rows of width H of a picture's patches, which stand in the place of embedded image tokens: a product with each
 * patch, positions, layers in which all patches of a tile see each other, and a connector.
 */
export interface VisionConfig extends LayerStack {
  hiddenSize: number; // E
  /** The product with a patch. `shape` is that of its weight in files, [E, ...], of which all but the first make K. */
  patch: { module: string; shape: readonly number[]; bias: boolean; from: string };
  /**
   * A learned vector for each patch of a tile, [count, E], so that all tiles have one size; or rotation by row and column: of a
   * head's frequencies the first half turns with the row, the others with the column.
   */
  positions: { kind: "learned"; module: string; count: number } | { kind: "axial"; inverse: Float64Array }; // [Dv/4]
  finalNorm: string | null;
  /** scale x scale patches become one row of width scale^2 E, then H. */
  connector: ConnectorConfig;
  /** Layers but those of `full` see windows of `side` x `side` connected rows (Qwen2.5-VL); null: all see all. */
  windows: { side: number; full: readonly number[] } | null;
  /** Names of its weights begin with this, those of layer n with `layerPrefix` and `n.`. */
  prefix: string;
  layerPrefix: string;
  /** Its embedding is never looked at: the tower's rows stand there. */
  imageTokenId: number;
}

/** A decoder as data: what a family's declaration makes of config.json. */
export interface DecoderConfig extends LayerStack {
  /** `model_type` */
  family: string;
  vocabSize: number; // V
  hiddenSize: number; // H
  /** null: it sees no pictures. */
  vision: VisionConfig | null;
  /** Beginnings of names in other spellings of the family's files, and what they are here; the first that fits. */
  aliases?: readonly (readonly [string, string])[];
  /** Names of weights outside of the layers; `positions` is null where positions are not learned. */
  names: { embedding: string; positions: string | null; finalNorm: string; head: string };
  /** Names of layer n's weights begin with this and `n.`. */
  layerPrefix: string;
  /** How matrices of the layers lie in files. */
  matrices: "out-in" | "in-out";
  tiedEmbeddings: boolean;
  /** Factors on embedded tokens, and on logits. */
  embeddingScale: number;
  logitScale: number;
  /** c: logits z become c tanh(z / c); null: they stay. */
  logitSoftcap: number | null;
  maxPositions: number;
  /** The config key that bounds them, for messages. */
  positionsKey: string;
  /** Rows of the table of learned positions; 0 where there is none. */
  learnedPositions: number;
}

/**
 * How a row is laid out that holds one prompt and several completions of it: the prompt, padded on the left to
 * `promptLength`, then `completions` times `completionLength` tokens, each padded on the right. A completion sees the
 * prompt and itself. Its last token may be missing: nothing is scored after it.
 */
export interface SharedPrompts {
  promptLength: number; // S
  completions: number; // G
  completionLength: number; // T
}

/**
 * Token rows for one forward pass, padded on the right to a bucketed length, plus the positions to score.
 * Everything is an array of fixed shape, so that a step can be traced once per bucket.
 */
export interface TokenBatch {
  rows: number; // R
  /** null or absent: a row holds whole samples, one after the other. */
  shared?: SharedPrompts | null;
  length: number; // tokens per row after padding
  tokens: Int32Array; // [R * length]
  /** 0 is padding; a token sees earlier tokens of the same row and segment (packing: several segments). */
  segments: Int32Array; // [R * length]
  /** Position ids, restarted at each segment. */
  positions: Int32Array; // [R * length]
  /** null or absent: no row holds a picture. */
  pictures?: BatchPictures | null;
  /** Flat index (row * length + slot) of the token *before* each scored one. */
  scoredAt: Int32Array; // [K]
  /** The scored token's id. */
  targets: Int32Array; // [K]
}

/** Pictures of a batch: what the tower reads, and where its rows stand. */
export interface BatchPictures {
  /** Each once; null fills them up to a number that comes again. [n] */
  tiles: readonly (PictureTile | null)[];
  /** Rows that the tower makes of a tile, padding after its own. */
  tileTokens: number;
  /** Of each token, which of the tower's n * tileTokens rows stands in its place; -1: its own embedding. [R * length] */
  rows: Int32Array;
}

export interface TokenScores {
  /** log p(target) at the given temperature, differentiable in the trainable weights. [K] */
  logprobs: Tensor1D;
  /** Entropy of each scored distribution, nats; no gradient unless ScoreOptions asks for it. [K] */
  entropy: Tensor1D;
}

export interface ScoreOptions {
  /** Logits are divided by it; the sampler's temperature, so that both speak of one distribution. */
  temperature: number;
  /** Score with the frozen reference policy. For LoRA: the adapter switched off. */
  reference?: boolean;
  /** The entropy is differentiable too. */
  entropyGradient?: boolean;
  /** Products of float32 operands, whatever `precision` says. */
  exact?: boolean;
}

/** What an optimizer step needs of a policy or a critic. */
export interface Trainee {
  /** Trainable variables by stable name, in a fixed order. */
  readonly trainable: ReadonlyMap<string, Variable>;
  /** Loss and gradients of the trainable variables; the caller disposes both. */
  lossAndGradients(loss: () => Scalar): { loss: Scalar; gradients: Map<string, Tensor> };
  /** Computes what has been asked for so far, on backends that would gather it up to the next read. */
  settle(): void;
}

/** How batches are padded where each new shape costs a compilation. */
export interface FewShapes {
  /** Every position is scored, those that are not wanted with weight 0: cheap where the vocabulary is small. */
  scoreAll: boolean;
  /** Rows, and scored tokens, are a multiple of this: each device has as many. */
  devices: number;
  /** Rows of a tile after padding, for tiles of so many at most; absent: so many. */
  tileTokens?: ((most: number) => number) | undefined;
}

/** A policy that can be trained. Weights are [in, out] inside, [out, in] in files. */
export interface TrainablePolicy extends GenerativePolicy, Trainee {
  readonly config: DecoderConfig;
  readonly parameterCount: number;
  /** Bytes of its weights where they lie, adapters apart. */
  readonly weightBytes: number;
  /** Rounding of operands of matrix products. */
  readonly precision: "f32" | "tf32" | "bf16";
  /** Programs compiled so far and the seconds that took; null on backends that compile nothing. */
  compilation(): { programs: number; seconds: number } | null;
  /** Padding of batches; null: as little as possible. */
  readonly fewShapes: FewShapes | null;
  /** Every weight, or the LoRA matrices. */
  readonly trainable: ReadonlyMap<string, Variable>;
  /**
   * Before a pass over rows that show these: what a frozen tower makes of them is computed, where it is not known, and kept. Without
   * it `score` computes them on the way, equal but for the last bits.
   */
  look(pictures: readonly (PromptPictures | null | undefined)[]): void;
  /** Tensors that are in use, without what is kept of pictures: that depends on what was seen since the run was taken up. */
  tensorsInUse(): number;
  /** Sync, pure in (weights, batch); call inside tf.tidy. No read-back. */
  score(batch: TokenBatch, options: ScoreOptions): TokenScores;
  /**
   * Hidden states before each scored token, after the final norm, differentiable in `own`: these stand in for the
   * trainable weights of the same name. Inside tf.tidy. [K, H]
   */
  hidden(batch: TokenBatch, own: ReadonlyMap<string, Variable>): Tensor2D;
  /** Freezes a copy of the current trainable weights as the reference (full training only; LoRA needs none). */
  freezeReference(): void;
  /** Frees the reference, for a stage that needs none. */
  dropReference(): void;
  /** The frozen reference under stable names, in the internal layout; null where none is held (LoRA). */
  exportReference(): NamedTensor[] | null;
  /** Puts a reference from `exportReference` back. @throws Error naming a tensor that does not fit */
  importReference(tensors: readonly NamedTensor[]): void;
  /** Brings weights to the host where the backend cannot be read synchronously; before any export. */
  prepareExport(): Promise<void>;
  /** Weights under Hugging Face names and layout; LoRA merged. */
  exportWeights(): Iterable<NamedTensor>;
  /** The LoRA matrices under PEFT names, or null for full training. */
  exportAdapter(): { tensors: NamedTensor[]; config: Record<string, unknown> } | null;
  dispose(): void;
}

export interface LoraOptions {
  rank: number;
  alpha: number;
  targets: readonly string[];
  useRslora: boolean;
}
