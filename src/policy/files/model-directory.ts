/** Opening a model by path or Hub id, and saving one as a Hugging Face directory. */
import { existsSync, mkdirSync, readdirSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, sep } from "node:path";
import { describeSystemError, ModelFileError } from "../../lib/errors.ts";
import { syncDirectory, writeFileSynced } from "../../lib/files.ts";
import { PICTURE_MODELS, pictureProcessor } from "../../pictures/processor.ts";
import { modelFamilies } from "../families/kinds.ts";
import type { ModelFiles, NamedTensor, WeightSource } from "../interfaces.ts";
import { openGguf } from "./gguf.ts";
import { ggufConfig, ggufEosIds, ggufWeights } from "./gguf-model.ts";
import { ggufTokenizerFiles } from "./gguf-tokenizer.ts";
import type { HubOptions } from "./hub.ts";
import { isObject, type JsonObject, parseJsonObject, readBytes, readJsonObject } from "./json.ts";
import { languagePart } from "./language-part.ts";
import { openSafetensorsDirectory } from "./safetensors.ts";
import { type SavedDtype, writeSafetensorsDirectory } from "./safetensors-write.ts";
import { createTokenizer, type ModelTokenizer, TOKENIZER_FILES, type TokenizerContext } from "./tokenizer.ts";

export interface OpenModelOptions extends HubOptions, TemplateOptions {
  /** What a chat template's strftime_now() sees, YYYY-MM-DD. Default: a fixed day. */
  date?: string;
}

/** A chat template of one's own, and what templates read beside messages. */
export interface TemplateOptions {
  /** In the place of the model's own; checkpoints get it too. */
  chatTemplate?: Uint8Array;
  templateVariables?: Readonly<Record<string, unknown>>;
}

export interface OpenedModel extends ModelFiles {
  readonly tokenizer: ModelTokenizer;
  /** Where the files lie: the directory or the GGUF file. */
  readonly path: string;
  /** Commit of a Hub snapshot, null for local files. */
  readonly commit: string | null;
  /** Sentences to print. */
  readonly warnings: readonly string[];
}

/**
 * @param name a local directory, a .gguf file, or a Hub id "org/name[@revision]"
 * @throws ModelFileError that names the file and what to do; weights are checked, not yet read
 */
export async function openModel(name: string, options: OpenModelOptions = {}): Promise<OpenedModel> {
  if (existsSync(name)) {
    if (statSync(name).isDirectory()) return openModelDirectory(name, options);
    if (name.endsWith(".gguf")) return openGgufModel(name, options);
    throw new ModelFileError(
      `${name} is a file; a model is a directory, a .gguf file, or a Hub id such as org/name`,
    );
  }
  // loaded only when there is something to fetch
  const { fetchSnapshot, parseHubId } = await import("./hub.ts");
  const id = name.endsWith(".gguf") ? null : parseHubId(name);
  if (!id) {
    throw new ModelFileError(
      `${name}: no such file or directory (a Hub id looks like org/name or org/name@revision)`,
    );
  }
  let snapshot: Awaited<ReturnType<typeof fetchSnapshot>>;
  try {
    snapshot = await fetchSnapshot(id, options);
  } catch (error) {
    if (!(error instanceof ModelFileError)) throw error;
    throw new ModelFileError(`${name} is not a directory here; as a Hub id: ${error.message}`, {
      cause: error,
    });
  }
  const model = openModelDirectory(snapshot.directory, options);
  return {
    ...model,
    source: name,
    commit: snapshot.commit,
    warnings: [...snapshot.warnings, ...model.warnings],
  };
}

/** Where only shapes matter. */
const absentWeights: WeightSource = {
  names: [],
  shape: (name) => {
    throw new ModelFileError(`${name} was not loaded`);
  },
  dtype: () => "F32",
  read: (name) => {
    throw new ModelFileError(`${name} was not loaded`);
  },
  close() {},
};

