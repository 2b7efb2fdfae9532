/** What `recipe: name` may name: settings that lie beneath the file's own. */

import { methodDefaults } from "../recipes/index.ts";

export interface MethodRecipe {
  /** One line for people. */
  summary: string;
  /** A partial recipe, as a YAML file would hold it. */
  defaults: Readonly<Record<string, unknown>>;
}

/** The plain algorithms, and the papers' recipes. */
export const builtInMethods: ReadonlyMap<string, MethodRecipe> = new Map([
  ["grpo", { summary: "group-relative policy optimisation", defaults: { algorithm: { kind: "grpo" } } }],
  [
    "ppo",
    {
      summary: "proximal policy optimisation with a critic",
      defaults: { algorithm: { kind: "ppo" } },
    },
  ],
  ["sft", { summary: "supervised fine-tuning on targets", defaults: { algorithm: { kind: "sft" } } }],
  ...methodDefaults(),
]);
