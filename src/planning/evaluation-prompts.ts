/** How many prompts an evaluation of a recipe has; 0 without one. */
import type { Recipe } from "../config/schema.ts";
import { openSource } from "../data/source.ts";

export async function evaluationPrompts(recipe: Recipe): Promise<number> {
  if (recipe.data.eval === undefined || recipe.eval === undefined) return 0;
  const { size } = await openSource(recipe.data.eval, recipe.seed, "eval", () => {});
  return Math.min(size ?? Number.POSITIVE_INFINITY, recipe.eval.limit ?? Number.POSITIVE_INFINITY);
}
