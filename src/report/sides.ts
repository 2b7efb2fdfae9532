/** Sides of a comparison from what stands on the command line. */
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { ConfigError } from "../lib/errors.ts";
import { isRunDirectory } from "../run/run-directory.ts";
import type { Side } from "./compare.ts";
import { readRun } from "./read-run.ts";

/** Every argument is a side: a run, runs with commas between, or a pattern with * in its last part. */
export function readSides(args: readonly string[]): Side[] {
  if (args.length < 2) {
    throw new ConfigError(
      "rlpt compare needs two sides or more: rlpt compare runs/a runs/b, or with seeds rlpt compare 'runs/a-s*' 'runs/b-s*'",
    );
  }
  const repeated = args.find((arg, i) => args.indexOf(arg) !== i);
  if (repeated !== undefined) throw new ConfigError(`${repeated} is given twice`);
  return args.map((arg) => {
    const paths = (isRunDirectory(arg) ? [arg] : arg.split(",")).flatMap(expand);
    return { name: arg, runs: paths.map(readRun) };
  });
}

function expand(path: string): string[] {
  if (!path.includes("*")) return [path];
  const folder = dirname(path);
  if (folder.includes("*")) throw new ConfigError(`${path}: * may stand in the last part of the path only`);
  const name = path.slice(folder === "." && !path.startsWith("./") ? 0 : folder.length + 1);
  const pattern = new RegExp(`^${name.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*")}$`);
  let entries: string[];
  try {
    entries = readdirSync(folder);
  } catch (error) {
    throw new ConfigError(`${folder}: cannot be listed`, { cause: error });
  }
  const found = entries
    .filter((entry) => pattern.test(entry))
    .sort()
    .map((entry) => join(folder, entry))
    .filter(isRunDirectory);
  if (found.length === 0) throw new ConfigError(`${path}: no run directory has such a name`);
  return found;
}
