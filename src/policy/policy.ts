/** A policy: weights on the backend, what of them is trained, its reference, and the ways in and out. */
import * as tf from "@tensorflow/tfjs";
import { deviceCount, overDevices } from "../backend/devices.ts";
import { frozenTensor, halvedTensor, heldBytes, holdsHalves } from "../backend/frozen.ts";
import { tokenLogprobs } from "../backend/ops.ts";
import { mark } from "../backend/profile.ts";
import {
  compilation,
  compilesPrograms,
  prefetch,
  productPrecision,
  settle,
  withExactProducts,
} from "../backend/read.ts";
import { RlptError } from "../lib/errors.ts";
import { createRng, type Rng } from "../lib/rng.ts";
import type { GenerationOptions, GenerationSession, PromptPictures, SamplingRequest } from "../types.ts";
import { loraScale } from "./adapter-config.ts";
import { hiddenStates, logitsOf, outputWeight, scaledForOutput } from "./decoder.ts";
import {
  embeddingWeight,
  expectedWeights,
  headWeight,
  initializerRange,
  isTransposed,
  loadDecoderWeights,
  parameterCount,
  partOf,
  randomWeights,
  transposeMatrix,
} from "./decoder-weights.ts";
import { halvedNote } from "./frozen-base.ts";
import { startSession } from "./generation.ts";
import { lossAndGradients } from "./gradients.ts";
import type {
  DecoderConfig,
  FewShapes,
  LoraOptions,
  NamedTensor,
  ScoreOptions,
  TokenBatch,
  TokenScores,
  TrainablePolicy,
  WeightSource,
} from "./interfaces.ts";
import type { Rematerialisation } from "./layer.ts";
import type { Adapter, WeightView } from "./linear.ts";
import {
  type AdapterValues,
  adapterConfigJson,
  adapterTensorName,
  adapterTensors,
  classModule,
  importAdapter,
  initialAdapters,
} from "./lora.ts";
import { mergedValues, ownValues } from "./merged.ts";
import { parseModelConfig } from "./model-config.ts";
import { MODEL_PARTS, type ModelPart } from "./model-parts.ts";
import type { BaseDtype } from "./options.ts";
import { PictureFeatures } from "./picture-features.ts";
import { programSampling } from "./stablehlo/generation.ts";
import { featuresOf, fewTileTokens } from "./vision.ts";

export interface PolicyOptions {
  /** All weights, low-rank adapters on frozen weights, or nothing (evaluation, sampling). */
  trainable: "full" | "lora" | "none";
  /** What of a model that sees pictures is trained; all of it with "full", the decoder with "lora" when absent. */
  parts?: readonly ModelPart[];
  /** With "lora": what new adapters look like. */
  lora?: LoraOptions;
  /** With "lora" or "none": an adapter to go on from, in PEFT's form; its own options replace `lora`. */
  adapter?: { tensors: readonly NamedTensor[]; config: Readonly<Record<string, unknown>>; source: string };
  /** With "full": freeze the starting weights as the reference policy at once. */
  reference?: boolean;
  /** Compute each layer again in the backward pass: the memory of one layer, about a third more time. */
  rematerialise?: boolean;
  /** Rows longer than this are refused; the model's max_position_embeddings when absent. */
  maxPositions?: number;
  /** With "lora" or "none": the form of frozen matrices; float32 when absent. */
  baseDtype?: BaseDtype;
  /** Draws new adapters. */
  rng?: Rng;
}

/** What a policy is made from: opened model files, or the same by hand. */
export interface PolicySource {
  config: Readonly<Record<string, unknown>>;
  weights: WeightSource;
  /** What the user named, for messages. */
  source: string;
}

/** A policy, and what was remarkable about its files. */
export interface DecoderPolicy extends TrainablePolicy {
  readonly notes: readonly string[];
  /** The same frozen weights, which stay this policy's, under another adapter or (null) none; for sampling alone. */
  withAdapter(adapter: NonNullable<PolicyOptions["adapter"]> | null): DecoderPolicy;
  /** Logits of all V ids at flat indices of a batch; for tests and small models. @returns [K, V] */
  logits(batch: TokenBatch, at: Int32Array, options?: { reference?: boolean }): tf.Tensor2D;
}

