/** What stands in a folder that a report is made of: a run, what several runs were made for, or runs side by side. */
import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { ConfigError, describeSystemError, RlptError } from "../lib/errors.ts";
import { printableLine } from "../lib/printable.ts";
import { verdictShape } from "./json-shapes.ts";
import { readShape } from "./read-run.ts";

/** Folders by what they hold, each once, in the order in which they were given. */
export interface ReportFolders {
  runs: string[];
  /** Folders that rlpt select-data wrote. */
  selections: string[];
  /** Folders that rlpt sweep wrote. */
  sweeps: string[];
  /** Folders that rlpt pipeline wrote, with results. */
  experiments: string[];
  /** Folders that rlpt reproduce wrote, with a verdict. */
  claims: string[];
}

/** The file that tells what a folder is; the first that is there. */
const MARKS = [
  ["selection.json", "selections"],
  ["pareto.csv", "sweeps"],
  ["recipe.yaml", "runs"],
  ["verdict.json", "claims"],
  ["results.csv", "experiments"],
] as const;

const kindOf = (path: string): keyof ReportFolders | null =>
  MARKS.find(([mark]) => existsSync(join(path, mark)))?.[1] ?? null;

/**
 * Sorts folders by kind. An experiment brings its runs and selections, a claim the runs that its verdict stands on, and
 * any other folder whatever of these lies directly in it. A sweep's trials are in its own table.
 * @throws ConfigError for a folder that holds nothing of the kind
 */
export function sortFolders(paths: readonly string[]): ReportFolders {
  const found: ReportFolders = { runs: [], selections: [], sweeps: [], experiments: [], claims: [] };
  for (const path of paths) {
    if (add(found, path)) continue;
    if (!addChildren(found, path))
      throw new ConfigError(
        `${printableLine(path)}: is not a run directory: it has no recipe.yaml, and no folder in it has one. rlpt runs ls lists the runs below runs/.`,
      );
  }
  return found;
}

/** @returns false for a folder that is none of the kinds itself */
function add(found: ReportFolders, path: string): boolean {
  const kind = kindOf(path);
  if (kind === null) return false;
  if (found[kind].some((one) => resolve(one) === resolve(path))) return true;
  found[kind].push(path);
  if (kind === "experiments") addChildren(found, path);
  if (kind === "claims") for (const run of claimRuns(path)) add(found, run);
  return true;
}

/** Folders inside of a folder, and what an experiment selected for its arms. @returns false when there are none */
function addChildren(found: ReportFolders, path: string): boolean {
  const inner = [path, join(path, "data")].flatMap((folder) =>
    namesIn(folder).map((name) => join(folder, name)),
  );
  return inner.map((one) => add(found, one)).some((added) => added);
}

/** Runs beside the claim's folder; names alone are taken from its file, so that a moved folder keeps its runs. */
function claimRuns(path: string): string[] {
  const { runs } = readShape(join(path, "verdict.json"), verdictShape);
  const folder = dirname(resolve(path));
  const shown = path.includes("/") ? dirname(path) : ".";
  return [...new Set(runs.map(({ directory }) => basename(directory)))]
    .filter((name) => namesIn(folder).includes(name) && kindOf(join(folder, name)) === "runs")
    .map((name) => join(shown, name));
}

function namesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
      .map(({ name }) => name)
      .sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  } catch (error) {
    throw new RlptError(
      `${printableLine(folder)}: cannot be listed: ${printableLine(describeSystemError(error))}.`,
      { cause: error },
    );
  }
}
