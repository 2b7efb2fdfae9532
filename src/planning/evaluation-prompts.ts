/** How many prompts an evaluation of a recipe has; 0 without one. */
import type { Recipe } from "../config/schema.ts";
import { openSource } from "../data/source.ts";
import { openStageSource } from "../training/stage-data.ts";
import type { Tokenizer } from "../types.ts";

/** @param model what says which rows are too long; without it all are counted */
export async function evaluationPrompts(
  recipe: Recipe,
  model: { tokenizer: Tokenizer; positions: number } | null = null,
): Promise<number> {
  if (recipe.data.eval === undefined || recipe.eval === undefined) return 0;
  const { size } =
    model === null
      ? await openSource(recipe.data.eval, recipe.seed, "eval", () => {})
      : await openStageSource(recipe, "eval", model.tokenizer, model.positions, () => {});
  return Math.min(size ?? Number.POSITIVE_INFINITY, recipe.eval.limit ?? Number.POSITIVE_INFINITY);
}
