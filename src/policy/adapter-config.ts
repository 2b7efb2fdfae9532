/** adapter_config.json of PEFT: what it says of ranks, scales and modules. */
import { ModelFileError } from "../lib/errors.ts";
import { inTime } from "./files/in-time.ts";
import { isObject, type JsonObject } from "./files/json.ts";

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
  /** Numbers of the layers that have an adapter; null: all. */
  layers: readonly number[] | null;
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
  "layers_pattern",
];

/** Ways to initialise A and B alone: the base weights stay. */
const OWN_INITS: ReadonlySet<unknown> = new Set(["gaussian", "eva", "orthogonal"]);

export const MERGE_FIRST =
  "merge the adapter in PEFT first (model.merge_and_unload(), then save_pretrained) and name that model";

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
      throw fault(key, `not supported, and the adapter would be applied wrongly without it; ${MERGE_FIRST}`);
  }
  if (isSet(raw["bias"]) && raw["bias"] !== "none")
    throw fault("bias", "trained biases are not supported, only none");
  const init = raw["init_lora_weights"] ?? true;
  if (typeof init !== "boolean" && !OWN_INITS.has(init)) {
    throw fault("init_lora_weights", `it changes the base weights; ${MERGE_FIRST}`);
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
    layers: layersOf(raw["layers_to_transform"], fault),
  };
}

function layersOf(value: unknown, fault: (key: string, reason: string) => ModelFileError): number[] | null {
  if (value === undefined || value === null) return null;
  const layers: unknown[] = Array.isArray(value) ? value : [value];
  if (!layers.every((layer): layer is number => Number.isSafeInteger(layer) && (layer as number) >= 0)) {
    throw fault("layers_to_transform", "expected numbers of layers");
  }
  return layers.length === 0 ? null : layers;
}

/** A pattern of an adapter's author, on a module's name. @throws ModelFileError when it takes too long */
function matchesName(expression: string, module: string): boolean {
  const found = inTime(2000, () => new RegExp(expression).test(module));
  if (found === null) {
    throw new ModelFileError(
      `adapter_config.json: the regular expression ${JSON.stringify(expression.slice(0, 80))} takes more than 2 seconds for ${module}: it has no bound; name the modules as a list`,
    );
  }
  return found.value;
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

/** PEFT: key k of a pattern applies when `^(.*\.)?(k)$` matches the module; the first hit wins. */
function patternValue(patterns: Readonly<Record<string, number>>, module: string): number | undefined {
  return Object.entries(patterns).find(([key]) => matchesName(`^(.*\\.)?(${key})$`, module))?.[1];
}

/** r and alpha of one module, with rank_pattern and alpha_pattern (first match wins). */
export function moduleRank(config: AdapterConfig, module: string): { rank: number; alpha: number } {
  const rank = patternValue(config.rankPattern, module) ?? config.rank;
  const alpha = patternValue(config.alphaPattern, module) ?? config.alpha;
  return { rank, alpha };
}

/** scale = alpha / r, or alpha / sqrt(r) with rank stabilisation (arXiv:2312.03732). */
export function loraScale(options: { rank: number; alpha: number; useRslora: boolean }): number {
  return options.alpha / (options.useRslora ? Math.sqrt(options.rank) : options.rank);
}

export function namesModule(modules: readonly string[] | string, module: string): boolean {
  if (typeof modules === "string") return modules !== "" && matchesName(`^(?:${modules})$`, module);
  return modules.some((name) => module === name || module.endsWith(`.${name}`));
}

/** Does the config target this linear module of the base model? "all-linear" is every one but the output layer. */
export function isTargeted(config: AdapterConfig, module: string): boolean {
  if (namesModule(config.excludeModules, module)) return false;
  const layer = /(?:^|\.)(?:layers|h)\.(\d+)\./.exec(module)?.[1];
  if (config.layers !== null && !config.layers.includes(Number(layer ?? -1))) return false;
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
