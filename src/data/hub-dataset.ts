/** Datasets of the Hugging Face Hub: which files of a repository a configuration's split is. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parse } from "yaml";
import { DataError } from "../lib/errors.ts";
import { writeFileAtomic } from "../lib/files.ts";
import { fetchRepository, type HubOptions, parseHubId } from "../lib/hub/repository.ts";
import { type FileOptions, formatOf } from "./file-options.ts";

type Part = NonNullable<FileOptions["hub"]>;
type Format = FileOptions["format"];

/** What splits are called in names of files; the first is what it means. */
const SPLIT_NAMES: Readonly<Record<string, readonly string[]>> = {
  train: ["train", "training"],
  validation: ["validation", "valid", "val", "dev"],
  test: ["test", "testing", "eval", "evaluation"],
};

/** A run opens its data several times, and the branch may move meanwhile: the files of the first time hold. */
const found = new Map<string, string[]>();

/**
 * Fetches the files of a split into the Hub's cache, or finds them there.
 * @param path hf://organisation/name
 * @returns their paths on this machine
 * @throws DataError: no network and not in the cache, no access, a damaged file, no such configuration or split
 */
export async function hubDatasetFiles(
  path: string,
  part: Part = { split: "train", revision: "main" },
  format: Format,
  options: HubOptions,
): Promise<string[]> {
  const environment = [process.env["HF_ENDPOINT"], process.env["HF_HUB_CACHE"], process.env["HF_HOME"]];
  const key = JSON.stringify([path, part, format, options.cacheDir, options.hubUrl, environment]);
  const known = found.get(key);
  if (known?.every((file) => existsSync(file))) return known;
  const files = await fetchSplit(path, part, format, options);
  found.set(key, files);
  return files;
}

async function fetchSplit(path: string, part: Part, format: Format, options: HubOptions): Promise<string[]> {
  const name = path.replace(/^hf:\/\/(datasets\/)?/, "");
  if (parseHubId(name) === null)
    throw new DataError(`${path}: names no dataset. Write hf://organisation/name.`);
  const what = `hf://${name}${part.revision === "main" ? "" : `@${part.revision}`}`;
  const select = (files: readonly string[], directory: string): string[] => {
    const readme = join(directory, "README.md");
    const card = files.includes("README.md") && existsSync(readme) ? readFileSync(readme, "utf8") : "";
    return splitFiles(what, files, card, part, format);
  };
  const local = "fetch the dataset's files by hand and name them in data.*.path";
  const { directory } = await fetchRepository(
    {
      kind: "dataset",
      name,
      revision: part.revision,
      Failure: DataError,
      local,
      // which files a split has is told by the list of all of them, which is kept beside the snapshot
      isComplete: (folder) => {
        const files = readListing(folder);
        try {
          return files !== null && select(files, folder).every((file) => existsSync(join(folder, file)));
        } catch {
          return false;
        }
      },
      async choose(files, get, folder) {
        if (files.includes("README.md")) await get("README.md");
        for (const file of select(files, folder)) await get(file);
        writeFileAtomic(listingOf(folder), JSON.stringify(files));
        return true;
      },
    },
    options,
  );
  return select(readListing(directory)!, directory).map((file) => join(directory, file));
}

/** Beside refs, blobs and snapshots, where the Hub's own tools write nothing. */
function listingOf(directory: string): string {
  return join(dirname(dirname(directory)), "rlpt", `${directory.slice(dirname(directory).length + 1)}.json`);
}

function readListing(directory: string): string[] | null {
  const path = listingOf(directory);
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as string[]) : null;
}

interface CardConfig {
  config_name: string;
  default?: boolean;
  /** Patterns, by split. */
  splits: Map<string, string[]>;
}

/**
 * Files of a split: as the dataset's card says (`configs` in the head of README.md), else by their names and folders.
 * @param files of the whole repository
 * @throws DataError naming what there is instead
 */
