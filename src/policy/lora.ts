/** LoRA (arXiv:2106.09685): y = W x + scale * B(A x). Making adapters, and exchanging them with PEFT. */
import * as tf from "@tensorflow/tfjs";
import { ModelFileError } from "../lib/errors.ts";
import type { Rng } from "../lib/rng.ts";
import {
  type AdapterConfig,
  isTargeted,
  MERGE_FIRST,
  moduleRank,
  namesModule,
  parseAdapterConfig,
  unmatchedTargets,
} from "./adapter-config.ts";
import { connectorLinears, linearModules, partOf, towerModules, transposeMatrix } from "./decoder-weights.ts";
import type { DecoderConfig, LinearConfig, LoraOptions, NamedTensor } from "./interfaces.ts";
import type { ModelPart } from "./model-parts.ts";

/** One adapter as numbers, in the layout of PEFT files. */
export interface AdapterValues {
  rank: number;
  alpha: number;
  a: Float32Array; // [r, in]
  b: Float32Array; // [out, r]
  inputs: number;
  outputs: number;
}

const prefix = "base_model.model.";

/** PEFT's name of an adapter matrix. @param module such as `model.layers.0.self_attn.q_proj` */
export function adapterTensorName(module: string, matrix: "A" | "B"): string {
  return `${prefix}${module}.lora_${matrix}.weight`;
}

/** A module as the class in transformers calls it, and so PEFT, where files of the family call it otherwise. */
export function classModule({ aliases = [] }: DecoderConfig, module: string): string {
  const alias = aliases.find(([, here]) => module.startsWith(here));
  return alias === undefined ? module : alias[0] + module.slice(alias[1].length);
}

/** Every linear layer by module name, with [out, in]: those of the tower and its connector, then the decoder's. */
export function allLinear(config: DecoderConfig): Map<string, readonly [number, number]> {
  const all = new Map<string, readonly [number, number]>();
  const add = (modules: ReadonlyMap<string, LinearConfig>) => {
    for (const [module, { outputs, inputs }] of modules) all.set(module, [outputs, inputs]);
  };
  const { vision } = config;
  if (vision !== null) {
    for (const n of vision.layers.keys()) add(towerModules(vision, n));
    add(new Map(connectorLinears(vision.connector).map((linear) => [linear.module, linear])));
  }
  for (const n of config.layers.keys()) add(linearModules(config, n));
  return all;
}

/**
 * New adapters on the targets of the decoder, and on every linear layer of the other parts that are trained, in order: A from U(-1/sqrt(in), 1/sqrt(in)) (PEFT's Kaiming
 * uniform with a = sqrt 5), B zero, so that training starts at the base model.
 * @throws ModelFileError for a target that names no linear layer
 */
export function initialAdapters(
  config: DecoderConfig,
  options: LoraOptions,
  parts: readonly ModelPart[],
  rng: Rng,
): Map<string, AdapterValues> {
  const all = [...allLinear(config)].filter(([module]) => parts.includes(partOf(config, module)));
  const linear = new Map(all);
  for (const target of parts.includes("decoder") ? options.targets : []) {
    if (![...linear.keys()].some((module) => namesModule([target], module))) {
      const known = [...new Set([...linear.keys()].map((module) => module.split(".").at(-1)!))];
      throw new ModelFileError(
        `lora targets name ${JSON.stringify(target)}, which this model has not; it has ${known.join(", ")}`,
      );
    }
  }
  const adapters = new Map<string, AdapterValues>();
  for (const [module, [outputs, inputs]] of linear) {
    const isOfDecoder = partOf(config, module) === "decoder";
    if (isOfDecoder && !options.targets.some((target) => namesModule([target], module))) continue;
    const { rank, alpha } = options;
    const stream = rng.fork("lora", module);
    const bound = 1 / Math.sqrt(inputs);
    const a = Float32Array.from({ length: rank * inputs }, (_, i) => bound * (2 * stream.uniform(i) - 1));
    adapters.set(module, { rank, alpha, a, b: new Float32Array(outputs * rank), inputs, outputs });
  }
  return adapters;
}

/**
 * An adapter in PEFT's form, checked against the model: every matrix has its partner and fits its layer, every
 * target is hit, nothing is left over.
 * @param adapterConfig adapter_config.json
 * @param source the adapter's directory, for messages
 * @returns adapters by module, and the options to train on with
 */