/**
 * Loads a policy onto the current backend.
 * @throws ModelFileError naming the key, tensor or target that does not fit
 */
export function createPolicy(files: PolicySource, options: PolicyOptions): DecoderPolicy {
  const parsed = parseModelConfig(files.config, `${files.source}: config.json`);
  const maxPositions = Math.min(parsed.maxPositions, options.maxPositions ?? parsed.maxPositions);
  const config = { ...parsed, maxPositions };
  const lora = adaptersFor(config, options);
  const { baseDtype } = options;
  const frozen = (name: string) => !trainsWeight(config, options, name);
  const { tensors, notes } = loadDecoderWeights(config, files.weights, files.source, { frozen, baseDtype });
  return new Policy(config, tensors, lora, { ...options, source: files.source, notes });
}

/** A policy with random weights, to be trained from scratch. @param json keys of config.json */
export function initPolicy(
  json: Readonly<Record<string, unknown>>,
  rng: Rng,
  options: PolicyOptions = { trainable: "full" },
): DecoderPolicy {
  const config = parseModelConfig(json, "model.init");
  const weights = randomWeights(config, rng, initializerRange(json));
  return createPolicy({ config: json, weights, source: "model.init" }, { rng, ...options });
}

/** Is the weight itself trained, not an adapter on it? */
function trainsWeight(
  config: DecoderConfig,
  { trainable, parts = MODEL_PARTS }: PolicyOptions,
  name: string,
) {
  return trainable === "full" && parts.includes(partOf(config, name));
}

interface Adapters {
  values: Map<string, AdapterValues>;
  options: LoraOptions;
}

function adaptersFor(config: DecoderConfig, options: PolicyOptions): Adapters | null {
  if (options.adapter) {
    if (options.trainable === "full")
      throw new RlptError("full training cannot go on from an adapter: merge it first");
    const { tensors, config: json, source } = options.adapter;
    const imported = importAdapter(config, tensors, json, source);
    return { values: imported.adapters, options: imported.options };
  }
  if (options.trainable !== "lora") return null;
  if (!options.lora) throw new RlptError('trainable "lora" needs lora options or an adapter');
  const rng = options.rng ?? createRng(0);
  return {
    values: initialAdapters(config, options.lora, options.parts ?? ["decoder"], rng),
    options: options.lora,
  };
}

class Policy implements DecoderPolicy {
  readonly config: DecoderConfig;
  readonly parameterCount: number;
  readonly notes: readonly string[];
  readonly trainable: ReadonlyMap<string, tf.Variable>;
  private readonly weights: Map<string, tf.Tensor>;
  private readonly adapters = new Map<string, Adapter & { rank: number; alpha: number }>();
  private readonly loraOptions: LoraOptions | null;
  private readonly source: string;
  private readonly view: WeightView;
  /** null: it sees no pictures, or what sees them is trained. */
  private readonly features: PictureFeatures | null;
  private readonly rematerialisation: Rematerialisations | null;
  /** null: nothing frozen yet. With adapters the base weights are the reference. */
  private reference: Map<string, tf.Tensor> | null = null;
  private readonly trainsWeights: boolean;
  private readonly borrowsWeights: boolean;

