/** Pictures that are trained on and tested. */
import type { DatasetOptions } from "../data/dataset-options.ts";
import { isPictures } from "../data/dataset-options.ts";
import { picturesOf } from "../rollouts/pictures.ts";
import type { Prompt } from "../types.ts";
import type { Findings } from "./preflight.ts";
import type { DataPart } from "./stage-data.ts";

interface Rows {
  count: number;
  at(index: number): Prompt;
}

/** Can the dataset's prompts hold pictures? */
function mayShow(set: DatasetOptions): boolean {
  return isPictures(set) || (set.kind === "file" && (set.pictures ?? set.messages) !== undefined);
}

export interface PictureOverlap {
  look(part: DataPart, set: DatasetOptions, rows: Rows): void;
  report(findings: Findings): void;
}

/**
 * Collects the pictures of both parts of a stage by their ids: the same file under the same folder, or the same bytes in a table.
 * Copies of a file under another name are found by `rlpt data show`, which reads them.
 */
export function pictureOverlap(): PictureOverlap {
  const trained = new Set<string>();
  const tested = new Map<string, string>();
  return {
    look(part, set, rows) {
      if (!mayShow(set)) return;
      for (let index = 0; index < rows.count; index++)
        for (const { id, name } of picturesOf(rows.at(index)))
          if (part === "train") trained.add(id);
          else tested.set(id, name);
    },
    report(findings) {
      const shared = [...tested].filter(([id]) => trained.has(id));
      if (shared.length === 0) return;
      findings.warn(
        `data.eval: ${shared.length.toLocaleString("en")} of its ${tested.size.toLocaleString("en")} pictures are in data.train too, the first is ${shared[0]![1]}; what was trained on says little of what is new`,
      );
    },
  };
}
