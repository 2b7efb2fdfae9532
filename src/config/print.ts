/** A recipe as YAML that is runnable again as it is: recipe.yaml, and what --dry-run shows. */
import { stringify } from "yaml";
import type { Recipe } from "./schema.ts";

/** @returns YAML whose loading gives an equal recipe, whatever folder it lies in */
export function printResolved(recipe: Recipe): string {
  // what a run does not use is refused when written
  const unused = recipe.algorithm.kind === "sft" && recipe.data.eval === undefined ? ["rollout"] : [];
  const shown = Object.entries(recipe).filter(
    ([key, value]) => !unused.includes(key) && !(key === "rewards" && (value as unknown[]).length === 0),
  );
  return stringify(Object.fromEntries(shown), { lineWidth: 0, aliasDuplicateObjects: false });
}
