/** From a dataset's options to its prompts: rows of a file, or a task's generator. */
import type { PromptSource } from "../types.ts";
import { type DatasetOptions, datasetKindOf } from "./dataset-options.ts";
import type { OpenContext } from "./define.ts";

/** Files that a dataset reads. @throws DataError where there are none */
export async function filesOf(options: DatasetOptions): Promise<readonly string[]> {
  return datasetKindOf(options).files(options);
}

/**
 * @param seed of the recipe; tasks draw their problems from it
 * @param note is told of rows that were skipped
 * @param fitRows takes rows of files as the model can read them
 * @throws DataError where a file cannot be read or holds no usable row
 */
export async function openSource(
  options: DatasetOptions,
  seed: number,
  split: "train" | "eval",
  note: OpenContext["note"],
  fitRows?: OpenContext["fitRows"],
): Promise<PromptSource> {
  return datasetKindOf(options).open(options, {
    split,
    seed,
    note,
    ...(fitRows === undefined ? {} : { fitRows }),
  });
}
