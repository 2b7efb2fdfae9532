/** LoRA adapter directories of PEFT: adapter_config.json and adapter_model.safetensors. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { ModelFileError } from "../../lib/errors.ts";
import { writeFileSynced } from "../../lib/files.ts";
import type { NamedTensor, WeightSource } from "../interfaces.ts";
import { isObject, type JsonObject, readJsonObject } from "./json.ts";
import { openSafetensors } from "./safetensors.ts";
import { type SavedDtype, writeSafetensors } from "./safetensors-write.ts";

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";
const PREFIX = "base_model.model.";

/** What decides how an adapter is applied; everything else in the file has no effect on loading. */
export interface AdapterConfig {
  rank: number;
  alpha: number;
  useRslora: boolean;
  /** Names (equal, or a dotted suffix), or a regular expression for whole names, or "all-linear". */
  targetModules: readonly string[] | string;
  excludeModules: readonly string[] | string;
  rankPattern: Readonly<Record<string, number>>;
  alphaPattern: Readonly<Record<string, number>>;
  modulesToSave: readonly string[];
}

/** The two matrices of one module, as they lie in the file; W' = W + scaling * B A. */
export interface LoraPair {
  /** Module in the base model, such as model.layers.0.self_attn.q_proj. */
  module: string;
  rank: number;
  /** lora_alpha / r, or lora_alpha / sqrt(r) for rsLoRA, with the module's own rank and alpha. */
  scaling: number;
  /** [r, in] and [out, r] */
  shapeA: readonly [number, number];
  shapeB: readonly [number, number];
  readA(): Float32Array;
  readB(): Float32Array;
}

export interface AdapterFiles {
  readonly source: string;
  readonly config: AdapterConfig;
  /** adapter_config.json as it is, to be written again. */
  readonly rawConfig: Readonly<JsonObject>;
  readonly pairs: readonly LoraPair[];
  /** Full copies (modules_to_save) under base-model names. */
  readonly saved: readonly { name: string; shape: readonly number[]; read(): Float32Array }[];
  close(): void;
}

/** Keys that change what merging means; a set one cannot be honoured. */
const REJECTED_KEYS = [
  "use_dora",
  "lora_bias",
  "trainable_token_indices",
  "target_parameters",
  "use_qalora",
  "layer_replication",
  "kasa_config",
  "use_bdlora",
  "arrow_config",
  "alora_invocation_tokens",
  "monteclora_config",
  "velora_config",
  "layers_to_transform",
  "layers_pattern",
  "fan_in_fan_out",
];

function isSet(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return false;
  if (Array.isArray(value)) return value.length > 0;
  return !isObject(value) || Object.keys(value).length > 0;
}

function stringList(value: unknown): string[] | null {
  return Array.isArray(value) && value.every((item) => typeof item === "string") ? value : null;
}

