/** From a dataset's options to its prompts: rows of a file, or a task's generator. */
import { basename } from "node:path";
import type { PromptSource } from "../types.ts";
import { chainSource } from "./chain.ts";
import type { DatasetOptions } from "./dataset-options.ts";
import { readFileDataset } from "./file-dataset.ts";
import { itemsSource } from "./items.ts";

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
  if (options.kind === "chain") return chainSource(options, split, seed);
  if (options.kind === "items") return itemsSource(options, seed);
  const { prompts, skipped } = await readFileDataset(options, { baseDir: process.cwd() });
  if (skipped.length > 0) {
    const first = skipped[0]!;
    note(
      `${options.path}: ${skipped.length} rows skipped, the first at line ${first.line}: ${first.reason}`,
      "warning",
    );
  }
  return { name: basename(options.path), size: prompts.length, at: (index) => prompts[index]! };
}
