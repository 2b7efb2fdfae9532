/** What `eval`, `sample` and `export` are pointed at: a run, a checkpoint, a config, or a model. */
import { existsSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { findConfig, type LoadOptions, loadRecipe, type ResolvedRecipe } from "../config/load.ts";
import type { Recipe } from "../config/schema.ts";
import { CheckpointError, ConfigError } from "../lib/errors.ts";
import { bestCheckpoint, type Checkpoint, latestCheckpoint, openCheckpoint } from "../run/checkpoint.ts";
import { isRunDirectory } from "../run/run-directory.ts";

export interface Target {
  recipe: Recipe;
  /** The config that the recipe comes from. */
  loaded: ResolvedRecipe;
  /** For tables: what is evaluated. */
  name: string;
  runDir: string | null;
  checkpoint: Checkpoint | null;
}

/**
 * @param path a run directory, a checkpoint in it, a config file, or (with `config`) a model
 * @param which checkpoint of a run directory: latest, best, or a step
 */
export async function resolveTarget(
  path: string,
  options: LoadOptions & { config?: string; which?: string },
): Promise<Target> {
  const { config, which, ...load } = options;
  const looksLikeConfig = /\.ya?ml$/i.test(findConfig(path));
  if (config !== undefined) {
    if (looksLikeConfig) throw new ConfigError(`${path} is a config already: leave --config out`);
    const set = [...(load.set ?? []), `model.path=${JSON.stringify(path)}`];
    const loaded = loadRecipe(config, { ...load, set });
    return { recipe: loaded.recipe, loaded, name: path, runDir: null, checkpoint: null };
  }
  if (looksLikeConfig) {
    const loaded = loadRecipe(path, load);
    return { recipe: loaded.recipe, loaded, name: path, runDir: null, checkpoint: null };
  }
  if (isRunDirectory(path)) {
    const loaded = loadRecipe(join(path, "recipe.yaml"), load);
    const checkpoint = await chooseCheckpoint(path, which ?? "latest", loaded.recipe);
    return fromCheckpoint(loaded, path, checkpoint);
  }
  if (existsSync(join(path, "manifest.json"))) {
    const runDir = dirname(dirname(resolve(path)));
    if (!isRunDirectory(runDir)) {
      throw new ConfigError(
        `${path} is a checkpoint outside of a run directory: evaluate its model folder with --config`,
      );
    }
    const loaded = loadRecipe(join(runDir, "recipe.yaml"), load);
    return fromCheckpoint(loaded, runDir, await openCheckpoint(path));
  }
  const what = !existsSync(path)
    ? "there is nothing at that path"
    : statSync(path).isDirectory()
      ? "it is no run directory and no checkpoint"
      : "it is no YAML config";
  throw new ConfigError(
    `${path}: ${what}. Give a run directory, a checkpoint, a config, or a model together with --config file.yaml (data and rewards).`,
  );
}

async function chooseCheckpoint(runDir: string, which: string, recipe: Recipe): Promise<Checkpoint> {
  let found: Checkpoint | null;
  if (which === "latest") found = await latestCheckpoint(runDir, { verify: "hashes" });
  else if (which === "best") {
    found = await bestCheckpoint(runDir, recipe.run.keep_best ?? { metric: "accuracy", mode: "max" });
  } else if (/^\d+$/.test(which)) {
    found = await openCheckpoint(join(runDir, "checkpoints", which.padStart(6, "0")));
  } else throw new ConfigError(`--checkpoint ${which}: use latest, best, or a step`);
  if (found === null)
    throw new CheckpointError(
      `${runDir} has no whole checkpoint${which === "best" ? " with an evaluation" : ""}`,
    );
  return found;
}

/** The recipe, its model replaced by the checkpoint's. */
function fromCheckpoint(loaded: ResolvedRecipe, runDir: string, checkpoint: Checkpoint): Target {
  const { recipe } = loaded;
  const modelDirectory = join(checkpoint.directory, "model");
  const name = `${runDir} step ${checkpoint.step}`;
  const { lora, init: _init, tokenizer: _tokenizer, ...model } = recipe.model;
  if (existsSync(modelDirectory)) {
    const saved = { ...model, path: modelDirectory };
    return { recipe: { ...recipe, model: saved }, loaded, name, runDir, checkpoint };
  }
  const adapter = join(checkpoint.directory, "adapter");
  if (lora === undefined || !existsSync(adapter)) {
    throw new CheckpointError(`${checkpoint.directory} holds neither model/ nor adapter/`);
  }
  const adapted = { ...model, lora: { ...lora, adapter } };
  return { recipe: { ...recipe, model: adapted }, loaded, name, runDir, checkpoint };
}