  constructor(
    config: DecoderConfig,
    tensors: Map<string, tf.Tensor>,
    lora: Adapters | null,
    options: PolicyOptions & { source: string; notes: readonly string[]; borrowsWeights?: boolean },
  ) {
    this.config = config;
    this.parameterCount = parameterCount(config);
    this.notes = [...options.notes, ...halvedNote(tensors)];
    this.source = options.source;
    this.trainsWeights = options.trainable === "full";
    this.borrowsWeights = options.borrowsWeights ?? false;
    this.loraOptions = lora?.options ?? null;
    const trainable = new Map<string, tf.Variable>();
    const held = [...tensors].map(([name, tensor]): [string, tf.Tensor] => {
      if (!trainsWeight(config, options, name)) return [name, tensor];
      const variable = asVariable(tensor);
      trainable.set(name, variable);
      return [name, variable];
    });
    // an adapted copy borrows the map, and frees nothing
    this.weights = trainable.size === 0 ? tensors : new Map(held);
    for (const [module, values] of lora?.values ?? []) {
      const { a, b } = adapterTensors(values);
      const held = options.trainable === "lora" ? { a: asVariable(a), b: asVariable(b) } : { a, b };
      const scale = loraScale({ ...values, useRslora: lora!.options.useRslora });
      const { rank, alpha } = values;
      this.adapters.set(module, { a: held.a as tf.Tensor2D, b: held.b as tf.Tensor2D, scale, rank, alpha });
      if (options.trainable === "lora") {
        trainable.set(adapterTensorName(module, "A"), held.a as tf.Variable);
        trainable.set(adapterTensorName(module, "B"), held.b as tf.Variable);
      }
    }
    this.trainable = trainable;
    const own = {
      find: (name: string) => this.weights.get(name),
      adapter: (module: string) => this.adapters.get(module),
    };
    const seesTrained = [...trainable.keys()].some((name) => partOf(config, ownerOf(name)) !== "decoder");
    this.features =
      config.vision === null || seesTrained
        ? null
        : new PictureFeatures((tile) => {
            mark("tower and projector");
            return featuresOf(config, tile, own);
          }, settle);
    this.view = { ...own, seen: this.seen };
    this.rematerialisation = options.rematerialise ? this.planRematerialisation() : null;
    if (options.reference && this.trainsWeights) this.freezeReference();
  }

  withAdapter(adapter: NonNullable<PolicyOptions["adapter"]> | null): DecoderPolicy {
    const options: PolicyOptions = { trainable: "none", ...(adapter === null ? {} : { adapter }) };
    const { config, source } = this;
    const lora = adaptersFor(config, options);
    return new Policy(config, this.weights, lora, { ...options, source, notes: [], borrowsWeights: true });
  }

  private get seen(): WeightView["seen"] {
    const { features } = this;
    return features === null ? undefined : (tile) => features.of(tile);
  }

  look(pictures: readonly (PromptPictures | null | undefined)[]): void {
    this.features?.look(pictures.flatMap((own) => own?.tiles ?? []));
  }

  tensorsInUse(): number {
    return tf.memory().numTensors - (this.features?.count ?? 0);
  }

  private get trainsOutput(): boolean {
    const { config } = this;
    return this.trainable.has(config.tiedEmbeddings ? embeddingWeight(config) : headWeight(config));
  }

  get vocabSize(): number {
    return this.config.vocabSize;
  }

  get weightBytes(): number {
    return [...this.weights.values()].reduce((sum, tensor) => sum + heldBytes(tensor), 0);
  }

  get precision(): "f32" | "tf32" | "bf16" {
    return productPrecision();
  }

  score(batch: TokenBatch, options: ScoreOptions): TokenScores {
    if (options.exact) return withExactProducts(() => this.score(batch, { ...options, exact: false }));
    mark(options.reference ? "reference logprobs" : "logprobs");
    const view = options.reference ? this.referenceView() : this.view;
    const rematerialise = options.reference ? null : this.rematerialisation;
    const hidden = hiddenStates(this.config, batch, batch.scoredAt, view, rematerialise);
    const { matrix, layout } = outputWeight(this.config, view);
    return tokenLogprobs(
      scaledForOutput(this.config, hidden),
      matrix,
      overDevices(tf.tensor1d(batch.targets, "int32")),
      {
        layout,
        temperature: options.temperature,
        softcap: this.config.logitSoftcap,
        weightGradient: this.trainsOutput && !options.reference,
        entropyGradient: options.entropyGradient ?? false,
      },
    );
  }

  hidden(batch: TokenBatch, own: ReadonlyMap<string, tf.Variable>): tf.Tensor2D {
    const rematerialise = this.rematerialisation === null ? null : this.planRematerialisation(own);
    return hiddenStates(this.config, batch, batch.scoredAt, this.viewWith(own), rematerialise);
  }

  logits(batch: TokenBatch, at: Int32Array, options: { reference?: boolean } = {}): tf.Tensor2D {
    return tf.tidy(() => {
      const view = options.reference ? this.referenceView() : this.view;
      const hidden = hiddenStates(this.config, batch, at, view, null);
      return logitsOf(this.config, hidden, view);
    });
  }

