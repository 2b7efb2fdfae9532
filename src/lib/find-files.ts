/** Files that a person names by a pattern such as `data/train-*.parquet`. */
import { existsSync } from "node:fs";
import { dirname, join, parse } from "node:path";
import { globSync, isDynamicPattern } from "tinyglobby";
import { isFolder } from "./regular-file.ts";

export { isDynamicPattern };

/** Is this a pattern, rather than the path of something that exists? */
export function isPattern(path: string): boolean {
  return isDynamicPattern(path) && !existsSync(path);
}

/**
 * Files that match, sorted by code unit, those in hidden folders left out. Folders that exist are taken by their names, so that
 * brackets in them are no pattern.
 * @param pattern absolute; `*`, `?`, `[...]`, `{a,b}`, and `**` for any depth
 */
export function matchingFiles(pattern: string): string[] {
  const segments: string[] = [];
  let folder = pattern;
  const { root } = parse(pattern);
  while (folder !== root && !isFolder(folder)) {
    segments.unshift(folder.slice(dirname(folder) === root ? root.length : dirname(folder).length + 1));
    folder = dirname(folder);
  }
  if (segments.length === 0) return [];
  return globSync(segments.join("/"), { cwd: folder, expandDirectories: false })
    .map((name) => join(folder, name))
    .sort();
}

/** Files below a folder, hidden ones left out, sorted by code unit. */
export function filesBelow(folder: string): string[] {
  return globSync("**", { cwd: folder, expandDirectories: false })
    .map((name) => join(folder, name))
    .sort();
}