/** @throws ModelFileError naming the file, the key and its value for anything that would be applied wrongly */
export function parseAdapterConfig(raw: Readonly<JsonObject>, path: string): AdapterConfig {
  const fault = (key: string, reason: string): ModelFileError =>
    new ModelFileError(`${path}: ${key} = ${JSON.stringify(raw[key])}: ${reason}`);
  if (raw["peft_type"] !== "LORA") throw fault("peft_type", "only LORA adapters are supported");
  for (const key of REJECTED_KEYS) {
    if (isSet(raw[key]))
      throw fault(key, "not supported, and the adapter would be applied wrongly without it");
  }
  if (isSet(raw["bias"]) && raw["bias"] !== "none")
    throw fault("bias", "trained biases are not supported, only none");
  const init = raw["init_lora_weights"] ?? true;
  if (typeof init !== "boolean" && init !== "gaussian") {
    throw fault("init_lora_weights", "it changes the base weights; merge the adapter in PEFT first");
  }
  const positive = (key: string, fallback: number, integer: boolean): number => {
    const value = raw[key] ?? fallback;
    if (typeof value !== "number" || !(value > 0) || (integer && !Number.isInteger(value))) {
      throw fault(key, `expected a positive ${integer ? "integer" : "number"}`);
    }
    return value;
  };
  const pattern = (key: string, integer: boolean): Record<string, number> => {
    const value = raw[key] ?? {};
    if (!isObject(value)) throw fault(key, "expected an object");
    for (const [name, number] of Object.entries(value)) {
      if (typeof number !== "number" || !(number > 0) || (integer && !Number.isInteger(number))) {
        throw fault(key, `${name} is not a positive ${integer ? "integer" : "number"}`);
      }
      checkRegex(name, path, key);
    }
    return value as Record<string, number>;
  };
  const modules = (key: string): readonly string[] | string => {
    const value = raw[key] ?? [];
    if (typeof value === "string") {
      if (value !== "all-linear") checkRegex(value, path, key);
      return value;
    }
    const list = stringList(value);
    if (!list) throw fault(key, "expected a list of names or a regular expression");
    return list;
  };
  const targetModules = modules("target_modules");
  if (targetModules.length === 0) throw fault("target_modules", "it names no modules");
  const modulesToSave = stringList(raw["modules_to_save"] ?? []);
  if (!modulesToSave) throw fault("modules_to_save", "expected a list of names");
  return {
    rank: positive("r", 8, true),
    alpha: positive("lora_alpha", 8, false),
    useRslora: raw["use_rslora"] === true,
    targetModules,
    excludeModules: modules("exclude_modules"),
    rankPattern: pattern("rank_pattern", true),
    alphaPattern: pattern("alpha_pattern", false),
    modulesToSave,
  };
}

function checkRegex(expression: string, path: string, key: string): void {
  try {
    new RegExp(expression);
  } catch (cause) {
    throw new ModelFileError(
      `${path}: ${key}: ${JSON.stringify(expression)} is not a regular expression this program can read`,
      { cause },
    );
  }
}

function patternValue(patterns: Readonly<Record<string, number>>, module: string): number | undefined {
  return Object.entries(patterns).find(([key]) => new RegExp(`^(.*\\.)?(${key})$`).test(module))?.[1];
}

/** r and scaling of one module, with rank_pattern and alpha_pattern (first match wins). */
export function adapterScaling(config: AdapterConfig, module: string): { rank: number; scaling: number } {
  const rank = patternValue(config.rankPattern, module) ?? config.rank;
  const alpha = patternValue(config.alphaPattern, module) ?? config.alpha;
  return { rank, scaling: alpha / (config.useRslora ? Math.sqrt(rank) : rank) };
}

function namesModule(modules: readonly string[] | string, module: string): boolean {
  if (typeof modules === "string") return modules !== "" && new RegExp(`^(?:${modules})$`).test(module);
  return modules.some((name) => module === name || module.endsWith(`.${name}`));
}

/** Does the config target this linear module of the base model? "all-linear" is every one but the output layer. */
export function isTargeted(config: AdapterConfig, module: string): boolean {
  if (namesModule(config.excludeModules, module)) return false;
  if (config.targetModules === "all-linear") return !/(^|\.)lm_head$/.test(module);
  return namesModule(config.targetModules, module);
}

/**
 * Target modules that hit nothing: the caller knows the base model's linear modules.
 * @returns the names (or the expression) without a match
 */
export function unmatchedTargets(config: AdapterConfig, modules: readonly string[]): string[] {
  const targets = config.targetModules;
  if (targets === "all-linear") return [];
  const each = typeof targets === "string" ? [targets] : targets;
  return each.filter(
    (target) => !modules.some((m) => namesModule(typeof targets === "string" ? target : [target], m)),
  );
}

/** @throws ModelFileError: a file is missing, a key cannot be honoured, a matrix lacks its partner or shape */
export function openAdapter(directory: string): AdapterFiles {
  const configPath = join(directory, CONFIG);
  const weightsPath = join(directory, WEIGHTS);
  if (!existsSync(configPath))
    throw new ModelFileError(`${directory} has no ${CONFIG}: it is not a PEFT adapter`);
  const rawConfig = readJsonObject(configPath);
  const config = parseAdapterConfig(rawConfig, configPath);
  if (!existsSync(weightsPath)) {
    const old = existsSync(join(directory, "adapter_model.bin"));
    throw new ModelFileError(
      `${directory} has no ${WEIGHTS}${old ? ", only adapter_model.bin: save it again with PEFT and safe_serialization=True" : ""}`,
    );
  }
  const weights = openSafetensors(weightsPath);
  try {
    return {
      source: directory,
      config,
      rawConfig,
      ...pairUp(weights, config, weightsPath),
      close: () => weights.close(),
    };
  } catch (error) {
    weights.close();
    throw error;
  }
}

