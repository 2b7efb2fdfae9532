/** Reading files that a person named: a pipe or a device would hang or never end, so only regular files are read. */
import { readFileSync, statSync } from "node:fs";
import { describeSystemError } from "./errors.ts";

/** Why a path is no file that can be read, in words: "it is a pipe"; null where it is one. Opens nothing. */
export function irregularity(path: string, largestBytes = Number.POSITIVE_INFINITY): string | null {
  let stat: ReturnType<typeof statSync>;
  try {
    stat = statSync(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ERR_INVALID_ARG_VALUE") return "no path holds a NUL character";
    if (code === "ELOOP") return "it is a link that leads back to itself";
    return describeSystemError(error);
  }
  if (stat.isDirectory()) return "it is a directory";
  if (stat.isFIFO()) return "it is a pipe, not a file";
  if (stat.isSocket()) return "it is a socket, not a file";
  if (!stat.isFile()) return "it is a device, not a file";
  if (stat.size > largestBytes) {
    return `it has ${stat.size.toLocaleString("en")} bytes, and at most ${largestBytes.toLocaleString("en")} are read`;
  }
  return null;
}

/** Is there a folder? A path that no file can have (too long, a NUL character, below a file) is none. */
export function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** Thrown by {@link readRegularFile}; the message is a reason without a path. */
export class FileReadError extends Error {}

/** @throws FileReadError saying why: missing, a directory, a pipe, a device, too large, no permission */
export function readRegularFile(path: string, largestBytes?: number): Uint8Array {
  const reason = irregularity(path, largestBytes);
  if (reason !== null) throw new FileReadError(reason);
  try {
    return readFileSync(path);
  } catch (error) {
    throw new FileReadError(describeSystemError(error), { cause: error });
  }
}
