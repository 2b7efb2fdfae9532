/** Programs of Python that tests compare with, in environments that `.ci/run` makes. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

export interface PythonEnvironment {
  /** The interpreter; null where the environment is not there. */
  python: string | null;
  /** Why tests that need it are skipped. */
  reason: string;
}

/** @param name of the folder in .cache/python @param packages what it holds, for the reason */
export function pythonEnvironment(name: string, packages = name): PythonEnvironment {
  const folder = fileURLToPath(new URL(`../../.cache/python/${name}`, import.meta.url));
  const python = `${folder}/bin/python`;
  return {
    python: existsSync(`${folder}/ready`) ? python : null,
    reason: `no ${packages}; python3 -m venv .cache/python/${name}, install it there, touch .cache/python/${name}/ready`,
  };
}

/** Runs a script of tests/helpers with JSON in and JSON out: the last line that it prints. @throws Error with what it said */
export function askPython<T>(python: string, script: string, request: unknown): T {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const done = spawnSync(python, [path], {
    input: JSON.stringify(request),
    encoding: "utf8",
    maxBuffer: 2 ** 28,
  });
  if (done.status !== 0) throw new Error(`${script} ended with ${done.status}: ${done.stderr.slice(-2000)}`);
  return JSON.parse(done.stdout.trimEnd().split("\n").at(-1)!) as T;
}