function pairUp(
  weights: WeightSource,
  config: AdapterConfig,
  path: string,
): Pick<AdapterFiles, "pairs" | "saved"> {
  const halves = new Map<string, { A?: string; B?: string }>();
  const saved: AdapterFiles["saved"][number][] = [];
  for (const name of weights.names) {
    if (!name.startsWith(PREFIX))
      throw new ModelFileError(`${path}: tensor ${name} does not start with ${PREFIX}`);
    // raw state dicts carry the adapter's name: lora_A.default.weight
    const match = /^(.+)\.lora_([AB])(?:\.[^.]+)?\.weight$/.exec(name.slice(PREFIX.length));
    if (match) {
      const module = match[1]!;
      const side = match[2] as "A" | "B";
      const pair = halves.get(module) ?? {};
      if (pair[side])
        throw new ModelFileError(`${path}: ${module} has lora_${side} twice (${pair[side]}, ${name})`);
      if (!isTargeted(config, module)) {
        throw new ModelFileError(
          `${path}: tensor ${name} is left over: target_modules does not name ${module}`,
        );
      }
      pair[side] = name;
      halves.set(module, pair);
      continue;
    }
    const parts = name.slice(PREFIX.length).replace(/\.modules_to_save(\.default)?/, "");
    const owner = parts.replace(/\.(weight|bias)$/, "");
    if (/lora_/.test(name) || !namesModule(config.modulesToSave, owner)) {
      throw new ModelFileError(
        `${path}: tensor ${name} is left over: it is neither lora_A, lora_B nor in modules_to_save`,
      );
    }
    saved.push({ name: parts, shape: weights.shape(name), read: () => weights.read(name) });
  }
  const pairs = [...halves].map(([module, { A, B }]): LoraPair => {
    if (!A || !B)
      throw new ModelFileError(`${path}: ${module} has lora_${A ? "A" : "B"} but no lora_${A ? "B" : "A"}`);
    const { rank, scaling } = adapterScaling(config, module);
    const shapeA = weights.shape(A);
    const shapeB = weights.shape(B);
    if (shapeA.length !== 2 || shapeB.length !== 2 || shapeA[0] !== rank || shapeB[1] !== rank) {
      throw new ModelFileError(
        `${path}: ${module} has lora_A [${shapeA.join(", ")}] and lora_B [${shapeB.join(", ")}], but r = ${rank} implies [${rank}, in] and [out, ${rank}]`,
      );
    }
    return {
      module,
      rank,
      scaling,
      shapeA: shapeA as readonly [number, number],
      shapeB: shapeB as readonly [number, number],
      readA: () => weights.read(A),
      readB: () => weights.read(B),
    };
  });
  if (pairs.length === 0) throw new ModelFileError(`${path} has no LoRA matrices`);
  return { pairs, saved };
}

/**
 * Writes the directory's files, synced; the caller renames the directory into place.
 * @param adapter.tensors under PEFT names; `config` must pass parseAdapterConfig
 */
export function saveAdapter(
  directory: string,
  adapter: { tensors: Iterable<NamedTensor>; config: Readonly<JsonObject> },
  options: { dtype?: SavedDtype } = {},
): void {
  parseAdapterConfig(adapter.config, join(directory, CONFIG));
  mkdirSync(directory, { recursive: true });
  writeSafetensors(directory, WEIGHTS, adapter.tensors, options);
  writeFileSynced(join(directory, CONFIG), [
    new TextEncoder().encode(`${JSON.stringify(adapter.config, null, 2)}\n`),
  ]);
}
