/** `rlpt export`: a checkpoint's weights for other tools. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { ConfigError } from "../lib/errors.ts";
import { savedGenerationConfig, saveModel } from "../policy/files/model-directory.ts";
import type { SavedDtype } from "../policy/files/safetensors-write.ts";
import * as parts from "./assemble.ts";
import { resolveTarget } from "./target.ts";

const DTYPES: readonly string[] = ["F32", "BF16", "F16"];

export async function exportModel(
  path: string,
  directory: string,
  options: { checkpoint: string; dtype: string },
  note: (text: string) => void,
): Promise<{ parameters: number }> {
  const dtype = options.dtype.toUpperCase();
  if (!DTYPES.includes(dtype))
    throw new ConfigError(`--dtype ${options.dtype}: use one of ${DTYPES.join(", ")}`);
  if (existsSync(directory) && readdirSync(directory).length > 0) {
    throw new ConfigError(`${directory} is not empty: give another directory`);
  }
  const { recipe } = await resolveTarget(path, { which: options.checkpoint });
  await parts.assembleBackend(recipe, null);
  const files = await parts.openRecipeModel(recipe, note);
  const policy = parts.assemblePolicy(recipe, files, { trainable: false, reference: false });
  // aside first, so that a half-written model is never taken for one
  const aside = `${resolve(directory)}.${process.pid}.tmp`;
  mkdirSync(dirname(aside), { recursive: true });
  await policy.prepareExport();
  try {
    saveModel(aside, {
      config: files.config,
      generationConfig: savedGenerationConfig(files),
      tokenizerFiles: files.tokenizerFiles,
      weights: policy.exportWeights(),
      dtype: dtype as SavedDtype,
    });
    rmSync(directory, { recursive: true, force: true });
    renameSync(aside, directory);
  } finally {
    rmSync(aside, { recursive: true, force: true });
    files.weights.close();
  }
  return { parameters: policy.parameterCount };
}
