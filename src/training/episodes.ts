/** A recipe's environment: opened, its prompts written by its resets, and how episodes of it are played. */
import type { Recipe } from "../config/schema.ts";
import { openEnvironment } from "../environments/open.ts";
import { toolCallsOf } from "../environments/tool-calls.ts";
import { ConfigError, DataError } from "../lib/errors.ts";
import { createRng } from "../lib/rng.ts";
import type { EpisodeOptions } from "../rollouts/episodes.ts";
import type { EnvironmentHost, Prompt, PromptSource, Tokenizer } from "../types.ts";

/** Resets in flight at once. */
const AT_ONCE = 64;

/** @returns null where the recipe has no environment; `host.close()` when done */
export async function openEpisodes({
  environment,
}: Pick<Recipe, "environment">): Promise<EpisodeOptions | null> {
  if (environment === undefined) return null;
  return {
    host: await openEnvironment(environment),
    maxTurns: environment.max_turns,
    maxTurnTokens: environment.max_turn_tokens ?? null,
    maxObservationTokens: environment.max_observation_tokens,
    cohorts: environment.cohorts,
    toolCalls: toolCallsOf,
  };
}

/**
 * The source with the prompts that the environment writes; as it is where there is none. A row's seed follows from the recipe's and
 * its id, so that all episodes of a row begin alike.
 * @throws ConfigError where the source is endless @throws DataError where a reset fails
 */
export async function resetPrompts(
  recipe: Pick<Recipe, "environment" | "seed">,
  source: PromptSource,
  tokenizer: Tokenizer,
): Promise<PromptSource> {
  const episodes = await openEpisodes(recipe);
  if (episodes === null) return source;
  const { size } = source;
  try {
    if (size === null) {
      throw new ConfigError(
        `${source.name} is endless: an environment needs a number of problems; use data of kind episodes, or a file`,
      );
    }
    const prompts: Prompt[] = [];
    for (let first = 0; first < size; first += AT_ONCE) {
      const rows = Array.from({ length: Math.min(AT_ONCE, size - first) }, (_, i) => source.at(first + i));
      prompts.push(
        ...(await Promise.all(rows.map((row) => reset(episodes.host, row, recipe.seed, tokenizer)))),
      );
    }
    return { name: source.name, size, at: (index) => prompts[index]! };
  } finally {
    await episodes.host.close();
  }
}

async function reset(
  host: EnvironmentHost,
  row: Prompt,
  runSeed: number,
  tokenizer: Tokenizer,
): Promise<Prompt> {
  const seed = createRng(runSeed).fork("environment", row.id).uint32(0);
  const reply = await host.start(row.id, seed, row.fields);
  host.end(row.id);
  if (reply.kind !== "ok") {
    throw new DataError(`${host.name}: reset for row ${row.id} (seed ${seed}) failed: ${reply.message}`);
  }
  const { messages, tools } = reply.value;
  const input = tokenizer.hasChatTemplate
    ? { kind: "chat" as const, messages, ...(tools === undefined ? {} : { tools }) }
    : { kind: "text" as const, text: messages.map(({ content }) => content as string).join("") };
  return { ...row, input, seed };
}
