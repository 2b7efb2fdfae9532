/** A policy to talk to or to write elsewhere, from whatever a person has: a run, a checkpoint, a config, or a model. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { backendKinds, backendObjectOptions } from "../backend/options.ts";
import { startBackend } from "../backend/select.ts";
import { findConfig } from "../config/load.ts";
import type { Recipe } from "../config/schema.ts";
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

type BackendKind = Recipe["backend"]["kind"];

/** @throws ConfigError naming the flag */
function backendKind(given: string): BackendKind {
  const kinds = ["auto", ...backendKinds] as const;
  const kind = kinds.find((one) => one === given);
  if (kind === undefined) throw new ConfigError(`--backend ${given}: use one of ${kinds.join(", ")}`);
  return kind;
}

/** Without regard to a model's size, so that `auto` compiles no programs. @throws ConfigError naming the flag */
export async function startNamedBackend(kind: string, note: parts.Note): Promise<void> {
  const backend = await startBackend({ kind: backendKind(kind) });
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
  return policyOf(await openTarget(path, checkpoint, note));
}

/**
 * Opens it onto the backend that training it would take: the recipe's, or the one that suits the model's size.
 * @param kind as typed; the recipe's when absent
 */
export async function openPolicyAsTrained(
  kind: string | undefined,
  path: string,
  checkpoint: string | undefined,
  note: parts.Note,
): Promise<OpenedPolicy> {
  const named = kind === undefined ? {} : { kind: backendKind(kind) };
  const target = await openTarget(path, checkpoint, note);
  const settings = target.recipe?.backend ?? backendObjectOptions.parse({});
  const backend = await parts.assembleBackend({ backend: { ...settings, ...named } }, target.files);
  note(`backend ${backend.kind}: ${backend.description}`);
  return policyOf(target);
}

interface OpenedTarget {
  recipe: Recipe | null;
  files: ModelFiles;
  name: string;
}

async function openTarget(
  path: string,
  checkpoint: string | undefined,
  note: parts.Note,
): Promise<OpenedTarget> {
  if (hasRecipe(path)) {
    const { recipe, name } = await resolveTarget(path, checkpoint === undefined ? {} : { which: checkpoint });
    return { recipe, name, files: await parts.openRecipeModel(recipe, note) };
  }
  const files = await openModel(path);
  for (const warning of files.warnings) note(warning, "warning");
  return { recipe: null, name: path, files };
}

function policyOf({ recipe, files, name }: OpenedTarget): OpenedPolicy {
  const policy =
    recipe === null
      ? createPolicy(files, { trainable: "none" })
      : parts.assemblePolicy(recipe, files, { trainable: false, reference: false });
  return { files, policy, name };
}
