/** Models of the Hugging Face Hub: which files of a repository a model is. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ModelFileError } from "../../lib/errors.ts";
import {
  fetchRepository,
  type HubId,
  type HubOptions as RepositoryOptions,
  type Snapshot,
} from "../../lib/hub/repository.ts";
import { readJsonObject } from "./json.ts";
import { shardNames } from "./safetensors.ts";
import { TOKENIZER_FILES } from "./tokenizer.ts";

export { type DownloadProgress, parseHubId, type Snapshot } from "../../lib/hub/repository.ts";

export interface HubOptions extends RepositoryOptions {
  /** false: config and tokenizer only, for what asks for a model's shapes. Default true. */
  weights?: boolean;
}

const INDEX = "model.safetensors.index.json";
const SINGLE = "model.safetensors";
const OTHER_FILES = [
  "config.json",
  "generation_config.json",
  "preprocessor_config.json",
  "processor_config.json",
];

function hasWeights(directory: string): boolean {
  if (existsSync(join(directory, SINGLE))) return true;
  const index = join(directory, INDEX);
  if (!existsSync(index)) return false;
  return [...shardNames(readJsonObject(index), index).values()].every((file) =>
    existsSync(join(directory, file)),
  );
}

function isComplete(directory: string): boolean {
  return (
    ["config.json", "tokenizer.json"].every((name) => existsSync(join(directory, name))) &&
    hasWeights(directory)
  );
}

/**
 * Fetches config, tokenizer and safetensors files of a model, or finds them in the cache.
 * @throws ModelFileError: no network and not in the cache (naming the folder), no access, a wrong checksum
 */
export async function fetchSnapshot(id: HubId, options: HubOptions = {}): Promise<Snapshot> {
  const what = `${id.name}@${id.revision}`;
  const choose = async (
    files: readonly string[],
    get: (path: string) => Promise<string>,
  ): Promise<boolean> => {
    for (const path of [...OTHER_FILES, ...TOKENIZER_FILES, INDEX]) if (files.includes(path)) await get(path);
    // without weights the snapshot is none to be found again
    if (options.weights === false) return false;
    if (files.includes(SINGLE)) {
      await get(SINGLE);
    } else if (files.includes(INDEX)) {
      const index = await get(INDEX);
      for (const path of new Set(shardNames(readJsonObject(index), index).values())) {
        if (!files.includes(path))
          throw new ModelFileError(`${what}: its index names ${path}, which the repository does not have`);
        await get(path);
      }
    } else {
      const others = files.filter((path) => /\.(bin|gguf|pth|pt|h5|msgpack)$/.test(path));
      throw new ModelFileError(
        `${what} has no ${SINGLE}${others.length > 0 ? `, only ${others.slice(0, 5).join(", ")}` : ""}: choose a repository with safetensors`,
      );
    }
    return true;
  };
  const local = "give the path of a local model directory";
  return fetchRepository(
    { ...id, kind: "model", Failure: ModelFileError, local, isComplete, choose },
    options,
  );
}
