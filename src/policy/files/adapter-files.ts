/** LoRA adapter directories of PEFT: adapter_config.json and adapter_model.safetensors. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { ModelFileError } from "../../lib/errors.ts";
import { writeFileSynced } from "../../lib/files.ts";
import {
  type AdapterConfig,
  isTargeted,
  loraScale,
  moduleRank,
  namesModule,
  parseAdapterConfig,
} from "../adapter-config.ts";
import type { NamedTensor, WeightSource } from "../interfaces.ts";
import { type JsonObject, readJsonObject } from "./json.ts";
import { openSafetensors } from "./safetensors.ts";
import { type SavedDtype, writeSafetensors } from "./safetensors-write.ts";

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";
const PREFIX = "base_model.model.";

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
    const { rank, alpha } = moduleRank(config, module);
    const scaling = loraScale({ rank, alpha, useRslora: config.useRslora });
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
