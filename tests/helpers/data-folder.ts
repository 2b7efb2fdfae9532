import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect } from "vitest";
import { type FileDataset, openFileDataset } from "../../src/data/file-dataset.ts";
import { fileOptions } from "../../src/data/file-options.ts";
import { DataError } from "../../src/lib/errors.ts";

/** All of a data set, and its places as lines. */
export function contents(dataset: FileDataset) {
  const indices = Array.from({ length: dataset.size }, (_, index) => index);
  return {
    prompts: indices.map((index) => dataset.at(index)),
    lines: indices.map((index) => dataset.placeOf(index).line),
    skipped: dataset.skipped.first.map(({ line, reason }) => ({ line, reason })),
    sha256: dataset.files[0]!.sha256,
  };
}

/** A folder for one test file's data sets; gone when its tests are done. */
export function dataFolder() {
  const baseDir = mkdtempSync(join(tmpdir(), "rlpt-data-"));
  afterAll(() => rmSync(baseDir, { recursive: true, force: true }));

  function write(name: string, content: string | Uint8Array): string {
    writeFileSync(join(baseDir, name), content);
    return name;
  }

  const open = (options: object, heldBytes?: number) =>
    openFileDataset(fileOptions.parse({ kind: "file", ...options }), {
      baseDir,
      ...(heldBytes === undefined ? {} : { heldBytes }),
    });

  const read = async (options: object) => contents(await open(options));

  /** The message by which a data set is refused, its paths relative to the folder. */
  async function failure(options: object): Promise<string> {
    const error: unknown = await read(options).catch((each: unknown) => each);
    expect(error).toBeInstanceOf(DataError);
    return (error as Error).message.replaceAll(`${baseDir}/`, "");
  }

  return { baseDir, write, open, read, failure };
}
