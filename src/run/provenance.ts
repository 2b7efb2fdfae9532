/** provenance.json: what a reader needs to trust a run and to make it again. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { arch, cpus, platform, release, totalmem } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { CheckpointError, DataError, describeSystemError } from "../lib/errors.ts";
import { hashFile, textHash, withDigest } from "./manifest.ts";
import type { ChangedInput } from "./resume-check.ts";
import { writeWhole } from "./write-whole.ts";

export interface Provenance {
  rlpt: string;
  node: string;
  /** The run's seed. */
  seed: number;
  /** ISO 8601, UTC. */
  started: string;
  command: readonly string[];
  /** model.path as the config or a flag gives it; absent in runs of older versions. */
  model?: string;
  system: { platform: string; release: string; arch: string; cpu: string; cores: number; memory_gb: number };
  /** What the backend says of itself: name, version, libraries, device, threads. */
  backend: Readonly<Record<string, unknown>>;
  /** State of the working directory; null outside a repository or without git. */
  git: { commit: string; dirty: boolean } | null;
  /** Size and hash of each data file, by its path as it was given. */
  data: Record<string, { bytes: number; sha256: string }>;
  /** Weights, tokenizer, adapter, reward files, by name; absent in runs of older versions and where nobody asked. */
  inputs?: Record<string, { what: string; bytes: number; sha256: string }>;
  /** recipe.yaml as it was written last, and the SHA-256 of every text of it that was written. */
  recipe?: string;
  recipes?: readonly string[];
  /** Every time the run was taken up again; `accepted` is what --accept-changes let through. */
  resumes: {
    time: string;
    from_step: number;
    rlpt: string;
    node: string;
    command: readonly string[];
    accepted?: readonly ChangedInput[];
  }[];
}

/** A file that steps are made with. */
export interface InputFile {
  /** "model file", say. */
  what: string;
  /** The name by which it is compared. */
  name: string;
  path: string;
}

export interface ProvenanceInput {
  rlptVersion: string;
  seed: number;
  time: Date;
  command: readonly string[];
  /** model.path as it was given; null for random weights. */
  model?: string | null;
  backend: Readonly<Record<string, unknown>>;
  /** Data files by the path in the recipe. */
  dataFiles: readonly string[];
  /** Other files; absent: they are not looked at. */
  inputFiles?: readonly InputFile[];
  /** Text of recipe.yaml. */
  recipe?: string;
  /** Where relative data paths begin, and whose commit counts. */
  workingDirectory: string;
}

const fileName = "provenance.json";

/** Commit and whether tracked files differ from it; null where that cannot be told. */
export async function gitState(directory: string): Promise<Provenance["git"]> {
  const git = async (...args: string[]): Promise<string> =>
    (await promisify(execFile)("git", args, { cwd: directory, timeout: 10_000, maxBuffer: 1 << 26 })).stdout;
  try {
    const commit = (await git("rev-parse", "HEAD")).trim();
    const changes = await git("status", "--porcelain", "--untracked-files=no");
    return { commit, dirty: changes.trim() !== "" };
  } catch {
    return null;
  }
}

/** @throws DataError when a data file cannot be read */
export async function collectProvenance(input: ProvenanceInput): Promise<Provenance> {
  const data: Provenance["data"] = {};
  for (const path of [...new Set(input.dataFiles)].sort()) {
    try {
      data[path] = await hashFile(resolve(input.workingDirectory, path));
    } catch (error) {
      throw new DataError(`${path}: cannot be read: ${describeSystemError(error)}.`, { cause: error });
    }
  }
  const inputs: NonNullable<Provenance["inputs"]> = {};
  for (const { what, name, path } of input.inputFiles ?? []) {
    try {
      inputs[name] = { what, ...(await hashFile(path)) };
    } catch (error) {
      throw new DataError(`${path}: cannot be read: ${describeSystemError(error)}.`, { cause: error });
    }
  }
  return {
    rlpt: input.rlptVersion,
    node: process.version,
    seed: input.seed,
    started: input.time.toISOString(),
    command: input.command,
    ...(typeof input.model === "string" ? { model: input.model } : {}),
    system: {
      platform: platform(),
      release: release(),
      arch: arch(),
      cpu: cpus()[0]?.model.trim() ?? "unknown",
      cores: cpus().length,
      memory_gb: Math.round(totalmem() / 1e8) / 10,
    },
    backend: input.backend,
    git: await gitState(input.workingDirectory),
    data,
    ...(input.inputFiles === undefined ? {} : { inputs }),
    ...(input.recipe === undefined ? {} : { recipe: input.recipe, recipes: [textHash(input.recipe)] }),
    resumes: [],
  };
}

export function writeProvenance(runDir: string, provenance: Provenance): void {
  writeWhole(join(runDir, fileName), withDigest(provenance));
}

/**
 * @param options.damaged "null": a file that holds no provenance counts as none
 * @returns null when the run has none
 */
export function readProvenance(
  runDir: string,
  { damaged = "error" }: { damaged?: "error" | "null" } = {},
): Provenance | null {
  const path = join(runDir, fileName);
  if (!existsSync(path)) return null;
  try {
    const { digest: _digest, ...provenance } = JSON.parse(readFileSync(path, "utf8")) as Provenance & {
      digest?: string;
    };
    if (typeof provenance.data !== "object" || !Array.isArray(provenance.resumes))
      throw new Error("it is no provenance of a run");
    return provenance;
  } catch (error) {
    if (damaged === "null") return null;
    throw new CheckpointError(`${path}: cannot be read: ${describeSystemError(error)}.`, { cause: error });
  }
}

/**
 * Adds a resume to provenance.json; without a file the new provenance becomes the first. Files and recipe are those of now from here on.
 * @param accepted what differs from what earlier steps were made with
 * @returns what differs from the start in a way that can change results: versions, backend, commit
 */
export function recordResume(
  runDir: string,
  now: Provenance,
  fromStep: number,
  accepted: readonly ChangedInput[] = [],
): string[] {
  const before = readProvenance(runDir, { damaged: "null" });
  if (before === null) {
    writeProvenance(runDir, now);
    return [];
  }
  before.resumes.push({
    time: now.started,
    from_step: fromStep,
    rlpt: now.rlpt,
    node: now.node,
    command: now.command,
    ...(accepted.length === 0 ? {} : { accepted }),
  });
  writeProvenance(runDir, {
    ...before,
    data: now.data,
    ...(now.inputs === undefined ? {} : { inputs: now.inputs }),
    ...(now.recipe === undefined
      ? {}
      : { recipe: now.recipe, recipes: [...new Set([...(before.recipes ?? []), ...now.recipes!])] }),
    resumes: before.resumes,
  });
  const changes: string[] = [];
  const compare = (what: string, was: unknown, is: unknown): void => {
    const [a, b] = [JSON.stringify(was), JSON.stringify(is)];
    if (a !== b) changes.push(`${what} was ${a} when the run began and is ${b}`);
  };
  compare("rlpt", before.rlpt, now.rlpt);
  compare("node", before.node, now.node);
  compare("git commit", before.git, now.git);
  compare("backend", before.backend, now.backend);
  return changes;
}
