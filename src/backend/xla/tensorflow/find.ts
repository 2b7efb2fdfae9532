/** Where TensorFlow's library is. Loads nothing. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { cacheDir } from "../../../lib/cache.ts";
import { pythonEnvironment } from "../../python.ts";
import { libraryNames } from "./names.ts";

export type Origin = "named" | "installed by rlpt" | "Python environment";

export interface FoundLibrary {
  readonly folder: string;
  readonly origin: Origin;
}

/** Folder that `rlpt backend install tensorflow` fills. */
export function tensorflowCacheFolder(): string {
  return join(cacheDir(), "tensorflow");
}

/**
 * A named folder ($RLPT_TENSORFLOW when none is given), what rlpt installed, the active Python environment.
 * @param named `backend.library` of a config: this folder or nothing; "tensorflow" is any of them
 * @returns null and what was looked at
 */
export function findTensorFlow(named?: string): { found: FoundLibrary | null; looked: string[] } {
  const looked: string[] = [];
  const wanted = (named === "tensorflow" ? undefined : named) ?? process.env["RLPT_TENSORFLOW"];
  if (wanted) {
    for (const folder of [wanted, join(wanted, "tensorflow")]) {
      if (holdsLibraries(folder)) return { found: { folder, origin: "named" }, looked };
      looked.push(folder);
    }
    return { found: null, looked };
  }
  const own = join(tensorflowCacheFolder(), "tensorflow");
  if (holdsLibraries(own)) return { found: { folder: own, origin: "installed by rlpt" }, looked };
  looked.push(own);
  const python = pythonEnvironment();
  for (const root of python?.folders ?? []) {
    const folder = join(root, "tensorflow");
    if (holdsLibraries(folder)) return { found: { folder, origin: "Python environment" }, looked };
  }
  looked.push(python === null ? "no Python was found" : `the packages of ${python.executable}`);
  return { found: null, looked };
}

function holdsLibraries(folder: string): boolean {
  return libraryNames.every((name) => existsSync(join(folder, name)));
}
