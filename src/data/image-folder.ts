/** Labelled pictures from a folder with a folder for each class. */
import { basename } from "node:path";
import { defineDataset } from "./define.ts";
import { imageFolderOptions } from "./image-folder-options.ts";

export const imageFolder = defineDataset({
  kind: "image-folder",
  options: imageFolderOptions,
  pool: ({ limit }) => ({ key: "limit", size: limit }),
  slices: ({ half }) => (half === "all" ? [] : ["split"]),
  // what a picture shows is not part of a run's record, as with the pictures that rows of a file name
  files: async () => [],
  async open(options, { note }) {
    const { readImageFolder } = await import("./own-pictures/class-folders.ts");
    const { classificationSource } = await import("./classification.ts");
    return classificationSource(readImageFolder(options, basename(options.path), note), options, note);
  },
});
