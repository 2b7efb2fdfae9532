/** What services know a run by, from its files. */
import { basename, resolve } from "node:path";
import { parse } from "yaml";
import { readProvenance } from "../run/provenance.ts";
import { readRecipe } from "../run/run-directory.ts";
import { sha256 } from "./http.ts";
import { beganAt } from "./run-rows.ts";
import type { TrackedRun } from "./service.ts";

/** @throws CheckpointError where there is no run */
export function trackedRun(directory: string): TrackedRun {
  const recipe = readRecipe(directory);
  const values = (parse(recipe) ?? {}) as Record<string, unknown>;
  return {
    directory,
    id: runId(directory, recipe),
    name: basename(resolve(directory)),
    began: beganAt(directory),
    recipe,
    values,
    config: flattened(values),
  };
}

function runId(directory: string, recipe: string): string {
  const provenance = readProvenance(directory, { damaged: "null" });
  const start =
    provenance === null
      ? { directory: resolve(directory), recipe }
      : {
          started: provenance.started,
          seed: provenance.seed,
          command: provenance.command,
          system: provenance.system,
          recipe: provenance.recipes?.[0] ?? null,
          data: provenance.data,
          inputs: provenance.inputs ?? null,
          // from here on its steps are made with other inputs
          accepted: provenance.resumes.flatMap(({ accepted, time }) =>
            accepted === undefined ? [] : [time],
          ),
        };
  return sha256(JSON.stringify(start)).toString("hex").slice(0, 16);
}

function flattened(value: unknown, path = "", out = new Map<string, string | number | boolean>()) {
  if (typeof value === "object" && value !== null) {
    for (const [key, inner] of Object.entries(value))
      flattened(inner, path === "" ? key : `${path}.${key}`, out);
  } else if (typeof value === "number" || typeof value === "boolean") out.set(path, value);
  else if (value !== undefined) out.set(path, String(value));
  return out;
}
