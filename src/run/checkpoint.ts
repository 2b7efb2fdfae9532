/**
 * Checkpoints: `checkpoints/<step, 6 digits>/`. Written aside, synced, manifest last, renamed, so that a kill
 * at any moment leaves whole checkpoints only; what cannot be verified is never loaded.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
} from "node:fs";
import { dirname, join, sep } from "node:path";
import { CheckpointError, describeSystemError } from "../lib/errors.ts";
import { syncDirectory, writeFileSynced } from "../lib/files.ts";
import type { LogCounts } from "./logs.ts";
import {
  hashFile,
  listFiles,
  type Manifest,
  manifestName,
  manifestText,
  readManifest,
  stateName,
  TornCheckpointError,
} from "./manifest.ts";

/** Text, bytes, or a callback that writes one or more files into the directory it is given. */
export type CheckpointFile = string | Uint8Array | ((directory: string) => Promise<void>);

export interface CheckpointContent {
  /** By file name ("model/config.json" makes the folder); for a callback the name is only a label. */
  files: Readonly<Record<string, CheckpointFile>>;
  /** What a resumed run needs besides: counters, sampler, callbacks. Plain JSON, finite numbers. */
  state: unknown;
  /** Evaluation metrics of this step, for `keep_best`. */
  metrics?: Readonly<Record<string, number>>;
  /** Rows of the run's log files, synced before. */
  logs?: LogCounts;
}

export interface Checkpoint {
  step: number;
  directory: string;
  manifest: Manifest;
  /** As it was given to writeCheckpoint. */
  state: unknown;
}

export interface Best {
  metric: string;
  mode: "max" | "min";
}

const stepPattern = /^\d{6,}$/;

export function checkpointsDirectory(runDir: string): string {
  return join(runDir, "checkpoints");
}

export function checkpointDirectory(runDir: string, step: number): string {
  return join(checkpointsDirectory(runDir), String(step).padStart(6, "0"));
}

/** Steps that have a checkpoint directory, torn ones too, ascending. */
export function checkpointSteps(runDir: string): number[] {
  const folder = checkpointsDirectory(runDir);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => stepPattern.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}

/** JSON text. @throws CheckpointError with the key path of a value that JSON would change */
function stateText(state: unknown): string {
  const check = (value: unknown, path: string): void => {
    const fail = (what: string): never => {
      throw new CheckpointError(`checkpoint ${path} is ${what}, which JSON cannot hold.`);
    };
    if (value === null || typeof value === "string" || typeof value === "boolean") return;
    if (typeof value === "number") {
      if (!Number.isFinite(value)) fail(String(value));
      return;
    }
    if (Array.isArray(value)) {
      value.forEach((each, i) => {
        check(each, `${path}[${i}]`);
      });
      return;
    }
    if (typeof value !== "object") fail(`of type ${typeof value}`);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) fail(`a ${value!.constructor.name}`);
    for (const [key, each] of Object.entries(value as object))
      if (each !== undefined) check(each, `${path}.${key}`);
  };
  check(state, "state");
  return `${JSON.stringify(state)}\n`;
}

function systemCode(error: unknown): string | undefined {
  let current = error;
  for (let depth = 0; depth < 8 && current instanceof Error; depth++) {
    const code = (current as NodeJS.ErrnoException).code;
    if (code !== undefined) return code;
    current = current.cause;
  }
  return undefined;
}

function formatBytes(bytes: number): string {
  return bytes < 1e6 ? `${bytes} bytes` : `${(bytes / 1e6).toFixed(1)} MB (${bytes} bytes)`;
}

function totalBytes(manifest: Manifest): number {
  return Object.values(manifest.files).reduce((sum, file) => sum + file.bytes, 0);
}

/** What this checkpoint takes at least: the size of the one before, of what was written, or of what is known. */
function estimateBytes(previous: Checkpoint | null, content: CheckpointContent, written: number): number {
  const known = Object.values(content.files).reduce(
    (sum, file) => sum + (typeof file === "function" ? 0 : Buffer.byteLength(file)),
    0,
  );
  return Math.max(previous === null ? 0 : totalBytes(previous.manifest), known, written);
}

