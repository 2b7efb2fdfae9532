/** Prompts of a recipe's data, and completions of them. */
import { type Sampling, sampleGroups } from "../algorithms/rollout.ts";
import { Slots } from "../algorithms/slots.ts";
import type { Recipe } from "../config/schema.ts";
import { ConfigError } from "../lib/errors.ts";
import { createRng } from "../lib/rng.ts";
import { type RolloutOptions, rolloutOptions } from "../rollouts/options.ts";
import { openSampler } from "../samplers/options.ts";
import type { PromptSampler } from "../samplers/sampler.ts";
import { longestPrompt } from "../training/assemble.ts";
import { openStageSource } from "../training/stage-data.ts";
import type { ChatMessage, Group, Prompt, PromptSource } from "../types.ts";
import type { LoadedPolicy } from "./model.ts";

/**
 * Opens a recipe's data as a model can take it: rows that are too long are left out or cut, where the recipe says so.
 * @param part `train`, or `eval`
 * @throws DataError naming file and line of a row that cannot be read
 * @throws ConfigError when the recipe has no such data
 */
export async function openData(
  recipe: Recipe,
  part: "train" | "eval",
  { policy, tokenizer }: Pick<LoadedPolicy, "policy" | "tokenizer">,
  onNote: (text: string) => void = () => {},
): Promise<PromptSource> {
  if (recipe.data[part] === undefined) throw new ConfigError(`the recipe has no data.${part}`);
  const positions = recipe.model.max_positions ?? policy.config.maxPositions;
  return openStageSource(recipe, part, tokenizer, positions, onNote);
}

/**
 * Draws prompts in the order in which a run of the recipe would, by its `sampler`.
 * @param stage of the recipe's draws; a recipe without stages has one, named after its algorithm
 */
export function drawPrompts(
  recipe: Recipe,
  source: PromptSource,
  stage: string = recipe.algorithm.kind,
): Pick<PromptSampler, "draw" | "drawn" | "callbacks"> {
  const rng = createRng(recipe.seed).fork(stage);
  return openSampler(recipe.sampler, source, { rng, cells: new Slots(), steps: recipe.steps });
}

/** Where a completion's random draws come from: equal here, equal there, whatever else is in the batch. */
export interface Draws {
  /** Default: 0. */
  seed?: number;
  /** Name of the stage, as in a run. Default: `sample`. */
  stage?: string;
  /** 0-based. Default: 0. */
  step?: number;
}

/**
 * Samples a group of completions for each prompt.
 * @param prompts texts, which a model with a chat template reads as a user's message; messages; or prompts of a dataset
 * @param options keys of a recipe's `rollout`: group_size, max_new_tokens, temperature, top_p, ... One completion when absent
 * @returns a group for each prompt, in their order
 * @throws ConfigError naming an option that is wrong
 * @throws DataError naming a prompt that is empty or longer than the model takes
 */
export async function sample(
  { policy, tokenizer }: Pick<LoadedPolicy, "policy" | "tokenizer">,
  prompts: readonly (string | readonly ChatMessage[] | Prompt)[],
  options: Partial<RolloutOptions> = {},
  { seed = 0, stage = "sample", step = 0 }: Draws = {},
): Promise<Group[]> {
  const parsed = rolloutOptions.safeParse({ group_size: 1, ...options });
  if (!parsed.success) {
    const faults = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
    throw new ConfigError(`sample: ${faults.join("; ")}`);
  }
  const rollout = parsed.data;
  const read = prompts.map((prompt, index) => asPrompt(prompt, index, tokenizer.hasChatTemplate));
  const settings: Sampling["settings"] = {
    rollout,
    seed,
    name: stage,
    maxPromptTokens: longestPrompt({ model: { rematerialise: false }, rollout }, policy),
  };
  return sampleGroups({ policy, tokenizer, settings }, read, step);
}

function asPrompt(prompt: string | readonly ChatMessage[] | Prompt, index: number, chat: boolean): Prompt {
  if (typeof prompt !== "string" && "id" in prompt) return prompt;
  const messages: readonly ChatMessage[] =
    typeof prompt === "string" ? [{ role: "user", content: prompt }] : prompt;
  const input: Prompt["input"] =
    typeof prompt === "string" && !chat ? { kind: "text", text: prompt } : { kind: "chat", messages };
  return { id: String(index), input, answer: "", slices: {}, fields: {} };
}