export function splitFiles(
  what: string,
  files: readonly string[],
  card: string,
  { config, split }: Pick<Part, "config" | "split">,
  format: Format,
): string[] {
  const ofFormat = files.filter((file) =>
    format === undefined ? formatOf(file) !== null : formatOf(file) === format,
  );
  const configs = cardConfigs(card);
  if (configs.length > 0) {
    const chosen =
      config === undefined
        ? (configs.find((one) => one.default === true || one.config_name === "default") ??
          (configs.length === 1 ? configs[0] : undefined))
        : configs.find((one) => one.config_name === config);
    if (chosen === undefined) {
      const names = configs.map(({ config_name }) => config_name).join(", ");
      throw new DataError(
        config === undefined
          ? `${what}: it has several configurations. Set hub.config to one of ${names}.`
          : `${what}: it has no configuration ${config}. Set hub.config to one of ${names}.`,
      );
    }
    const patterns = chosen.splits.get(split);
    if (patterns === undefined) throw new DataError(noSplit(what, split, [...chosen.splits.keys()]));
    const found = ofFormat.filter((file) => patterns.some((pattern) => globPattern(pattern).test(file)));
    if (found.length > 0) return found.sort();
    throw new DataError(
      `${what}: no file that can be read is ${patterns.join(", ")}, as its card describes split ${split}. It has ${shown(files)}.`,
    );
  }
  const inConfig =
    config === undefined
      ? ofFormat
      : ofFormat.filter((file) => file.split("/").slice(0, -1).includes(config));
  if (inConfig.length === 0)
    throw new DataError(
      config === undefined || ofFormat.length === 0
        ? `${what}: it has no .jsonl, .json, .csv or .parquet files, only ${shown(files)}. Choose a dataset with such files, or its revision refs/convert/parquet.`
        : `${what}: no folder ${config} holds data. It has ${shown(ofFormat)}.`,
    );
  const bySplit = new Map<string, string[]>();
  for (const file of inConfig) {
    const found = splitOf(file, split);
    if (found !== null) bySplit.set(found, [...(bySplit.get(found) ?? []), file]);
  }
  // files without a split in their names are all for training
  if (bySplit.size === 0) bySplit.set("train", withoutNotes(inConfig));
  const found = bySplit.get(split);
  if (found === undefined) throw new DataError(noSplit(what, split, [...bySplit.keys()]));
  return found.sort();
}

const noSplit = (what: string, split: string, there: readonly string[]): string =>
  `${what}: it has no split ${split}. Set hub.split to one of ${there.join(", ")}.`;

const shown = (files: readonly string[]): string =>
  files.slice(0, 6).join(", ") + (files.length > 6 ? `, and ${files.length - 6} more` : "");

/** JSON beside other tables is notes of tools. */
function withoutNotes(files: readonly string[]): string[] {
  const tables = files.filter((file) => formatOf(file) !== "json");
  return tables.length > 0 ? tables : [...files];
}

/** The split that a file's name or folder tells. @param wanted is looked for as it is spelled, too */
function splitOf(file: string, wanted: string): string | null {
  const words = file.toLowerCase().split(/[^a-z0-9]+|(?<=[a-z])(?=\d)/);
  const parts = file.replace(/\.[^/]*$/, "").split(/[/]/);
  if (parts.some((part) => part === wanted || part.startsWith(`${wanted}-`))) return wanted;
  for (const [split, names] of Object.entries(SPLIT_NAMES))
    if (names.some((name) => words.includes(name))) return split;
  return null;
}

/** `configs` in the head of a dataset's card. */
function cardConfigs(card: string): CardConfig[] {
  const [, head] = /^---\r?\n([\s\S]*?)\r?\n---/.exec(card) ?? [];
  if (head === undefined) return [];
  let value: unknown;
  try {
    value = parse(head);
  } catch {
    return [];
  }
  const configs = (value as { configs?: unknown } | null)?.configs;
  if (!Array.isArray(configs)) return [];
  return configs.flatMap((one: { config_name?: unknown; default?: unknown; data_files?: unknown }) => {
    if (typeof one?.config_name !== "string" || one.data_files === undefined) return [];
    const splits = new Map<string, string[]>();
    const add = (split: string, patterns: unknown) =>
      splits.set(split, [
        ...(splits.get(split) ?? []),
        ...[patterns].flat().filter((each) => typeof each === "string"),
      ]);
    for (const entry of [one.data_files].flat() as unknown[]) {
      if (typeof entry === "string") add("train", entry);
      else if (typeof entry === "object" && entry !== null) {
        const { split, path } = entry as { split?: unknown; path?: unknown };
        add(typeof split === "string" ? split : "train", path);
      }
    }
    return [{ config_name: one.config_name, splits, ...(one.default === true ? { default: true } : {}) }];
  });
}

/** A pattern of a card: `*` and `?` within a folder, `**` over folders, `{a,b}` and `[ab]`. */
function globPattern(pattern: string): RegExp {
  const source = pattern
    .replace(/^\.\//, "")
    .replace(/[.+^$()|\\]/g, "\\$&")
    .replace(/\*\*\/|\*\*|\*|\?|\{([^{}]*)\}/g, (part, choices: string | undefined) => {
      if (choices !== undefined) return `(?:${choices.replaceAll(",", "|")})`;
      return part === "**/" ? "(?:.*/)?" : part === "**" ? ".*" : part === "*" ? "[^/]*" : "[^/]";
    });
  return new RegExp(`^${source}$`);
}