  lossAndGradients(loss: () => tf.Scalar): { loss: tf.Scalar; gradients: Map<string, tf.Tensor> } {
    if (this.trainable.size === 0) throw new RlptError("this policy was loaded without anything to train");
    return lossAndGradients(this.trainable, loss);
  }

  settle(): void {
    settle();
  }

  compilation(): { programs: number; seconds: number } | null {
    return compilation();
  }

  get fewShapes(): FewShapes | null {
    if (!compilesPrograms()) return null;
    // the output matrix is then a small part of a token's work
    const scoreAll = this.config.vocabSize <= 8 * this.config.hiddenSize;
    return { scoreAll, devices: deviceCount(), tileTokens: fewTileTokens(this.config) };
  }

  freezeReference(): void {
    if (!this.trainsWeights) return;
    this.dropReference();
    // a variable's update replaces its data, so a clone shares memory until the first step
    const frozen = (tensor: tf.Tensor) =>
      (holdsHalves() ? halvedTensor(tensor.dataSync() as Float32Array, tensor.shape) : null) ??
      tf.clone(tensor);
    this.reference = new Map(
      [...this.trainedWeights()].map(([name, tensor]) => [name, tf.keep(frozen(tensor))]),
    );
  }

  dropReference(): void {
    for (const tensor of this.reference?.values() ?? []) tensor.dispose();
    this.reference = null;
  }

  exportReference(): NamedTensor[] | null {
    if (this.reference === null) return null;
    return [...this.reference].map(([name, tensor]) => ({
      name,
      shape: tensor.shape,
      data: tensor.dataSync() as Float32Array,
    }));
  }

  importReference(tensors: readonly NamedTensor[]): void {
    if (!this.trainsWeights) return;
    const given = new Map(tensors.map((tensor) => [tensor.name, tensor]));
    for (const [name, weight] of this.trainedWeights()) {
      const shape = given.get(name)?.shape;
      if (shape?.join() !== weight.shape.join()) {
        throw new Error(`the reference's ${name} is [${shape ?? "missing"}], the policy's [${weight.shape}]`);
      }
    }
    this.dropReference();
    this.reference = new Map(
      tensors.map(({ name, shape, data }) => [name, tf.keep(frozenTensor(data, shape))]),
    );
  }

  get sampleRows() {
    const sample = programSampling(this.config, this.view);
    if (sample === null) return null;
    return (prompts: readonly Int32Array[], request: SamplingRequest) => {
      this.look(request.pictures ?? []);
      return sample(prompts, request);
    };
  }

  startGeneration(prompts: readonly Int32Array[], options: GenerationOptions): Promise<GenerationSession> {
    this.look(options.pictures ?? []);
    return startSession(this.config, this.view, prompts, options);
  }

  prepareExport(): Promise<void> {
    const adapters = [...this.adapters.values()].flatMap(({ a, b }) => [a, b]);
    return prefetch([...this.weights.values(), ...adapters, ...(this.reference?.values() ?? [])]);
  }

  *exportWeights(): Iterable<NamedTensor> {
    for (const [name, weight] of expectedWeights(this.config)) {
      const { shape } = weight;
      const held = this.weights.get(name)!;
      const values = mergedValues(held, this.adapters.get(name.replace(/\.weight$/, "")));
      const transposed = isTransposed(this.config, name, weight);
      const data = transposed ? transposeMatrix(values, shape[1]!, shape[0]!) : ownValues(values, held);
      yield { name, shape, data };
    }
  }

  exportAdapter(): { tensors: NamedTensor[]; config: Record<string, unknown> } | null {
    if (!this.loraOptions) return null;
    const tensors: NamedTensor[] = [];
    for (const [module, { a, b }] of this.adapters) {
      for (const [matrix, tensor] of [["A", a] as const, ["B", b] as const]) {
        const [rows, columns] = tensor.shape;
        const data = transposeMatrix(tensor.dataSync() as Float32Array, rows, columns);
        const name = adapterTensorName(classModule(this.config, module), matrix);
        tensors.push({ name, shape: [columns, rows], data });
      }
    }
    return { tensors, config: adapterConfigJson(this.config, this.loraOptions, this.adapters, this.source) };
  }

