/** `rlpt runs`: what lies in a folder of runs, and removing it. */
import { existsSync, lstatSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { ConfigError } from "../lib/errors.ts";
import { checkpointDirectory, checkpointSteps } from "../run/checkpoint.ts";
import { isFinished } from "../run/finished.ts";
import { lockName, lockRun, lockState } from "../run/lock.ts";
import { stateName } from "../run/manifest.ts";
import { isRunDirectory, listRuns } from "../run/run-directory.ts";
import { bytesOf } from "../run/usage.ts";
import { runFacts } from "./build.ts";
import { numberCell, type RunFiles, readRun } from "./read-run.ts";

export interface ListedRun {
  name: string;
  path: string;
  recipe: string;
  steps: number;
  /** running: a process writes it; killed: one did, and is gone; stopped: interrupted or failed, with steps left. */
  status: "running" | "done" | "killed" | "stopped";
  /** As the recipe gives it; "" where it cannot be read. */
  seed: string;
  model: string;
  /** Held-out, at the last evaluation; null without one. */
  accuracy: number | null;
  /** The best evaluation by run.keep_best, the earlier of equals; null without one. */
  best: { metric: string; value: number; step: number } | null;
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
      const run = readRun(path);
      const { recipe, steps, lastAccuracy, seed, model } = runFacts(run);
      const status = statusOf(path, run.recipe);
      return {
        ...rest,
        status,
        recipe,
        steps,
        seed,
        model,
        accuracy: lastAccuracy,
        best: bestOf(run),
        fault: null,
      };
    } catch (error) {
      // one broken run must not hide the others
      const unknown = { recipe: "", steps: 0, seed: "", model: "", accuracy: null, best: null };
      return { ...rest, ...unknown, status: statusOf(path, null), fault: (error as Error).message };
    }
  });
}

/** @param recipe null where it cannot be read */
export function statusOf(path: string, recipe: RunFiles["recipe"] | null): ListedRun["status"] {
  const lock = lockState(path);
  if (lock === "held") return "running";
  if (recipe !== null && isDone(path, recipe)) return "done";
  return lock === "gone" ? "killed" : "stopped";
}

function isDone(path: string, recipe: RunFiles["recipe"]): boolean {
  const stages = Array.isArray(recipe["stages"]) ? (recipe["stages"] as Record<string, unknown>[]) : [recipe];
  const newest = checkpointSteps(path).at(-1);
  if (newest === undefined) return false;
  try {
    const text = readFileSync(join(checkpointDirectory(path, newest), stateName), "utf8");
    return isFinished(
      JSON.parse(text),
      stages.map((stage) => Number(stage["steps"] ?? recipe["steps"])),
    );
  } catch {
    // a damaged one is no end
    return false;
  }
}

function bestOf(run: RunFiles): ListedRun["best"] {
  const options = run.recipe["run"] as { keep_best?: { metric?: string; mode?: string } | null } | undefined;
  const { metric = "accuracy", mode = "max" } = options?.keep_best ?? {};
  let best: ListedRun["best"] = null;
  for (const row of run.evaluations) {
    const value = row["slice"] === "all" ? numberCell(row, metric) : null;
    if (value === null || Number.isNaN(value)) continue;
    if (best === null || (mode === "min" ? value < best.value : value > best.value))
      best = { metric, value, step: Number(row["step"]) };
  }
  return best;
}

/** What runs, plans, profiles and reports write into a run directory. */
const OURS =
  /^(recipe\.yaml|provenance\.json|(metrics|eval|eval-prompts|prompts|profile)\.csv|(samples|thumbnails|judge)\.jsonl|(usage|plan)\.json|report\.(html|md|csv)|checkpoints|run\.lock.*|\..+\.tmp)$/;
/** One of them lies beside the recipe in everything that was started. */
const STARTED = ["provenance.json", "metrics.csv", "run.lock"];

/** @throws ConfigError, before anything is removed, when one of them is no run or holds something that no run writes */
export function checkRemovable(paths: readonly string[]): { path: string; bytes: number }[] {
  const refuse = (path: string, why: string): never => {
    throw new ConfigError(`${path}: ${why}; nothing was removed`);
  };
  for (const path of paths) {
    const directory = resolve(path);
    if (!isRunDirectory(directory)) refuse(path, "is not a run directory (no recipe.yaml)");
    if (lstatSync(directory).isSymbolicLink()) refuse(path, "is a link; give the run itself");
    if (`${process.cwd()}/`.startsWith(`${directory}/`)) refuse(path, "is the working directory or holds it");
    if (!STARTED.some((name) => existsSync(join(directory, name))))
      refuse(path, `holds a recipe.yaml and no run (none of ${STARTED.join(", ")})`);
    const others = readdirSync(directory).filter((name) => !OURS.test(name));
    if (others.length > 0)
      refuse(
        path,
        `holds what no run writes (${others.slice(0, 3).join(", ")}${others.length > 3 ? " and more" : ""}): move that elsewhere first`,
      );
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
