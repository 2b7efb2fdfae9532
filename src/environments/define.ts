/** What an environment is, a built-in one or a file of the user's own. */
import type { z } from "zod";
import type { ChatMessage, EnvironmentAction, EnvironmentStart, EnvironmentStep } from "../types.ts";

/** One episode. Its randomness comes from the seed alone, so that an episode can be played again. */
export interface Environment {
  /** @param row of the data, empty where the data has seeds alone */
  reset(
    seed: number,
    row: Readonly<Record<string, unknown>>,
  ): EnvironmentStart | readonly ChatMessage[] | Promise<EnvironmentStart | readonly ChatMessage[]>;
  step(action: EnvironmentAction): EnvironmentStep | Promise<EnvironmentStep>;
}

export interface EnvironmentKind<Schema extends z.ZodType = z.ZodType> {
  /** `kind` in a config. */
  kind: string;
  options: Schema;
  /** A new episode; absent: the kind is the user's file. */
  create?(options: z.infer<Schema>): Environment;
}

export function defineEnvironment<Schema extends z.ZodType>(
  declared: EnvironmentKind<Schema>,
): EnvironmentKind<Schema> {
  return declared;
}
