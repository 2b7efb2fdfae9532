/** A model as a policy: opened with its tokenizer, on a tensor backend that has started. */
import { existsSync, readdirSync } from "node:fs";
import { backendKinds, backendObjectOptions } from "../backend/options.ts";
import type { BackendInfo } from "../backend/select.ts";
import type { Recipe } from "../config/schema.ts";
import { ConfigError, ModelFileError } from "../lib/errors.ts";
import { savedGenerationConfig, saveModel } from "../policy/files/model-directory.ts";
import type { TrainablePolicy } from "../policy/interfaces.ts";
import { modelOptions } from "../policy/options.ts";
import * as parts from "../training/assemble.ts";
import type { Tokenizer } from "../types.ts";

export interface LoadPolicyOptions {
  /** With gradients: all weights, or the LoRA matrices where the recipe's `model.lora` says so. Default: false. */
  trainable?: boolean;
  /** Tensor engine: `auto`, or one of those that `rlpt doctor` lists. Default: the recipe's, else `auto`. */
  backend?: string;
  /** Told in sentences what is remarkable: the engine, downloads, oddities of the files. */
  onNote?: (text: string) => void;
}

/** A policy with what is needed to speak to it. */
export interface LoadedPolicy {
  readonly policy: TrainablePolicy;
  readonly tokenizer: Tokenizer;
  /** What computes; one for the whole process. */
  readonly backend: BackendInfo;
  /**
   * Writes a Hugging Face directory: weights (LoRA merged), config and tokenizer.
   * @param directory new or empty
   */
  save(directory: string): Promise<void>;
  /** Frees the weights. */
  dispose(): void;
}

/**
 * Opens a model as a policy, and starts a tensor backend if need be.
 * @param model a Hugging Face directory, such as a checkpoint's `model/`, a .gguf file, a Hub id `org/name[@revision]`, or a
 *   recipe, whose `model`, `backend` and `seed` are taken
 * @throws ModelFileError naming the file, key or tensor that cannot be used
 * @throws BackendError when no engine starts, or not the one that was asked for
 */
export async function loadPolicy(
  model: string | Pick<Recipe, "model" | "backend" | "seed">,
  { trainable = false, backend: kind, onNote = () => {} }: LoadPolicyOptions = {},
): Promise<LoadedPolicy> {
  const recipe = typeof model === "string" ? { model: modelOptions.parse({ path: model }), seed: 0 } : model;
  const files = await parts.openRecipeModel(recipe, onNote);
  try {
    const given = typeof model === "string" ? backendObjectOptions.parse({}) : model.backend;
    const asked = kind === undefined ? given : { ...given, kind: known(kind) };
    const backend = await parts.assembleBackend({ backend: asked }, files);
    onNote(`backend ${backend.kind}: ${backend.description}`);
    const policy = parts.assemblePolicy(recipe, files, { trainable, reference: false });
    for (const note of policy.notes) onNote(note);
    return {
      policy,
      tokenizer: files.tokenizer,
      backend,
      async save(directory) {
        if (existsSync(directory) && readdirSync(directory).length > 0) {
          throw new ModelFileError(`${directory} is not empty: give another directory`);
        }
        await policy.prepareExport();
        saveModel(directory, {
          config: files.config,
          generationConfig: savedGenerationConfig(files),
          tokenizerFiles: files.tokenizerFiles,
          weights: policy.exportWeights(),
        });
      },
      dispose: () => policy.dispose(),
    };
  } finally {
    files.weights.close();
  }
}

function known(kind: string): Recipe["backend"]["kind"] {
  const kinds: readonly string[] = ["auto", ...backendKinds];
  if (!kinds.includes(kind)) throw new ConfigError(`backend ${kind}: use one of ${kinds.join(", ")}`);
  return kind as Recipe["backend"]["kind"];
}
