/** What `recipe: name` may name: settings that lie beneath the file's own. */

import { algorithms } from "../algorithms/kinds.ts";
import { methodDefaults } from "../recipes/index.ts";

export interface MethodRecipe {
  /** One line for people. */
  summary: string;
  /** A partial recipe, as a YAML file would hold it. */
  defaults: Readonly<Record<string, unknown>>;
}

/** The plain algorithms, and the papers' recipes. */
export const builtInMethods: ReadonlyMap<string, MethodRecipe> = new Map<string, MethodRecipe>([
  ...algorithms.map(({ kind, summary }) => [kind, { summary, defaults: { algorithm: { kind } } }] as const),
  ...methodDefaults(),
]);
