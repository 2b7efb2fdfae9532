/** Where the active Python environment keeps packages: libraries lie there that we can open without Python. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

export interface PythonEnvironment {
  /** The program that answered. */
  readonly executable: string;
  /** Folders that packages are imported from, in order. */
  readonly folders: readonly string[];
}

let found: PythonEnvironment | null | undefined;

/**
 * Asks the Python on the path ($RLPT_PYTHON, python3, python) for its package folders, once a process.
 * @returns null when there is none
 */
export function pythonEnvironment(): PythonEnvironment | null {
  found ??= ask();
  return found;
}

function ask(): PythonEnvironment | null {
  const named = process.env["RLPT_PYTHON"];
  const script = "import sys, json; print(json.dumps([sys.executable, [p for p in sys.path if p]]))";
  for (const python of named ? [named] : ["python3", "python"]) {
    // -P leaves the working directory out, but is not known before 3.11; -c puts "" first, which is dropped above
    const { status, stdout } = spawnSync(python, ["-c", script], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      timeout: 20_000,
    });
    if (status !== 0) continue;
    try {
      const [executable, folders] = JSON.parse(stdout) as [string, string[]];
      return { executable, folders: folders.filter((folder) => existsSync(folder)) };
    } catch {
      // it printed something else
    }
  }
  return null;
}

/** Version of a distribution in a package folder, from the name of its .dist-info; null when it is not there. */
export function distributionVersion(folder: string, names: readonly string[]): string | null {
  const wanted = new Set(names.map((name) => name.replaceAll("-", "_").toLowerCase()));
  for (const entry of readdirSync(folder)) {
    const match = /^(.+)-([^-]+)\.dist-info$/.exec(entry);
    if (match && wanted.has(match[1]!.replaceAll("-", "_").toLowerCase())) return match[2]!;
  }
  return null;
}

/** Entries of a folder; none when it cannot be read. */
export function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder)
      .sort()
      .map((name) => join(folder, name));
  } catch {
    return [];
  }
}
