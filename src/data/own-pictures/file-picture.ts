/** A picture that data name by its path. What a stranger's rows can name stays below one folder. */
import { createHash } from "node:crypto";
import { lstatSync, realpathSync, statSync } from "node:fs";
import { isAbsolute, relative, resolve, sep } from "node:path";
import { DataError } from "../../lib/errors.ts";
import { FileReadError, irregularity, readRegularFile } from "../../lib/regular-file.ts";
import type { Picture } from "../../types.ts";

/** Bytes of a picture's file; what is larger is no picture that training looks at. */
export const LARGEST_PICTURE = 64 << 20;

/** A picture with what a prompt's id is made of: the same on every machine, which `id` is not. */
export interface DataPicture extends Picture {
  key: string;
}

/** The folder below which the pictures of a dataset lie. */
export interface PictureRoot {
  /** Absolute. */
  folder: string;
  /** May links lead out of it? */
  followLinks: boolean;
  /** Key that names another folder. */
  option?: string;
}

/** Why a picture cannot be had, as the rest of a sentence that begins with it. */
export class SourceFault extends Error {}

/** Texts of rows in messages: whole where they are short. */
export const quoted = (text: string): string =>
  JSON.stringify(text.length <= 80 ? text : `${text.slice(0, 38)}...${text.slice(-38)}`);

/**
 * Looks at the file, but not into it.
 * @param value a path relative to the root, with / or \ between folders, or an absolute one below it
 * @throws SourceFault where there is no regular file, it is empty or too large, or it lies elsewhere
 */
export function filePicture(value: string, root: PictureRoot): DataPicture {
  if (value.trim() === "") throw new SourceFault("is an empty path");
  if (/^https?:\/\//i.test(value))
    throw new SourceFault(
      "is an address on the network, where training reads nothing: download the picture and give its path",
    );
  const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(value)?.[1];
  if (scheme !== undefined)
    throw new SourceFault(`is an address (${scheme}:), not a path: give the path of a file on this machine`);
  const path = locate(value, root);
  const real = realPath(path);
  if (real !== null && !root.followLinks && outside(realPath(root.folder) ?? root.folder, real))
    throw new SourceFault(
      `is a link that leads out of ${root.folder}: name the folder of the pictures themselves, or set follow_links: true if you trust its links`,
    );
  const reason = irregularity(path, LARGEST_PICTURE);
  if (reason !== null)
    throw new SourceFault(
      isLink(path) && real === null ? "is a link to nothing" : `cannot be read: ${reason}`,
    );
  const { size, mtimeMs } = statSync(path);
  if (size === 0) throw new SourceFault("is an empty file");
  const key = relative(root.folder, path).split(sep).join("/");
  return {
    id: hashOf("file", real ?? path, String(size), String(mtimeMs)),
    name: key,
    key,
    load: () => readPicture(path),
  };
}

/** The absolute path. Data made on Windows write \ between folders; a file whose name holds one comes first. */
function locate(value: string, { folder, option }: PictureRoot): string {
  const inside = (path: string): string => {
    if (outside(folder, path))
      throw new SourceFault(
        `leads out of ${folder}: give a path below it${option === undefined ? "" : `, or name the folder that holds all pictures with ${option}`}`,
      );
    return path;
  };
  const path = resolve(folder, value);
  if (!value.includes("\\") || lstatOf(path) !== null) return inside(path);
  if (/^[a-z]:\\/i.test(value))
    throw new SourceFault(`is a path on another machine: give one below ${folder}`);
  return inside(resolve(folder, value.replaceAll("\\", "/")));
}

function outside(folder: string, path: string): boolean {
  const from = relative(folder, path);
  return from === ".." || from.startsWith(`..${sep}`) || isAbsolute(from);
}

/** Without its links; null where it leads to nothing. */
function realPath(path: string): string | null {
  try {
    return realpathSync.native(path);
  } catch {
    return null;
  }
}

function lstatOf(path: string) {
  try {
    return lstatSync(path);
  } catch {
    return null;
  }
}

const isLink = (path: string): boolean => lstatOf(path)?.isSymbolicLink() === true;

function readPicture(path: string): Uint8Array {
  try {
    return readRegularFile(path, LARGEST_PICTURE);
  } catch (error) {
    if (!(error instanceof FileReadError)) throw error;
    throw new DataError(`${path}: cannot read the picture: ${error.message}.`, { cause: error });
  }
}

/** Unambiguous at the parts' borders. @returns 32 hexadecimal digits */
export function hashOf(...parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 32);
}
