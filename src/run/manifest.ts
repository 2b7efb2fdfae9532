/**
 * manifest.json: what a checkpoint directory must hold. Written last, so a torn directory has none. Its last entry is the digest of all
 * others: a manifest that was changed is told apart from one that never fitted.
 */
import { createHash } from "node:crypto";
import { createReadStream, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { z } from "zod";
import { CheckpointError, describeSystemError } from "../lib/errors.ts";
import type { LogCounts } from "./logs.ts";

export const manifestName = "manifest.json";
export const stateName = "state.json";
const version = 2;
/** Written before manifests had a digest. */
const versionWithoutDigest = 1;

export interface ManifestFile {
  bytes: number;
  /** Hexadecimal SHA-256. */
  sha256: string;
}

export interface Manifest {
  version: typeof version | typeof versionWithoutDigest;
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
  return withDigest({ version, ...manifest });
}

/** Hexadecimal SHA-256 of a text's UTF-8 bytes. */
export function textHash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** JSON text of an object, with the hexadecimal SHA-256 of that text as its last entry, `digest`. */
export function withDigest(content: object): string {
  const digest = createHash("sha256")
    .update(JSON.stringify(content, null, 2))
    .digest("hex");
  return `${JSON.stringify({ ...content, digest }, null, 2)}\n`;
}

/** Is this, to the byte, what withDigest writes? */
export function digestFits(text: string): boolean {
  try {
    const { digest: _digest, ...content } = JSON.parse(text) as Record<string, unknown>;
    return withDigest(content) === text;
  } catch {
    return false;
  }
}

const manifestSchema = z.object({
  step: z.int().min(0),
  files: z.record(
    z.string().refine((name) => !name.split("/").includes("..") && !name.startsWith("/")),
    z.object({ bytes: z.int().min(0), sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
  ),
  metrics: z.record(z.string(), z.number().nullable()),
  logs: z.record(z.string(), z.unknown()).optional(),
});

/** @throws TornCheckpointError, and CheckpointError when another version of rlpt wrote it */
function parseManifest(directory: string, text: string): Manifest {
  const torn = (what: string): never => {
    throw new TornCheckpointError(`${directory}: ${manifestName} ${what}.`);
  };
  let parsed: Record<string, unknown>;
  try {
    parsed = JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    return torn(`cannot be read: ${describeSystemError(error)}`);
  }
  if (typeof parsed !== "object" || parsed === null) return torn("holds no object");
  const { digest, ...manifest } = parsed;
  if (digest !== undefined && !digestFits(text)) return torn("was changed (its digest differs)");
  if (digest === undefined && parsed["version"] === version) return torn("was changed (its digest is gone)");
  if (parsed["version"] !== version && parsed["version"] !== versionWithoutDigest)
    throw new CheckpointError(
      `${directory}: ${manifestName} has version ${parsed["version"]}, and this rlpt reads versions ${versionWithoutDigest} and ${version}.`,
    );
  const checked = manifestSchema.safeParse(manifest);
  if (!checked.success) {
    const { path, message } = checked.error.issues[0]!;
    return torn(`cannot be used: ${path.join(".")}: ${message}`);
  }
  return manifest as unknown as Manifest;
}

/**
 * Reads a checkpoint's manifest and compares it with the files.
 * @param verify "sizes" looks at names and sizes, "hashes" reads every file
 * @throws TornCheckpointError that names the checkpoint and every file that does not fit
 * @throws CheckpointError when another version of rlpt wrote it
 */
export async function readManifest(directory: string, verify: "sizes" | "hashes"): Promise<Manifest> {
  let text: string;
  try {
    text = readFileSync(join(directory, manifestName), "utf8");
  } catch (error) {
    throw new TornCheckpointError(
      `${directory}: ${manifestName} cannot be read: ${describeSystemError(error)}.`,
      {
        cause: error,
      },
    );
  }
  const manifest = parseManifest(directory, text);
  const folder = basename(directory);
  if (/^\d{6,}$/.test(folder) && Number(folder) !== manifest.step)
    throw new TornCheckpointError(
      `${directory}: ${manifestName} is of step ${manifest.step}, and its folder says ${Number(folder)}.`,
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