/** Bytes of the files below a directory; 0 when it is not there. */
function sizeOf(directory: string): number {
  if (!existsSync(directory)) return 0;
  return listFiles(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
}

/** The error for people. @param written bytes that were written aside before it happened */
async function explain(
  error: unknown,
  runDir: string,
  step: number,
  content: CheckpointContent,
  written: number,
): Promise<CheckpointError> {
  const path = checkpointDirectory(runDir, step);
  const previous = await latestCheckpoint(runDir).catch(() => null);
  const kept =
    previous === null
      ? "There is no earlier checkpoint."
      : `The checkpoint of step ${previous.step} is intact.`;
  const code = systemCode(error);
  if (code !== "ENOSPC" && code !== "EDQUOT")
    return new CheckpointError(
      `${path}: the checkpoint was not written: ${describeSystemError(error).replace(/\.$/, "")}. ${kept}`,
      { cause: error },
    );
  const needed = estimateBytes(previous, content, written);
  let room = `It needs at least ${formatBytes(needed)}.`;
  try {
    const { bavail, bsize } = statfsSync(checkpointsDirectory(runDir));
    const free = bavail * bsize;
    // a writer that tidied up after itself leaves no size: then all that is known is that this was too little
    room =
      needed > free
        ? `It needs at least ${formatBytes(needed)}; ${formatBytes(free)} are free.`
        : `It needs more than the ${formatBytes(free)} that are free.`;
  } catch {
    // only a help
  }
  const why = code === "EDQUOT" ? "the quota is used up" : "the disk is full";
  return new CheckpointError(
    `${path}: the checkpoint was not written: ${why}. ${room} ${kept} ` +
      "Free some space (or lower run.keep_last) and resume the run.",
    { cause: error },
  );
}

/** Renames so that `to` is whole at every moment but the one between two renames; see checkpoint-recovery.ts. */
function replaceDirectory(from: string, to: string, step: number): void {
  if (!existsSync(to)) {
    renameSync(from, to);
    return;
  }
  const old = join(dirname(to), `.old-${step}-${randomBytes(4).toString("hex")}`);
  renameSync(to, old);
  renameSync(from, to);
  rmSync(old, { recursive: true, force: true });
}

/**
 * Writes the checkpoint of a step; one that is there already is replaced.
 * @throws CheckpointError when it cannot be written; what was written is removed, earlier checkpoints stay
 */
export async function writeCheckpoint(
  runDir: string,
  step: number,
  content: CheckpointContent,
): Promise<Checkpoint> {
  if (!Number.isSafeInteger(step) || step < 0)
    throw new CheckpointError(`checkpoint step ${step} is not a whole number from 0.`);
  const parent = checkpointsDirectory(runDir);
  const target = checkpointDirectory(runDir, step);
  const aside = join(parent, `.tmp-${step}-${randomBytes(4).toString("hex")}`);
  const state = stateText(content.state);
  if (stateName in content.files)
    throw new CheckpointError(`${stateName} is written from \`state\`; give the file another name.`);
  try {
    mkdirSync(aside, { recursive: true });
    const all: Record<string, CheckpointFile> = { ...content.files, [stateName]: state };
    for (const [name, file] of Object.entries(all)) {
      if (typeof file === "function") {
        await file(aside);
        continue;
      }
      const path = join(aside, name);
      if (!path.startsWith(aside + sep) || name === manifestName)
        throw new CheckpointError(`${name} is not a name for a file of a checkpoint.`);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSynced(path, [typeof file === "string" ? Buffer.from(file) : file]);
    }
    const files: Manifest["files"] = {};
    for (const name of listFiles(aside)) {
      syncFile(join(aside, name));
      files[name] = await hashFile(join(aside, name));
    }
    for (const folder of new Set(Object.keys(files).map((name) => dirname(join(aside, name)))))
      syncDirectory(folder);
    const manifest: Omit<Manifest, "version"> = {
      step,
      files,
      metrics: { ...content.metrics },
      ...(content.logs === undefined ? {} : { logs: content.logs }),
    };
    writeFileSynced(join(aside, manifestName), [Buffer.from(manifestText(manifest))]);
    syncDirectory(aside);
    replaceDirectory(aside, target, step);
    syncDirectory(parent);
    return {
      step,
      directory: target,
      manifest: { version: 2, ...manifest },
      state: JSON.parse(state) as unknown,
    };
  } catch (error) {
    const written = sizeOf(aside);
    rmSync(aside, { recursive: true, force: true });
    throw await explain(error, runDir, step, content, written);
  }
}

function syncFile(path: string): void {
  const handle = openSync(path, "r+");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/**
 * Opens one checkpoint directory, hashes checked.
 * @throws CheckpointError when anything in it is missing or changed
 */
export async function openCheckpoint(
  directory: string,
  verify: "sizes" | "hashes" = "hashes",
): Promise<Checkpoint> {
  const manifest = await readManifest(directory, verify);
  if (!(stateName in manifest.files))
    throw new TornCheckpointError(`${directory}: ${manifestName} lists no ${stateName}.`);
  const text = readFileSync(join(directory, stateName), "utf8");
  try {
    return { step: manifest.step, directory, manifest, state: JSON.parse(text) as unknown };
  } catch (cause) {
    // where only sizes were looked at
    throw new TornCheckpointError(
      `${directory}: ${stateName} cannot be read: ${describeSystemError(cause)}.`,
      {
        cause,
      },
    );
  }
}

/** A checkpoint folder that is not whole, and why. */
export interface DamagedCheckpoint {
  step: number;
  directory: string;
  /** Names folder and files. */
  reason: string;
}

/** The newest whole checkpoint, and the damaged ones that are newer. @throws CheckpointError for one of another version */
export async function surveyCheckpoints(
  runDir: string,
  verify: "sizes" | "hashes",
): Promise<{ latest: Checkpoint | null; damaged: DamagedCheckpoint[] }> {
  const damaged: DamagedCheckpoint[] = [];
  for (const step of checkpointSteps(runDir).reverse()) {
    const directory = checkpointDirectory(runDir, step);
    try {
      return { latest: await openCheckpoint(directory, verify), damaged };
    } catch (error) {
      if (!(error instanceof TornCheckpointError)) throw error;
      damaged.push({ step, directory, reason: error.message });
    }
  }
  return { latest: null, damaged };
}

/**
 * The newest checkpoint that is whole, or null.
 * @param options.verify "hashes" before loading; default "sizes"
 * @param options.note told about every one that is skipped, and why
 */
export async function latestCheckpoint(
  runDir: string,
  options: { verify?: "sizes" | "hashes"; note?: (text: string) => void } = {},
): Promise<Checkpoint | null> {
  const { latest, damaged } = await surveyCheckpoints(runDir, options.verify ?? "sizes");
  for (const { reason } of damaged) options.note?.(`skipped a torn checkpoint: ${reason}`);
  return latest;
}

/** The checkpoint with the best value of a metric, the earlier of equals; null when none has it. */
export async function bestCheckpoint(runDir: string, best: Best): Promise<Checkpoint | null> {
  let found: Checkpoint | null = null;
  let foundValue = 0;
  for (const step of checkpointSteps(runDir)) {
    const each = await openCheckpoint(checkpointDirectory(runDir, step), "sizes").catch(() => null);
    const value = each?.manifest.metrics[best.metric];
    if (each === null || value === undefined) continue;
    if (found === null || (best.mode === "max" ? value > foundValue : value < foundValue)) {
      found = each;
      foundValue = value;
    }
  }
  return found;
}

/** Removes a checkpoint in two moves, so that a kill in between leaves no torn one under its name. */
function removeCheckpoint(directory: string): void {
  const aside = join(dirname(directory), `.tmp-removed-${randomBytes(4).toString("hex")}`);
  renameSync(directory, aside);
  rmSync(aside, { recursive: true, force: true });
}

/** Is there a checkpoint in this directory, whatever its name, with all of its files? */
export function isWhole(directory: string, verify: "sizes" | "hashes"): Promise<boolean> {
  return readManifest(directory, verify).then(
    () => true,
    () => false,
  );
}

/**
 * Removes all but the newest `keepLast`, those of every `keepEvery` steps, and the best. Call after a new one is
 * written.
 * @returns the steps that were removed
 */
export async function pruneCheckpoints(
  runDir: string,
  options: { keepLast: number; keepEvery?: number | undefined; best?: Best | null },
): Promise<number[]> {
  const steps: number[] = [];
  // a torn one must not take the place of a whole one
  for (const step of checkpointSteps(runDir))
    if (await isWhole(checkpointDirectory(runDir, step), "sizes")) steps.push(step);
  const kept = new Set(steps.slice(-options.keepLast));
  const best = options.best ? await bestCheckpoint(runDir, options.best) : null;
  if (best !== null) kept.add(best.step);
  const { keepEvery } = options;
  if (keepEvery !== undefined) for (const step of steps) if (step % keepEvery === 0) kept.add(step);
  const removed = steps.filter((step) => !kept.has(step));
  for (const step of removed) removeCheckpoint(checkpointDirectory(runDir, step));
  return removed;
}
