/** Prompts from the rows of a file. */
import { basename } from "node:path";
import { defineDataset } from "./define.ts";
import { fileOptions } from "./file-options.ts";

export const file = defineDataset({
  kind: "file",
  options: fileOptions,
  pool: ({ limit }) => ({ key: "limit", size: limit }),
  slices: ({ slices }) => slices,
  async open(options, { note }) {
    // configs are checked without what reads tables
    const { readFileDataset } = await import("./file-dataset.ts");
    const { prompts, skipped } = await readFileDataset(options, { baseDir: process.cwd() });
    if (skipped.length > 0) {
      const first = skipped[0]!;
      note(
        `${options.path}: ${skipped.length} rows skipped, the first at line ${first.line}: ${first.reason}`,
        "warning",
      );
    }
    return { name: basename(options.path), size: prompts.length, at: (index) => prompts[index]! };
  },
});