/** The synchronous part of {@link openModel} for a directory. */
export function openModelDirectory(
  directory: string,
  options: Pick<OpenModelOptions, "date" | "weights"> & TemplateOptions = {},
): OpenedModel {
  const configPath = join(directory, "config.json");
  if (!existsSync(configPath)) {
    const gguf = readdirSync(directory).find((file) => file.endsWith(".gguf"));
    const adapter = existsSync(join(directory, "adapter_config.json"));
    const hint = gguf
      ? `; it holds ${gguf}: name that file`
      : adapter
        ? ": it is a LoRA adapter, not a model"
        : "";
    throw new ModelFileError(`${directory} has no config.json${hint}`);
  }
  const config = readJsonObject(ownFile(directory, "config.json"), LARGEST_CONFIG);
  const generationConfig = existsSync(join(directory, "generation_config.json"))
    ? readJsonObject(ownFile(directory, "generation_config.json"), LARGEST_CONFIG)
    : {};
  const tokenizerFiles = new Map<string, Uint8Array>();
  for (const name of TOKENIZER_FILES) {
    if (existsSync(join(directory, name))) tokenizerFiles.set(name, readBytes(ownFile(directory, name)));
  }
  const model = assemble({ path: directory, config, generationConfig, tokenizerFiles, options }, () =>
    options.weights === false ? absentWeights : openSafetensorsDirectory(directory),
  );
  const both = ["model.safetensors", "model.safetensors.index.json"].every((name) =>
    existsSync(join(directory, name)),
  );
  if (!both || options.weights === false) return model;
  const warning = `${directory} has model.safetensors and model.safetensors.index.json: the first is read, as transformers does; remove the index and its shards if they are old`;
  return { ...model, warnings: [...model.warnings, warning] };
}

/** Bytes of config.json and generation_config.json. */
const LARGEST_CONFIG = 20_000_000;

/**
 * A file of a model directory. What is read here is copied into checkpoints, so a link may not lead to just any file of
 * this machine: it stays in the directory, leads to a file of the same name, or into the Hub cache's blobs.
 */
function ownFile(directory: string, name: string): string {
  const path = join(directory, name);
  const folder = realpathSync(directory);
  const real = realpathSync(path);
  const storage = dirname(dirname(real));
  const isBlob = basename(dirname(real)) === "blobs" && folder.startsWith(`${storage}${sep}snapshots${sep}`);
  if (basename(real) !== name && !real.startsWith(folder + sep) && !isBlob) {
    throw new ModelFileError(
      `${path} is a link to ${real}, a file outside of the model: its content would be copied into every checkpoint. Copy it there if it is the model's`,
    );
  }
  return path;
}

/** A GGUF file, its config and tokenizer rebuilt from the metadata. */
export function openGgufModel(
  path: string,
  options: Pick<OpenModelOptions, "date"> & TemplateOptions = {},
): OpenedModel {
  const file = openGguf(path);
  try {
    const config = ggufConfig(file);
    const eos = ggufEosIds(file);
    const generationConfig: JsonObject = {};
    if (config["bos_token_id"] !== null) generationConfig["bos_token_id"] = config["bos_token_id"];
    if (eos.length > 0) generationConfig["eos_token_id"] = eos.length === 1 ? eos[0] : eos;
    if (config["pad_token_id"] !== null) generationConfig["pad_token_id"] = config["pad_token_id"];
    const tokenizerFiles = ggufTokenizerFiles(file);
    return assemble({ path, config, generationConfig, tokenizerFiles, options }, () =>
      ggufWeights(file, config),
    );
  } catch (error) {
    file.close();
    throw error;
  }
}

interface Parts {
  path: string;
  config: JsonObject;
  generationConfig: JsonObject;
  tokenizerFiles: Map<string, Uint8Array>;
  options: Pick<OpenModelOptions, "date"> & TemplateOptions;
}

