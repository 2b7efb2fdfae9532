/** What can be known of a model before its weights are read: dimensions, tokenizer, adapter. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Recipe } from "../config/schema.ts";
import { ConfigError, ModelFileError, RlptError } from "../lib/errors.ts";
import { irregularity } from "../lib/regular-file.ts";
import { parameterCount } from "../policy/decoder-weights.ts";
import { openAdapter } from "../policy/files/adapter-files.ts";
import type { DecoderConfig } from "../policy/interfaces.ts";
import { parseModelConfig } from "../policy/model-config.ts";
import type { Tokenizer } from "../types.ts";
import { openRecipeModel } from "./assemble.ts";

export interface ModelFacts {
  tokenizer: Tokenizer;
  /** Rows that are longer are refused. */
  positions: number;
  /** Width of the residual stream. */
  hiddenSize: number;
}

/** Random weights that nobody has the memory for: 40 GB in float32. */
const MOST_RANDOM_WEIGHTS = 1e10;

const LARGEST_DIMENSION = 10_000_000;
const DIMENSIONS = [
  "vocab_size",
  "hidden_size",
  "intermediate_size",
  "num_attention_heads",
  "num_key_value_heads",
  "head_dim",
] as const;

/**
 * @returns null for a model on the Hub that is not fetched; the error where its files are wrong
 */
export async function inspectModel(
  recipe: Pick<Recipe, "model" | "seed">,
  { fetch, weights }: { fetch: boolean; weights: boolean },
): Promise<ModelFacts | RlptError | null> {
  const { path, init, lora, max_positions, trained_parts } = recipe.model;
  try {
    if (lora?.adapter !== undefined) {
      checkFolder(lora.adapter, () => true);
      openAdapter(lora.adapter).close();
    }
    if (path !== undefined) {
      if (!existsSync(path)) {
        if (!fetch) return null;
      } else if (statSync(path).isDirectory()) checkFolder(path, (name) => weights || !isWeights(name));
    } else if (init !== undefined) checkInit(init);
    const local = path === undefined || existsSync(path);
    const files = await openRecipeModel(recipe, () => {}, { weights: weights && local });
    files.weights.close();
    const config = parseModelConfig(files.config, files.source);
    if (trained_parts !== undefined && config.vision === null) {
      return new ConfigError(
        `model.trained_parts = ${JSON.stringify(trained_parts)}: ${files.source} sees no pictures and has one part alone, the decoder; leave the key out`,
      );
    }
    return {
      tokenizer: files.tokenizer,
      positions: max_positions ?? config.maxPositions,
      hiddenSize: config.hiddenSize,
    };
  } catch (error) {
    if (error instanceof RlptError) return error;
    if (error instanceof RangeError) return new ConfigError(`model.init: ${error.message}`);
    throw error;
  }
}

const isWeights = (name: string): boolean => /\.(safetensors|bin|gguf)$/.test(name);

/** A pipe among a model's files would be waited for without end. @throws ModelFileError naming it */
function checkFolder(folder: string, looksAt: (name: string) => boolean): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const reason =
      looksAt(name) && /\.(json|jinja|safetensors|txt|model)$/.test(name) ? irregularity(path) : null;
    if (reason !== null) throw new ModelFileError(`${path} cannot be read: ${reason}`);
  }
}

/** @throws ModelFileError where the dimensions are wrong, or make a model that no machine holds */
function checkInit(init: Readonly<Record<string, unknown>>): void {
  // before tables of that size are made of them; layers multiply, and are counted below
  for (const key of DIMENSIONS) {
    const value = init[key];
    if (typeof value === "number" && value > LARGEST_DIMENSION) {
      throw new ModelFileError(
        `${key} = ${value}: no model has a dimension above ${LARGEST_DIMENSION.toLocaleString("en")}`,
      );
    }
  }
  const count = weightsOf(
    init["num_hidden_layers"],
    parseModelConfig(
      init["num_hidden_layers"] === undefined ? init : { ...init, num_hidden_layers: 1 },
      "model.init",
    ),
  );
  if (count <= MOST_RANDOM_WEIGHTS) {
    parseModelConfig(init, "model.init");
    return;
  }
  throw new ModelFileError(
    `it makes ${count.toExponential(1)} random weights, and ${MOST_RANDOM_WEIGHTS.toExponential(0)} fill 40 GB`,
  );
}

/** Weights of a decoder of so many layers. @param config of one layer */
function weightsOf(layers: unknown, config: DecoderConfig): number {
  const all = parameterCount(config);
  const one = all - parameterCount({ ...config, layers: [] });
  return all + ((typeof layers === "number" ? layers : 1) - 1) * one;
}
