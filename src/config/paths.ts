/** Paths in a config: relative to the file they stand in, then the working directory, then the package. */
import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";
import { isPattern, matchingFiles } from "../lib/find-files.ts";
import { isFolder } from "../lib/regular-file.ts";
import { packageRoot } from "../lib/version.ts";
import { nearest } from "./suggest.ts";

/** As people read it: relative inside the working directory, else absolute. */
export function displayPath(path: string): string {
  const from = relative(process.cwd(), path);
  return from === "" || from.startsWith("..") || isAbsolute(from) ? path : from;
}

/** `~` and `~/...` begin in the user's own folder; everything else stays as it is. */
export function expandHome(path: string): string {
  return /^~(\/|$)/.test(path) ? join(homedir(), path.slice(1)) : path;
}

/** Where a path may be, in the order it is looked for. @param base the config file's folder; null for flags */
export function pathCandidates(path: string, base: string | null): string[] {
  if (/^~(\/|$)/.test(path)) return [expandHome(path)];
  if (isAbsolute(path)) return [path];
  // shipped configs name shipped models, and a copy of such a config keeps working
  const shipped = [packageRoot(), join(packageRoot(), "configs")];
  const folders = [base, process.cwd(), ...shipped].filter((folder) => folder !== null);
  return [...new Set(folders.map((folder) => resolve(folder, path)))];
}

/** The absolute path of the first that exists, or null. */
export function findPath(path: string, base: string | null): string | null {
  return pathCandidates(path, base).find((candidate) => existsSync(candidate)) ?? null;
}

/** The same for data, which a pattern may name: the first that a file matches. */
export function findData(path: string, base: string | null): string | null {
  const found = findPath(path, base);
  if (found !== null) return found;
  const matches = (candidate: string) => isPattern(candidate) && matchingFiles(candidate).length > 0;
  return pathCandidates(path, base).find(matches) ?? null;
}

/** A name in the folder that the path points into which is close to the one asked for. */
export function nearestFile(path: string, base: string | null): string | null {
  for (const candidate of pathCandidates(path, base)) {
    const folder = dirname(candidate);
    if (!isFolder(folder)) continue;
    const name = nearest(basename(candidate), readdirSync(folder));
    if (name !== null) return join(dirname(path), name);
  }
  return null;
}

/**
 * Is this a place on this machine, rather than a Hub id `organisation/name[@revision]`?
 * A name of that form is one when it exists, or when its folder does.
 */
export function looksLikePath(model: string, base: string | null): boolean {
  if (!/^[\w.-]+\/[\w.-]+(@[\w./-]+)?$/.test(model) || /^\.{1,2}\//.test(model)) return true;
  if (/\.(gguf|safetensors)$/.test(model)) return true;
  if (findPath(model, base) !== null) return true;
  return pathCandidates(dirname(model), base).some(isFolder);
}