  dispose(): void {
    if (!this.borrowsWeights) {
      for (const tensor of this.weights.values()) tensor.dispose();
      this.weights.clear();
    }
    for (const { a, b } of this.adapters.values()) tf.dispose([a, b]);
    this.dropReference();
    this.features?.dispose();
    this.adapters.clear();
  }

  private referenceView(): WeightView {
    const { seen } = this;
    const adapter = () => undefined;
    if (!this.trainsWeights) return { find: (name) => this.weights.get(name), adapter, seen };
    const reference = this.reference;
    if (!reference) throw new RlptError("there is no reference policy: freezeReference was not called");
    // what is not trained is its own reference
    return { find: (name) => reference.get(name) ?? this.weights.get(name), adapter, seen };
  }

  private trainedWeights(): Map<string, tf.Tensor> {
    return new Map([...this.weights].filter(([name]) => this.trainable.has(name)));
  }

  /** The policy's weights, with others in the place of those that it trains. */
  private viewWith(own: ReadonlyMap<string, tf.Tensor>): WeightView {
    return {
      find: (name) => own.get(name) ?? this.weights.get(name),
      seen: this.seen,
      adapter: (module) => {
        const adapter = this.adapters.get(module);
        if (adapter === undefined) return undefined;
        const a = (own.get(adapterTensorName(module, "A")) as tf.Tensor2D | undefined) ?? adapter.a;
        const b = (own.get(adapterTensorName(module, "B")) as tf.Tensor2D | undefined) ?? adapter.b;
        return { a, b, scale: adapter.scale };
      },
    };
  }

  private planRematerialisation(own: ReadonlyMap<string, tf.Tensor> = new Map()): Rematerialisations | null {
    if (this.trainable.size === 0) return null;
    const { config } = this;
    const { vision } = config;
    const partTrained = (part: ModelPart) =>
      [...this.trainable.keys()].some((name) => partOf(config, ownerOf(name)) === part);
    const seesTrained = vision !== null && (partTrained("tower") || partTrained("projector"));
    const embeds = this.trainsWeights && this.trainable.has(embeddingWeight(config));
    return {
      decoder: this.planOf(config, embeds || seesTrained, own),
      tower:
        vision === null
          ? null
          : this.planOf(vision, this.trainable.has(`${vision.patch.module}.weight`), own),
    };
  }

  private planOf(
    { layers, layerPrefix }: Pick<DecoderConfig, "layers" | "layerPrefix">,
    inputTrained: boolean,
    own: ReadonlyMap<string, tf.Tensor>,
  ): Rematerialisation {
    const view = this.viewWith(own);
    const byLayer = layers.map(() => [] as string[]);
    const tensors = new Map<string, tf.Tensor>();
    const note = (owner: string, name: string, tensor: tf.Tensor) => {
      if (!owner.startsWith(layerPrefix)) return;
      const n = Number.parseInt(owner.slice(layerPrefix.length), 10);
      byLayer[n]!.push(name);
      tensors.set(name, tensor);
    };
    for (const name of this.trainedWeights().keys()) note(name, name, view.find(name)!);
    for (const module of this.adapters.keys()) {
      const { a, b } = view.adapter(module)!;
      note(module, `${module}.lora_A`, a);
      note(module, `${module}.lora_B`, b);
    }
    return {
      trainedNames: (n) => byLayer[n]!,
      trained: (name) => tensors.get(name)!,
      inputTrained,
    };
  }
}

/** What is computed again in the backward pass, of the decoder's layers and of the tower's. */
interface Rematerialisations {
  decoder: Rematerialisation;
  tower: Rematerialisation | null;
}

/** The module that a trained tensor belongs to, be it a weight or an adapter's matrix. */
function ownerOf(name: string): string {
  return name.replace(/^base_model\.model\./, "").replace(/\.lora_[AB]\.weight$/, ".weight");
}

/** Unnamed: tfjs keeps one registry of names for the whole process, and there may be several policies. */
function asVariable(tensor: tf.Tensor): tf.Variable {
  const variable = tf.variable(tensor);
  tensor.dispose();
  return variable;
}
