/** `rlpt runs`: what lies in a folder of runs, and removing it. */
import { existsSync, lstatSync, rmSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { ConfigError } from "../lib/errors.ts";
import { lockName, lockRun } from "../run/lock.ts";
import { isRunDirectory, listRuns } from "../run/run-directory.ts";
import { bytesOf } from "../run/usage.ts";
import { runFacts } from "./build.ts";
import { readRun } from "./read-run.ts";

export interface ListedRun {
  name: string;
  path: string;
  recipe: string;
  steps: number;
  /** Held-out, at the last evaluation; null without one. */
  accuracy: number | null;
  /** Seconds since something was last written. */
  age_s: number;
  bytes: number;
  /** A process has it open, or was killed while it had. */
  open: boolean;
  /** Why its files could not be read; null as a rule. */
  fault: string | null;
}

/** Sorted by name, so by time within a recipe. */
export function describeRuns(root: string, now: Date): ListedRun[] {
  return listRuns(root).map((path) => {
    const written = ["metrics.csv", "recipe.yaml"]
      .map((name) => join(path, name))
      .filter((file) => existsSync(file))
      .map((file) => statSync(file).mtimeMs);
    const rest = {
      name: basename(path),
      path,
      age_s: Math.max(0, Math.round((now.getTime() - Math.max(...written)) / 1000)),
      bytes: bytesOf(path),
      open: existsSync(join(path, lockName)),
    };
    try {
      const { recipe, steps, lastAccuracy } = runFacts(readRun(path));
      return { ...rest, recipe, steps, accuracy: lastAccuracy, fault: null };
    } catch (error) {
      // one broken run must not hide the others
      return { ...rest, recipe: "", steps: 0, accuracy: null, fault: (error as Error).message };
    }
  });
}

/** @throws ConfigError, before anything is removed, when one of them is no run */
export function checkRemovable(paths: readonly string[]): { path: string; bytes: number }[] {
  for (const path of paths) {
    if (!isRunDirectory(path))
      throw new ConfigError(`${path}: is not a run directory (no recipe.yaml); nothing was removed`);
    if (lstatSync(path).isSymbolicLink())
      throw new ConfigError(`${path}: is a link; give the run itself. Nothing was removed`);
    if (`${process.cwd()}/`.startsWith(`${resolve(path)}/`))
      throw new ConfigError(`${path}: is the working directory or holds it; nothing was removed`);
  }
  return [...new Set(paths.map((path) => resolve(path)))].map((path) => ({ path, bytes: bytesOf(path) }));
}

/** @throws CheckpointError when a process that lives writes one of them; those before it are gone then */
export function removeRuns(paths: readonly string[]): void {
  for (const path of new Set(paths.map((one) => resolve(one)))) {
    lockRun(path, () => {});
    // the lock goes with the directory
    rmSync(path, { recursive: true });
  }
}