function assemble(parts: Parts, openWeights: () => WeightSource): OpenedModel {
  const { path, generationConfig, tokenizerFiles, options } = parts;
  const language = languagePart(parts.config, path);
  const config = language?.config ?? parts.config;
  const text = isObject(config["text_config"]) ? config["text_config"] : {};
  const rows = config["vocab_size"] ?? text["vocab_size"];
  if (options.chatTemplate !== undefined) tokenizerFiles.set("chat_template.jinja", options.chatTemplate);
  const tokenizer = createTokenizer(tokenizerFiles, {
    path,
    ...(typeof rows === "number" ? { rows } : {}),
    config: { ...text, ...config },
    generationConfig,
    ...(language?.ofWhole ? { pictures: false as const } : picturesOf(config, tokenizerFiles, path)),
    ...(options.date === undefined ? {} : { date: options.date }),
    ...(options.templateVariables === undefined ? {} : { templateVariables: options.templateVariables }),
  });
  const weights = openWeights();
  const own = language?.weights(weights) ?? { weights, notes: [] };
  return {
    source: path,
    path,
    commit: null,
    config,
    generationConfig,
    weights: own.weights,
    tokenizer,
    tokenizerFiles,
    warnings: [...own.notes, ...tokenizer.warnings],
  };
}

/**
 * How a model that sees pictures reads them; nothing where it sees none, or its files do not say how: then prompts that show one
 * are refused.
 * @param path messages start with it
 */
export function picturesOf(
  config: Readonly<JsonObject>,
  files: ReadonlyMap<string, Uint8Array>,
  path: string,
): Pick<TokenizerContext, "pictures"> {
  if (!PICTURE_MODELS.includes(String(config["model_type"]))) return {};
  const json = (name: string): JsonObject | null => {
    const bytes = files.get(name);
    return bytes === undefined ? null : parseJsonObject(bytes, join(path, name));
  };
  const [preprocessor, processor] = [json("preprocessor_config.json"), json("processor_config.json")];
  if (preprocessor === null && processor === null) return {};
  return {
    pictures: (tokenIdOf) => pictureProcessor({ preprocessor, processor, config, tokenIdOf, path }),
  };
}

const TORCH_DTYPES: Readonly<Record<SavedDtype, string>> = {
  F32: "float32",
  BF16: "bfloat16",
  F16: "float16",
};

/**
 * config.json in the spelling that every version of transformers and llama.cpp's converter read: rope_theta and
 * rope_scaling instead of transformers 5's rope_parameters, torch_dtype instead of dtype. Parameters nested per
 * kind of layer have no older spelling and stay.
 */
export function olderSpelling(config: Readonly<JsonObject>, dtype: SavedDtype): JsonObject {
  const { dtype: _newer, rope_parameters: rope, ...rest } = config;
  const result: JsonObject = { ...rest, torch_dtype: TORCH_DTYPES[dtype] };
  if (!isObject(rope)) return result;
  if (Object.values(rope).some(isObject)) return { ...result, rope_parameters: rope };
  // rope_scaling, where present, already replaces rope_parameters whole
  if (isObject(config["rope_scaling"])) return result;
  const { rope_theta: theta, ...scaling } = rope;
  const keys = modelFamilies.find(({ modelType }) => modelType === config["model_type"])?.olderRopeKeys;
  if (keys !== undefined) {
    const { partial_rotary_factor: share, ...rest } = scaling;
    const own = { ...(theta === undefined ? {} : { [keys.theta]: theta }) };
    if (share !== undefined) own[keys.share] = share;
    const none = (rest["rope_type"] ?? "default") === "default";
    return {
      ...result,
      ...own,
      rope_scaling: none ? null : { ...rest, rope_theta: theta, partial_rotary_factor: share },
    };
  }
  const plain = (scaling["rope_type"] ?? "default") === "default" && Object.keys(scaling).length <= 1;
  if (theta !== undefined) result["rope_theta"] = theta;
  result["rope_scaling"] = plain ? null : scaling;
  return result;
}

