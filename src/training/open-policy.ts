/** A policy to talk to or to write elsewhere, from whatever a person has: a run, a checkpoint, a config, or a model. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { backendKinds } from "../backend/options.ts";
import { startBackend } from "../backend/select.ts";
import { findConfig } from "../config/load.ts";
import { ConfigError } from "../lib/errors.ts";
import { openModel } from "../policy/files/model-directory.ts";
import type { ModelFiles } from "../policy/interfaces.ts";
import { createPolicy, type DecoderPolicy } from "../policy/policy.ts";
import { isRunDirectory } from "../run/run-directory.ts";
import * as parts from "./assemble.ts";
import { resolveTarget } from "./target.ts";

export interface OpenedPolicy {
  files: ModelFiles;
  policy: DecoderPolicy;
  /** For people: the run and its step, or the model. */
  name: string;
}

/** A run directory, a checkpoint or a config, which have a recipe; anything else is a model. */
export function hasRecipe(path: string): boolean {
  return (
    /\.ya?ml$/i.test(findConfig(path)) || isRunDirectory(path) || existsSync(join(path, "manifest.json"))
  );
}

/** @throws ConfigError naming the flag */
export async function startNamedBackend(kind: string, note: parts.Note): Promise<void> {
  const kinds: readonly string[] = ["auto", ...backendKinds];
  if (!kinds.includes(kind)) throw new ConfigError(`--backend ${kind}: use one of ${kinds.join(", ")}`);
  const backend = await startBackend({ kind: kind as "auto" });
  note(`backend ${backend.kind}: ${backend.description}`);
}

/**
 * Opens it onto the backend that was started, with nothing to train; an adapter stays beside its base.
 * @param checkpoint of a run directory: latest, best, or a step
 */
export async function openPolicy(
  path: string,
  checkpoint: string | undefined,
  note: parts.Note,
): Promise<OpenedPolicy> {
  if (hasRecipe(path)) {
    const { recipe, name } = await resolveTarget(path, checkpoint === undefined ? {} : { which: checkpoint });
    const files = await parts.openRecipeModel(recipe, note);
    return {
      files,
      policy: parts.assemblePolicy(recipe, files, { trainable: false, reference: false }),
      name,
    };
  }
  const files = await openModel(path);
  for (const warning of files.warnings) note(warning, "warning");
  return { files, policy: createPolicy(files, { trainable: "none" }), name: path };
}
