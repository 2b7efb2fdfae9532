import { ConfigError } from "../lib/errors.ts";
import type { EnvironmentHost } from "../types.ts";
import type { Environment } from "./define.ts";
import { environmentKinds } from "./kinds.ts";
import { localHost } from "./local.ts";
import type { EnvironmentOptions } from "./options.ts";
import { EnvironmentThread } from "./thread.ts";

/** Characters of an answer for each token of the longest observation; a token of more is rare. */
const CHARACTERS_PER_TOKEN = 16;

/** @throws ConfigError where a file does not load */
export async function openEnvironment(options: EnvironmentOptions): Promise<EnvironmentHost> {
  if (options.kind === "file") {
    const { file, timeout_ms, memory_mb, max_observation_tokens } = options;
    const mostCharacters = 65_536 + CHARACTERS_PER_TOKEN * max_observation_tokens;
    return EnvironmentThread.open({ file, timeout_ms, memory_mb, mostCharacters });
  }
  const kind = environmentKinds.find((one) => one.kind === options.kind);
  if (kind?.create === undefined) throw new ConfigError(`environment.kind: there is no ${options.kind}`);
  const create = kind.create as (options: EnvironmentOptions) => Environment;
  return localHost(options.kind, () => create(options));
}