/** Keys whose classes in transformers (5) take no integer: 30.0 that was read as 30 would be refused there. */
const FLOATS = [
  ...["final_logit_softcapping", "attn_logit_softcapping", "initializer_range", "router_aux_loss_coef"],
  ...["rms_norm_eps", "norm_eps", "layer_norm_eps", "layer_norm_epsilon"],
  ...[
    "rope_theta",
    "rope_local_base_freq",
    "factor",
    "attention_factor",
    "low_freq_factor",
    "high_freq_factor",
  ],
  ...["partial_rotary_factor", "rotary_pct"],
];
const INTEGER_FLOAT = new RegExp(`^(\\s*"(?:${FLOATS.join("|")})": -?\\d+)(,?)$`, "gm");

/** config.json as text, one key a line. */
export function configText(config: Readonly<JsonObject>): string {
  return `${JSON.stringify(config, null, 2)}\n`.replace(INTEGER_FLOAT, "$1.0$2");
}

export interface SavedModel {
  config: Readonly<JsonObject>;
  generationConfig: Readonly<JsonObject>;
  tokenizerFiles: ReadonlyMap<string, Uint8Array>;
  /** Consumed one at a time. A tied lm_head.weight is left out, as the reference does. */
  weights: Iterable<NamedTensor>;
  /** F32 unless it is an export: see {@link SavedDtype}. */
  dtype?: SavedDtype;
  /** Shards above this many bytes; 5 GB. */
  maxShardBytes?: number;
}

/**
 * generation_config.json of a trained model: what completions ended at here ends them elsewhere too. A chat template may end
 * a turn with a token that the model's own lists do not have.
 */
export function savedGenerationConfig({
  config,
  generationConfig,
  tokenizer: { eosIds },
}: Pick<ModelFiles, "config" | "generationConfig" | "tokenizer">): Readonly<Record<string, unknown>> {
  const value = generationConfig["eos_token_id"] ?? config["eos_token_id"] ?? [];
  const listed = Array.isArray(value) ? value : [value];
  if (eosIds.every((id) => listed.includes(id))) return generationConfig;
  const all = [...new Set([...listed, ...eosIds])];
  return { ...generationConfig, eos_token_id: all.length === 1 ? all[0] : all };
}

function* withoutTiedHead(weights: Iterable<NamedTensor>, tied: boolean): Generator<NamedTensor> {
  for (const tensor of weights) if (!tied || tensor.name !== "lm_head.weight") yield tensor;
}

/**
 * Writes config.json, generation_config.json, tokenizer files (byte for byte) and safetensors, each synced. Not
 * atomic as a whole: write into a fresh folder aside and rename that.
 * @returns names of the files written, in order
 */
export function saveModel(directory: string, model: SavedModel): string[] {
  const dtype = model.dtype ?? "F32";
  const files: string[] = [];
  const write = (name: string, bytes: Uint8Array): void => {
    writeFileSynced(join(directory, name), [bytes]);
    files.push(name);
  };
  const json = (value: unknown): Uint8Array =>
    new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
  try {
    mkdirSync(directory, { recursive: true });
    write("config.json", new TextEncoder().encode(configText(olderSpelling(model.config, dtype))));
    if (Object.keys(model.generationConfig).length > 0)
      write("generation_config.json", json(model.generationConfig));
    for (const [name, bytes] of model.tokenizerFiles) write(name, bytes);
  } catch (error) {
    throw new ModelFileError(`${directory} cannot be written: ${describeSystemError(error)}`, {
      cause: error,
    });
  }
  const tied = model.config["tie_word_embeddings"] === true;
  files.push(
    ...writeSafetensorsDirectory(directory, withoutTiedHead(model.weights, tied), {
      dtype,
      ...(model.maxShardBytes === undefined ? {} : { maxShardBytes: model.maxShardBytes }),
    }),
  );
  syncDirectory(directory);
  return files;
}
