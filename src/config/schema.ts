/** The recipe: what a YAML file holds once every default is filled in. Joins the stages' option schemas. */
import { z } from "zod";
import { evalOptions } from "../algorithms/eval-options.ts";
import { algorithmOptions } from "../algorithms/kinds.ts";
import { backendObjectOptions } from "../backend/options.ts";
import { datasetOptions } from "../data/dataset-options.ts";
import { environmentOptions } from "../environments/options.ts";
import { optimizerOptions } from "../optim/options.ts";
import { modelOptions } from "../policy/options.ts";
import { rewardOptions, rewardPartsOptions } from "../rewards/options.ts";
import { shapingListOptions } from "../rewards/shaping-options.ts";
import { rolloutOptions } from "../rollouts/options.ts";
import { runOptions } from "../run/options.ts";
import { samplerOptions } from "../samplers/options.ts";
import { type JsonSchema, toJsonSchema } from "./schema-tree.ts";
import { sweepOptions } from "./sweep-options.ts";

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

/** A section of the recipe, laid over the top level's for one stage; checked as a part of the whole. */
const overlay = (what: string) => z.unknown().optional().describe(`${what}, laid over the recipe's own`);

export const stageOptions = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9_-]{0,39}$/, "use a letter, then letters, digits, dash and underscore")
    .describe("in metrics, and where the stage's random draws come from"),
  steps: z.int().min(1).describe("training steps of the stage, at most"),
  until: z
    .strictObject({
      metric: z.string().min(1).describe("column of metrics.csv that is watched"),
      above: z.number().optional().describe("the stage ends when the mean reaches it"),
      below: z.number().optional().describe("the stage ends when the mean falls to it"),
      window: z.int().min(1).default(10).describe("steps that the mean is taken over"),
    })
    .refine(({ above, below }) => (above === undefined) !== (below === undefined), {
      message: "give above or below",
    })
    .optional()
    .describe("ends the stage before its last step"),
  data: overlay("datasets"),
  prompt: overlay("prompt"),
  sampler: overlay("sampler"),
  rollout: overlay("sampling"),
  rewards: overlay("reward parts, all of them"),
  shaping: overlay("shaping, all of it"),
  algorithm: overlay("algorithm"),
  optimizer: overlay("optimizer"),
  eval: overlay("evaluation"),
});

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
  steps: z.int().min(1).describe("training steps of the run; left out with stages, which have their own"),
  stages: z
    .array(stageOptions)
    .min(1)
    .optional()
    .describe("one after the other, each from the weights of the one before, with a fresh optimizer"),
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
  sampler: samplerOptions
    .prefault({ kind: "shuffled" })
    .describe("which prompts a step draws; `sampler: success-rate` is short for its kind"),
  rollout: rolloutOptions.prefault({}).describe("how completions are sampled"),
  environment: environmentOptions
    .optional()
    .describe(
      "what the policy talks to turn by turn: a completion is then an episode, and what the environment wrote carries no loss (docs/environments.md). None: completions of one turn",
    ),
  rewards: rewardPartsOptions
    .default([])
    .describe(
      "reward parts; a completion's reward is their weighted sum. Needed where completions are scored: by an algorithm that learns from them, or by data.eval",
    ),
  shaping: shapingListOptions.describe(
    "changes to rewards that look at the group or the batch, in this order; evaluations leave them out",
  ),
  max_error_share: rewardOptions.shape.max_error_share,
  algorithm: algorithmOptions.describe("how the weights learn"),
  optimizer: optimizerOptions.describe("AdamW and its schedule"),
  eval: evalOptions.optional().describe("how data.eval is used; all defaults when absent"),
  run: runOptions.prefault({}).describe("the run directory"),
  sweep: sweepOptions.optional().describe("variants of this config that `rlpt sweep` runs and compares"),
});

/** Fully resolved: every default filled in, every path absolute. */
export type Recipe = Omit<z.infer<typeof recipeSchema>, "recipe" | "prompt" | "stages" | "sweep">;
export type StageOptions = z.infer<typeof stageOptions>;
/** As the schema gives it, with `prompt` not yet written into `data`. */
export type RecipeInput = z.infer<typeof recipeSchema>;

let cached: JsonSchema | undefined;

/** The schema of what a file may hold. */
export function recipeJsonSchema(): JsonSchema {
  cached ??= toJsonSchema(recipeSchema);
  return cached;
}
