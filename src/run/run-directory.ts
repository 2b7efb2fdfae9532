/** runs/<name>-<time>-s<seed>/: making one, finding its parts, taking one up again. */
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CheckpointError, ConfigError, describeSystemError } from "../lib/errors.ts";
import { type Checkpoint, type DamagedCheckpoint, surveyCheckpoints } from "./checkpoint.ts";
import { removeLeftovers, restoreNames, setAside } from "./checkpoint-recovery.ts";
import { lockName, lockRun } from "./lock.ts";
import { changedLogs, openRunLogs, type RunLogs } from "./logs.ts";
import { writeWhole } from "./write-whole.ts";

const recipeName = "recipe.yaml";

/** 2026-01-05 12:00:07 UTC -> "20260105T120007". */
export function timeStamp(time: Date): string {
  return time.toISOString().slice(0, 19).replaceAll(/[-:]/g, "");
}

export interface NewRun {
  /** Folder of run directories. */
  root: string;
  name: string;
  seed: number;
  time: Date;
  /** Taken as it is instead of root/name-time-s<seed>; must be new or empty. */
  directory?: string;
}

/**
 * Makes a run directory; where the name is taken (two runs in a second) "-2", "-3" ... is added.
 * @returns its path
 * @throws ConfigError when the given directory holds something
 */
export function createRunDirectory(run: NewRun): string {
  if (run.directory !== undefined) {
    const path = run.directory;
    try {
      mkdirSync(path, { recursive: true });
    } catch (error) {
      throw new ConfigError(`${path}: cannot make the run directory: ${describeSystemError(error)}.`, {
        cause: error,
      });
    }
    if (existsSync(join(path, recipeName)))
      throw new ConfigError(`${path}: holds a run already; resume it, or give another directory.`);
    if (readdirSync(path).some((name) => !name.startsWith(lockName)))
      throw new ConfigError(`${path}: is not empty and holds no run; give another directory.`);
    return path;
  }
  const base = join(run.root, `${run.name}-${timeStamp(run.time)}-s${run.seed}`);
  try {
    mkdirSync(run.root, { recursive: true });
    for (let count = 1; ; count++) {
      const path = count === 1 ? base : `${base}-${count}`;
      try {
        mkdirSync(path);
        return path;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
    }
  } catch (error) {
    throw new ConfigError(`${base}: cannot make the run directory: ${describeSystemError(error)}.`, {
      cause: error,
    });
  }
}

/** Run directories below `root` that have a recipe, sorted by name. */
export function listRuns(root: string): string[] {
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .sort()
    .map((name) => join(root, name))
    .filter(isRunDirectory);
}

export function isRunDirectory(path: string): boolean {
  return existsSync(join(path, recipeName));
}

/** Writes recipe.yaml: the resolved recipe, runnable again as it is. */
export function writeRecipe(runDir: string, yaml: string): void {
  writeWhole(join(runDir, recipeName), yaml);
}

/** @throws CheckpointError when the directory holds no run */
export function readRecipe(runDir: string): string {
  try {
    return readFileSync(join(runDir, recipeName), "utf8");
  } catch (error) {
    throw new CheckpointError(
      `${runDir}: is not a run directory (${recipeName}: ${describeSystemError(error)}).`,
      {
        cause: error,
      },
    );
  }
}

/** A run directory that this process writes. */
export interface OpenRun {
  readonly directory: string;
  /** Where the run goes on; null at the very beginning. */
  readonly from: Checkpoint | null;
  readonly logs: RunLogs;
  close(): void;
}

/**
 * Locks a run directory, finds the newest whole checkpoint (every file hashed), tidies up after a kill and cuts the logs back to that
 * checkpoint. For a new run too: it then begins with nothing. Damaged checkpoints that are newer are renamed, and stay.
 * @param options.note told about damaged checkpoints, taken-over locks and lost rows
 * @param options.acceptChanges go on though rows of the logs were changed
 * @throws CheckpointError, before anything is changed, where all checkpoints are damaged or a log was changed
 */
export async function openRun(
  directory: string,
  options: { note?: (text: string) => void; acceptChanges?: boolean } = {},
): Promise<OpenRun> {
  const note = options.note ?? (() => {});
  const lock = lockRun(directory, note);
  try {
    await restoreNames(directory);
    const { latest: from, damaged } = await surveyCheckpoints(directory, "hashes");
    if (from === null && damaged.length > 0) throw noWholeCheckpoint(directory, damaged);
    if (from !== null && from.manifest.logs === undefined)
      throw new CheckpointError(
        `${from.directory}: does not say how many log rows belong to it; not a run's.`,
      );
    const changed = from === null ? [] : changedLogs(directory, from.manifest.logs!);
    if (changed.length > 0) {
      const names = changed.map((name) => join(directory, name)).join(", ");
      const what = `rows that were written before the checkpoint of step ${from!.step} were changed or cut`;
      if (options.acceptChanges !== true)
        throw new CheckpointError(
          `${names}: ${what}. Nothing was removed. Put the file back, or go on with --accept-changes.`,
          { exitCode: 2 },
        );
      note(`${names}: ${what}; accepted`);
    }
    await removeLeftovers(directory);
    for (const each of damaged) {
      note(`skipped a damaged checkpoint, which now lies in ${setAside(each)}: ${each.reason}`);
    }
    const logs = openRunLogs(
      directory,
      from === null ? undefined : { step: from.step, counts: from.manifest.logs! },
      note,
    );
    return {
      directory,
      from,
      logs,
      close() {
        logs.close();
        lock.release();
      },
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

function noWholeCheckpoint(directory: string, damaged: readonly DamagedCheckpoint[]): CheckpointError {
  return new CheckpointError(
    `${directory}: none of its checkpoints is whole, and nothing was removed:\n${damaged.map(({ reason }) => `  ${reason}`).join("\n")}\n` +
      "Put a copy of one of these folders back and resume again (the newest whole one is taken), " +
      `or start anew in another directory: rlpt train ${join(directory, recipeName)} --out <new directory>`,
  );
}
