/** The recipe: what a YAML file holds once every default is filled in. Joins the stages' option schemas. */
import { z } from "zod";
import { algorithmOptions, evalOptions } from "../algorithms/options.ts";
import { backendObjectOptions } from "../backend/options.ts";
import { fileOptions } from "../data/file-options.ts";
import { chainOptions } from "../data/options.ts";
import { optimizerOptions } from "../optim/options.ts";
import { modelOptions } from "../policy/options.ts";
import { rewardOptions, rewardPartsOptions } from "../rewards/options.ts";
import { rolloutOptions } from "../rollouts/options.ts";
import { runOptions } from "../run/options.ts";
import { type JsonSchema, toJsonSchema } from "./schema-tree.ts";

export const datasetOptions = z.discriminatedUnion("kind", [chainOptions, fileOptions]);
export type DatasetOptions = z.infer<typeof datasetOptions>;

/** What both datasets share of a prompt. Resolving a recipe writes it into `data` and leaves this away. */
export const promptOptions = z.strictObject({
  template: z
    .string()
    .optional()
    .describe(
      "text around the prompt of each dataset; {prompt} stands for it, other {columns} for the row's",
    ),
  system: z.string().min(1).optional().describe("system message of datasets that have none of their own"),
  chat: z.boolean().optional().describe("chat of datasets that do not say it themselves"),
});
export type PromptOptions = z.infer<typeof promptOptions>;

export const recipeSchema = z.strictObject({
  recipe: z
    .string()
    .optional()
    .describe("name of a method recipe whose settings lie beneath this file's; plain files need none"),
  seed: z
    .int()
    .min(0)
    .default(1)
    .describe("every random draw of the run follows from it; same seed, same bytes"),
  steps: z.int().min(1).describe("training steps of the run"),
  backend: backendObjectOptions.prefault({}).describe("tensor engine; `backend: wasm` is short for its kind"),
  model: modelOptions.describe("the policy"),
  data: z
    .strictObject({
      train: datasetOptions.describe(
        "problems that the policy learns from; kind may be left out beside path",
      ),
      eval: datasetOptions.optional().describe("problems that evaluations use; none: no evaluation"),
    })
    .describe("where prompts come from"),
  prompt: promptOptions
    .optional()
    .describe("what file datasets share of their prompts; written into data when the recipe is resolved"),
  rollout: rolloutOptions.prefault({}).describe("how completions are sampled"),
  rewards: rewardPartsOptions
    .default([])
    .describe(
      "reward parts; a completion's reward is their weighted sum. None only for sft without data.eval",
    ),
  max_error_share: rewardOptions.shape.max_error_share,
  algorithm: algorithmOptions.describe("how the weights learn"),
  optimizer: optimizerOptions.describe("AdamW and its schedule"),
  eval: evalOptions.optional().describe("how data.eval is used; all defaults when absent"),
  run: runOptions.prefault({}).describe("the run directory"),
});

/** Fully resolved: every default filled in, every path absolute. */
export type Recipe = Omit<z.infer<typeof recipeSchema>, "prompt">;
/** As the schema gives it, with `prompt` not yet written into `data`. */
export type RecipeInput = z.infer<typeof recipeSchema>;

let cached: JsonSchema | undefined;

/** The schema of what a file may hold. */
export function recipeJsonSchema(): JsonSchema {
  cached ??= toJsonSchema(recipeSchema);
  return cached;
}
