/** One process writes a run directory: `run.lock` names it, and a dead one's lock is taken over. */
import { randomBytes } from "node:crypto";
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { CheckpointError, describeSystemError } from "../lib/errors.ts";
import { removeUnfinished } from "../lib/files.ts";

interface LockOwner {
  pid: number;
  host: string;
  /** When the process started, in the system's own ticks; tells a reused pid apart. Linux only. */
  started: string | null;
  /** Distinguishes two locks of one process. */
  token: string;
}

export interface RunLock {
  /** Removes the lock; safe to call twice. */
  release(): void;
}

export const lockName = "run.lock";

/** Fields 3 and 22 of /proc/<pid>/stat; null where there is no such file. */
function processStatus(pid: number): { state: string; started: string } | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0]!, started: fields[19]! };
  } catch {
    return null;
  }
}

function isAlive(owner: LockOwner): boolean {
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  const now = processStatus(owner.pid);
  if (now === null) return true;
  // dead, and not yet waited for: in containers nobody may ever do that
  if (now.state === "Z" || now.state === "X") return false;
  return owner.started === null || now.started === owner.started;
}

function readOwner(path: string): { text: string; owner: LockOwner | null } | null {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
  try {
    const owner = JSON.parse(text) as LockOwner;
    return { text, owner: Number.isInteger(owner?.pid) && typeof owner.host === "string" ? owner : null };
  } catch {
    return { text, owner: null };
  }
}

/** Does a process write the run? `gone`: one did, and left its lock behind. One on another host counts as alive. */
export function lockState(runDir: string): "free" | "held" | "gone" {
  const found = readOwner(join(runDir, lockName));
  if (found === null) return "free";
  const { owner } = found;
  if (owner === null || owner.host !== hostname()) return "held";
  return isAlive(owner) ? "held" : "gone";
}

/** Creates `path` with its content in one move; false when it exists. */
function createWhole(path: string, text: string): boolean {
  const aside = `${path}.${process.pid}.${randomBytes(4).toString("hex")}`;
  writeFileSync(aside, text, { flag: "wx" });
  try {
    linkSync(aside, path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return false;
    // no hard links on this file system
    try {
      writeFileSync(path, text, { flag: "wx" });
      return true;
    } catch (second) {
      if ((second as NodeJS.ErrnoException).code === "EEXIST") return false;
      throw second;
    }
  } finally {
    rmSync(aside, { force: true });
  }
}

/**
 * Locks a run directory for this process.
 * @param note told when a dead process's lock is taken over
 * @throws CheckpointError when another process holds it, or may hold it
 */
export function lockRun(runDir: string, note: (text: string) => void = () => {}): RunLock {
  const path = join(runDir, lockName);
  const mine: LockOwner = {
    pid: process.pid,
    host: hostname(),
    started: processStatus(process.pid)?.started ?? null,
    token: randomBytes(8).toString("hex"),
  };
  const text = `${JSON.stringify(mine)}\n`;
  try {
    for (let attempt = 0; attempt < 10; attempt++) {
      if (createWhole(path, text)) return { release: () => release(path, text) };
      const found = readOwner(path);
      if (found === null) continue;
      const { owner } = found;
      if (owner === null)
        throw new CheckpointError(`${path}: it cannot be read. Delete it if no rlpt writes this run.`);
      if (owner.host !== mine.host)
        throw new CheckpointError(
          `${path}: process ${owner.pid} on ${owner.host} writes this run. If it is gone, delete ${lockName}.`,
        );
      if (isAlive(owner))
        throw new CheckpointError(
          `${path}: process ${owner.pid} writes this run. Wait for it or stop it, or give this run another directory.`,
        );
      takeAway(path, found.text);
      removeUnfinished(runDir, owner.pid);
      note(`${runDir}: took over from process ${owner.pid}, which is gone`);
    }
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    throw new CheckpointError(`${path}: cannot lock the run: ${describeSystemError(error)}.`, {
      cause: error,
    });
  }
  throw new CheckpointError(`${path}: another process takes the lock again and again.`);
}

/** Removes the lock that was read; one that came in between is put back. */
function takeAway(path: string, text: string): void {
  const aside = `${path}.${process.pid}.${randomBytes(4).toString("hex")}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  if (readFileSync(aside, "utf8") === text) rmSync(aside, { force: true });
  else renameSync(aside, path);
}

function release(path: string, text: string): void {
  try {
    if (readFileSync(path, "utf8") === text) rmSync(path, { force: true });
  } catch {
    // gone already
  }
}
