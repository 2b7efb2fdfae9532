/** Prompts from the rows of a file. */
import { basename } from "node:path";
import { defineDataset } from "./define.ts";
import { fileOptions } from "./file-options.ts";

export const file = defineDataset({
  kind: "file",
  options: fileOptions,
  pool: ({ limit }) => ({ key: "limit", size: limit }),
  slices: ({ slices }) => slices,
  async files(options) {
    const { datasetFiles } = await import("./file-dataset.ts");
    return datasetFiles(options);
  },
  async open(options, { note, fitRows }) {
    // configs are checked without what reads tables
    const { openFileDataset } = await import("./file-dataset.ts");
    const { size, at, skipped, files } = await openFileDataset(options);
    const [first] = skipped.first;
    if (first !== undefined) {
      note(
        `${first.path}: ${skipped.count} rows skipped, the first at line ${first.line}: ${first.reason}`,
        "warning",
      );
    }
    const name = basename(files[0]!.path) + (files.length === 1 ? "" : ` and ${files.length - 1} more`);
    const source = { name, size, at };
    return fitRows?.(source, options.on_long ?? "error") ?? source;
  },
});