export function importAdapter(
  config: DecoderConfig,
  tensors: readonly NamedTensor[],
  adapterConfig: Readonly<Record<string, unknown>>,
  source: string,
): { adapters: Map<string, AdapterValues>; options: LoraOptions } {
  const fail = (message: string): never => {
    throw new ModelFileError(`${source}: ${message}`);
  };
  const parsed = parseAdapterConfig(adapterConfig, source);
  for (const [key, modules] of [
    ["exclude_modules", parsed.excludeModules],
    ["modules_to_save", parsed.modulesToSave],
  ] as const) {
    if (modules.length > 0) fail(`${key} = ${JSON.stringify(modules)} is not supported; ${MERGE_FIRST}`);
  }

  const linear = allLinear(config);
  const ownNames = new Map([...linear.keys()].map((module) => [classModule(config, module), module]));
  const pairs = new Map<string, { A?: NamedTensor; B?: NamedTensor }>();
  for (const tensor of tensors) {
    const match = /^base_model\.model\.(.+)\.lora_([AB])(?:\.default)?\.weight$/.exec(tensor.name);
    const module = ownNames.get(match?.[1] ?? "") ?? match?.[1];
    if (module === undefined || !linear.has(module))
      return fail(`tensor ${tensor.name} fits no linear layer that can have an adapter here; ${MERGE_FIRST}`);
    pairs.set(module, { ...pairs.get(module), [match![2]!]: tensor });
  }
  const adapters = new Map<string, AdapterValues>();
  for (const [module, [outputs, inputs]] of linear) {
    const pair = pairs.get(module);
    if (!pair) continue;
    if (!pair.A || !pair.B)
      return fail(`${module} has lora_${pair.A ? "A" : "B"} but no lora_${pair.A ? "B" : "A"}`);
    const { rank, alpha } = moduleRank(parsed, classModule(config, module));
    checkShape(pair.A, [rank, inputs], fail);
    checkShape(pair.B, [outputs, rank], fail);
    adapters.set(module, { rank, alpha, a: pair.A.data, b: pair.B.data, inputs, outputs });
  }
  // expressions are written for the names of the class
  const named = new Map([...adapters].map(([module, own]) => [classModule(config, module), own]));
  const targets = checkTargets(parsed, [...ownNames.keys()], named, fail);
  const { rank, alpha, useRslora } = parsed;
  return { adapters, options: { rank, alpha, targets, useRslora } };
}

type Fail = (message: string) => never;

function checkShape({ name, shape }: NamedTensor, expected: readonly number[], fail: Fail): void {
  if (shape.length !== 2 || shape.some((size, i) => size !== expected[i])) {
    fail(`${name} is [${shape.join(", ")}], the model and r imply [${expected.join(", ")}]`);
  }
}

/** @returns the targets by the last part of their names */
function checkTargets(
  config: AdapterConfig,
  modules: readonly string[],
  adapters: ReadonlyMap<string, unknown>,
  fail: Fail,
): string[] {
  const unknown = unmatchedTargets(config, modules)[0];
  if (unknown !== undefined) {
    fail(`target_modules names ${JSON.stringify(unknown)}, which this model has not`);
  }
  const wanted = modules.filter((module) => isTargeted(config, module));
  const without = wanted.find((module) => !adapters.has(module));
  if (without) fail(`target_modules covers ${without}, but there are no tensors for it`);
  const extra = [...adapters.keys()].find((module) => !wanted.includes(module));
  if (extra) fail(`there are tensors for ${extra}, which target_modules does not cover`);
  if (adapters.size === 0) fail("the adapter is empty");
  return [...new Set(wanted.map((module) => module.split(".").at(-1)!))];
}

/**
 * adapter_config.json of adapters in training. Deviating ranks and alphas become patterns.
 * @param baseModel what the user named, for `base_model_name_or_path`
 */
export function adapterConfigJson(
  config: DecoderConfig,
  options: LoraOptions,
  adapters: ReadonlyMap<string, { rank: number; alpha: number }>,
  baseModel: string,
): Record<string, unknown> {
  const deviating = (key: "rank" | "alpha") =>
    Object.fromEntries(
      [...adapters]
        .filter(([, own]) => own[key] !== options[key])
        .map(([module, own]) => [classModule(config, module), own[key]]),
    );
  // a list of last names would cover modules that have no adapter; then every module is named
  const covered = [...adapters.keys()].map((module) => classModule(config, module));
  return {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: baseModel,
    r: options.rank,
    lora_alpha: options.alpha,
    use_rslora: options.useRslora,
    target_modules:
      config.vision === null && uniform(options.targets, covered) ? [...options.targets] : covered,
    rank_pattern: deviating("rank"),
    alpha_pattern: deviating("alpha"),
    lora_dropout: 0,
    bias: "none",
    fan_in_fan_out: config.matrices === "in-out",
    init_lora_weights: true,
    inference_mode: true,
    modules_to_save: null,
  };
}

/** True when every layer has an adapter on each target, so that last names say it all. */
function uniform(targets: readonly string[], modules: readonly string[]): boolean {
  const layers = new Set(modules.map((module) => module.split(".")[2]));
  return modules.length === layers.size * targets.length;
}

/** The matrices as tensors, [in, r] and [r, out]. */
export function adapterTensors(values: AdapterValues): { a: tf.Tensor2D; b: tf.Tensor2D } {
  const { rank, inputs, outputs } = values;
  return {
    a: tf.tensor2d(transposeMatrix(values.a, rank, inputs), [inputs, rank]),
    b: tf.tensor2d(transposeMatrix(values.b, outputs, rank), [rank, outputs]),
  };
}
