/** A recipe as YAML that is runnable again as it is: recipe.yaml, and what --dry-run shows. */
import { isDeepStrictEqual } from "node:util";
import { stringify } from "yaml";
import { algorithmOf } from "../algorithms/kinds.ts";
import type { RecipeStage } from "./load.ts";
import type { Recipe } from "./schema.ts";

/**
 * A resolved recipe as a config that is complete: every default is written down.
 * @returns YAML whose loading gives equal stages, whatever folder it lies in
 */
export function printResolved({ stages }: { stages: readonly RecipeStage[] }): string {
  const sections = stages.map(({ recipe }) => writtenSections(recipe));
  if (sections.length === 1 && stages[0]!.name === stages[0]!.recipe.algorithm.kind)
    return toYaml(sections[0]!);
  // what all stages share is written once; a section in which they differ is written whole in each, so that
  // nothing of one stage shows through in another
  const keys = [...new Set(sections.flatMap((section) => Object.keys(section)))];
  const shared = keys.filter(
    (key) =>
      key !== "steps" && sections.every((section) => isDeepStrictEqual(section[key], sections[0]![key])),
  );
  const pick = (section: Record<string, unknown>, wanted: (key: string) => boolean) =>
    Object.fromEntries(Object.entries(section).filter(([key]) => wanted(key)));
  return toYaml({
    ...pick(sections[0]!, (key) => shared.includes(key)),
    stages: stages.map(({ name, until }, i) => ({
      name,
      ...(until === undefined ? {} : { until }),
      ...pick(sections[i]!, (key) => !shared.includes(key)),
    })),
  });
}

function writtenSections(recipe: Recipe): Record<string, unknown> {
  // what a run does not use is refused when written
  const unused = algorithmOf(recipe.algorithm).samples
    ? []
    : ["sampler", ...(recipe.data.eval === undefined ? ["rollout"] : [])];
  return Object.fromEntries(
    Object.entries(recipe).filter(
      ([key, value]) =>
        value !== undefined && !unused.includes(key) && !(Array.isArray(value) && value.length === 0),
    ),
  );
}

function toYaml(value: unknown): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}
