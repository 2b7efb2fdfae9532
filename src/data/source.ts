/** From a dataset's options to its prompts: rows of a file, or a task's generator. */
import type { PromptSource } from "../types.ts";
import { type DatasetOptions, datasetKindOf } from "./dataset-options.ts";

/**
 * @param seed of the recipe; tasks draw their problems from it
 * @param note is told of rows that were skipped
 * @throws DataError where a file cannot be read or holds no usable row
 */
export async function openSource(
  options: DatasetOptions,
  seed: number,
  split: "train" | "eval",
  note: (text: string, level: "warning") => void,
): Promise<PromptSource> {
  return datasetKindOf(options).open(options, { split, seed, note });
}
