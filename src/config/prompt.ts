/** `prompt:` at the top of a config is written into each dataset that asks with a template, so that one place holds it afterwards. */
import { askingSets } from "../data/dataset-options.ts";
import type { Recipe, RecipeInput } from "./schema.ts";
import { type MapNode, nodeAt } from "./source.ts";

/** `prompt.chat`, in place, for the datasets that do not say it: rules then see what will hold. */
export function shareChat(recipe: Partial<RecipeInput>, tree: MapNode): void {
  for (const { at, set } of askingSets(recipe.data)) {
    if (recipe.prompt?.chat !== undefined && !nodeAt(tree, [...at, "chat"])) set.chat = recipe.prompt.chat;
  }
}

/** Puts the dataset's own template into the shared one; {{ and }} stay as they are. */
export function composeTemplate(shared: string, own: string): string {
  return shared.replaceAll(/\{\{|\}\}|\{prompt\}/g, (found) => (found === "{prompt}" ? own : found));
}

/** The rest of `prompt`. @returns the recipe without it */
export function sharePrompt(recipe: RecipeInput): Recipe {
  // what the method and the prompt said is written into the other keys by now
  const { recipe: _method, prompt, stages: _stages, sweep: _sweep, ...rest } = recipe;
  for (const { set } of askingSets(rest.data)) {
    if (prompt === undefined) break;
    if (prompt.template !== undefined) set.prompt = composeTemplate(prompt.template, set.prompt);
    if (prompt.system !== undefined) set.system ??= prompt.system;
  }
  return rest;
}
