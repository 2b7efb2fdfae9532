/** Makes every path of a recipe absolute, and says which do not exist. */
import { extname } from "node:path";
import { fileSets, isPictures, leafSets } from "../data/dataset-options.ts";
import { dataPaths, formatOf, isHubPath } from "../data/file-options.ts";
import { filesBelow, isDynamicPattern } from "../lib/find-files.ts";
import { isFolder } from "../lib/regular-file.ts";
import type { Fault, KeyPath } from "./faults.ts";
import {
  displayPath,
  expandHome,
  findData,
  findPath,
  looksLikePath,
  nearestFile,
  pathCandidates,
} from "./paths.ts";
import type { RecipeInput } from "./schema.ts";
import { type MapNode, nodeAt, originAt } from "./source.ts";

interface PathField {
  path: KeyPath;
  value: string;
  set(absolute: string): void;
  /** How to get what is not there yet: the path stays as the first place it may be at. */
  get?: string;
  what:
    | "data file"
    | "folder of pictures"
    | "model"
    | "chat template"
    | "tokenizer"
    | "adapter"
    | "reward file"
    | "environment file"
    | "library";
}

/** Every path that stands in a recipe and must exist. */
function pathFields(recipe: Partial<RecipeInput>): PathField[] {
  const fields: PathField[] = [];
  const add = (path: KeyPath, value: string | undefined, what: PathField["what"], set: PathField["set"]) => {
    if (value !== undefined) fields.push({ path, value, what, set });
  };
  const addFolder = <Key extends string>(
    at: KeyPath,
    set: Partial<Record<Key | "get", unknown>>,
    key: Key,
  ) => {
    const value = set[key];
    if (typeof value !== "string") return;
    const get = typeof set.get === "string" ? { get: set.get } : {};
    const put = (to: string) => {
      (set as Record<string, unknown>)[key] = to;
    };
    fields.push({ path: [...at, key], value, what: "folder of pictures", set: put, ...get });
  };
  const { model, data, rewards, backend, environment } = recipe;
  if (environment?.kind === "file") {
    add(["environment", "file"], environment.file, "environment file", (to) => {
      environment.file = to;
    });
  }
  if (model) {
    add(["model", "path"], model.path, "model", (to) => {
      model.path = to;
    });
    const tokenizer = typeof model.tokenizer === "string" ? model.tokenizer : undefined;
    add(["model", "tokenizer"], tokenizer, "tokenizer", (to) => {
      model.tokenizer = to;
    });
    add(["model", "chat_template"], model.chat_template, "chat template", (to) => {
      model.chat_template = to;
    });
    add(["model", "lora", "adapter"], model.lora?.adapter, "adapter", (to) => {
      model.lora!.adapter = to;
    });
  }
  for (const { at, set } of fileSets(data)) {
    const { path } = set;
    for (const [index, value] of dataPaths(set).entries()) {
      if (isHubPath(value)) continue;
      fields.push({
        path: [...at, "path", ...(typeof path === "string" ? [] : [index])],
        value,
        what: "data file",
        set: (to) => {
          if (typeof path === "string") set.path = to;
          else path[index] = to;
        },
        ...(set.get === undefined ? {} : { get: set.get }),
      });
    }
    addFolder(at, set, "pictures_root");
  }
  for (const { at, set } of leafSets(data)) {
    if (isPictures(set)) addFolder(at, set, "path");
    if (set.kind === "pictures") addFolder(at, set, "fashion");
  }
  for (const [index, reward] of (rewards ?? []).entries()) {
    if (reward.kind === "judge") {
      add(["rewards", index, "judge", "path"], reward.judge.path, "model", (to) => {
        reward.judge.path = to;
      });
      add(["rewards", index, "labelled"], reward.labelled, "data file", (to) => {
        reward.labelled = to;
      });
    }
    if (reward.kind !== "file") continue;
    add(["rewards", index, "file"], reward.file, "reward file", (to) => {
      reward.file = to;
    });
  }
  if (backend && !["auto", "off"].includes(backend.cblas)) {
    add(["backend", "cblas"], backend.cblas, "library", (to) => {
      backend.cblas = to;
    });
  }
  return fields;
}

/** Replaces paths in `recipe` by absolute ones. Hub ids stay as they are. @returns faults of those that are not there */
export function resolvePaths(recipe: Partial<RecipeInput>, tree: MapNode): Fault[] {
  const faults: Fault[] = [];
  if (recipe.run) {
    recipe.run.root = expandHome(recipe.run.root);
    if (recipe.run.root.startsWith("~")) {
      faults.push({
        code: "rule",
        rule: "home",
        path: ["run", "root"],
        value: recipe.run.root,
        origin: originAt(tree, ["run", "root"]),
        reason: "homes of other users are not looked up, and a folder of that name would be made here",
        fix: "write the folder's whole path",
      });
    }
  }
  for (const field of pathFields(recipe)) {
    const base = nodeAt(tree, field.path)?.base ?? null;
    const find = field.what === "data file" ? findData : findPath;
    const found = find(field.value, base);
    const refuse = (reason: string, fix: string): void => {
      const { path, value } = field;
      faults.push({
        code: "rule",
        rule: "path_exists",
        path,
        value,
        origin: originAt(tree, path),
        reason,
        fix,
      });
    };
    if (found === null && field.get !== undefined) {
      field.set(pathCandidates(field.value, base)[0]!);
      continue;
    }
    if (found === null) {
      if (field.what === "model" && !looksLikePath(field.value, base)) continue;
      const near = nearestFile(field.value, base);
      const where = base === null ? "the working directory" : "the config file or the working directory";
      refuse(
        field.what === "data file" && isDynamicPattern(field.value)
          ? "no file matches this pattern"
          : `there is no such ${field.what}`,
        near === null ? `give its path relative to ${where}, or an absolute one` : `did you mean ${near}?`,
      );
      continue;
    }
    const isPictureFolder = field.what === "folder of pictures";
    const wantsDirectory = field.what === "tokenizer" || field.what === "adapter" || isPictureFolder;
    if (wantsDirectory && !isFolder(found)) {
      refuse(
        "it is a file",
        isPictureFolder ? "name the folder that it is in" : `name the folder of the ${field.what}`,
      );
      continue;
    }
    if (field.what === "data file" && isFolder(found)) {
      if (filesBelow(found).some((file) => formatOf(file) !== null)) field.set(found);
      else
        refuse(
          "it is a folder without .jsonl, .json, .csv or .parquet files",
          "name the data file, or its folder; a folder of pictures for each class is kind: image-folder",
        );
      continue;
    }
    const mayBeDirectory = wantsDirectory || field.what === "model";
    if (!mayBeDirectory && isFolder(found)) {
      refuse("it is a directory", `name the ${field.what} inside it`);
      continue;
    }
    if (field.what === "model" && !isFolder(found) && extname(found) !== ".gguf") {
      refuse(
        "a model is a directory with config.json, a .gguf file or a Hub id",
        `name the folder that holds ${displayPath(found)}`,
      );
      continue;
    }
    field.set(found);
  }
  return faults;
}
