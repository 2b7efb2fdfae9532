/** manifest.json: what a checkpoint directory must hold. Written last, so a torn directory has none. */
import { createHash } from "node:crypto";
import { createReadStream, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { CheckpointError, describeSystemError } from "../lib/errors.ts";
import type { LogCounts } from "./logs.ts";

export const manifestName = "manifest.json";
export const stateName = "state.json";
const version = 1;

export interface ManifestFile {
  bytes: number;
  /** Hexadecimal SHA-256. */
  sha256: string;
}

export interface Manifest {
  version: typeof version;
  step: number;
  /** By path inside the directory, "/" between folders, sorted. */
  files: Record<string, ManifestFile>;
  /** Evaluation metrics of this step, by which the best checkpoint is chosen. */
  metrics: Record<string, number>;
  /** Rows that the run's log files held. */
  logs?: LogCounts;
}

/** A checkpoint that is not whole: a file of it is missing, short or changed. */
export class TornCheckpointError extends CheckpointError {}

/** Every file below `directory` but the manifest, as "/" paths, sorted by code unit. */
export function listFiles(directory: string): string[] {
  const walk = (folder: string, prefix: string): string[] =>
    readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
      const name = `${prefix}${entry.name}`;
      return entry.isDirectory() ? walk(join(folder, entry.name), `${name}/`) : [name];
    });
  return walk(directory, "")
    .filter((name) => name !== manifestName)
    .sort();
}

export async function hashFile(path: string): Promise<ManifestFile> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    hash.update(chunk as Buffer);
    bytes += (chunk as Buffer).length;
  }
  return { bytes, sha256: hash.digest("hex") };
}

export function manifestText(manifest: Omit<Manifest, "version">): string {
  return `${JSON.stringify({ version, ...manifest }, null, 2)}\n`;
}

/**
 * Reads a checkpoint's manifest and compares it with the files.
 * @param verify "sizes" looks at names and sizes, "hashes" reads every file
 * @throws TornCheckpointError that names the checkpoint and every file that does not fit
 * @throws CheckpointError when another version of rlpt wrote it
 */
export async function readManifest(directory: string, verify: "sizes" | "hashes"): Promise<Manifest> {
  let manifest: Manifest;
  try {
    manifest = JSON.parse(readFileSync(join(directory, manifestName), "utf8")) as Manifest;
  } catch (error) {
    throw new TornCheckpointError(
      `${directory}: ${manifestName} cannot be read: ${describeSystemError(error)}.`,
      {
        cause: error,
      },
    );
  }
  if (manifest?.version !== version || typeof manifest.files !== "object" || manifest.files === null)
    throw new CheckpointError(
      `${directory}: ${manifestName} has version ${manifest?.version}, and this rlpt reads version ${version}.`,
    );
  const faults: string[] = [];
  for (const [name, expected] of Object.entries(manifest.files)) {
    const path = join(directory, name);
    const size = statSync(path, { throwIfNoEntry: false })?.size;
    if (size === undefined) faults.push(`${name} is missing`);
    else if (size !== expected.bytes) faults.push(`${name} has ${size} bytes instead of ${expected.bytes}`);
    else if (verify === "hashes" && (await hashFile(path)).sha256 !== expected.sha256)
      faults.push(`${name} was changed (its SHA-256 differs)`);
  }
  if (faults.length > 0) throw new TornCheckpointError(`${directory}: ${faults.join("; ")}.`);
  return manifest;
}
