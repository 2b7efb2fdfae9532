/** thumbnails.jsonl: small copies of the pictures that samples.jsonl names, so that a report shows them when their files are gone. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DataError } from "../lib/errors.ts";
import { thumbnail } from "../pictures/thumbnail.ts";
import type { Picture } from "../types.ts";
import { type AppendLog, openAppendLog } from "./append-log.ts";

export const thumbnailsName = "thumbnails.jsonl";

/** Thumbnails of a run. None has more than 38 KB as a line, so that the file stays below 20 MB. */
export const MAX_THUMBNAILS = 512;
/** Characters of a picture's name that are kept. */
const NAME_CHARS = 200;
/** Of what is left when a stage begins: what it may take at once, and what is spread over its steps. */
const AT_ONCE = 0.1;
const SPREAD = 0.6;
/** A step is left out where fewer of its pictures than this have room. */
const FEWEST = 4;
const EMPTY_DIGEST = createHash("sha256").digest("hex");

/** A line of thumbnails.jsonl; no two have the same id. */
export interface ThumbnailRecord {
  id: string;
  name: string;
  /** Of the picture itself, pixels. */
  width: number;
  height: number;
  /** Step at which it was first shown. */
  step: number;
  /** A PNG file, in base64. */
  png: string;
}

export interface ThumbnailsLog extends Omit<AppendLog, "append"> {
  /**
   * Keeps those of a step that are not kept yet, as far as there is room: it grows with the stage, so that its end is shown
   * as its beginning is. A picture that cannot be read any more is left out.
   * @param progress share of the stage that is done with this step, 0 to 1
   * @param stageStart the last step before this stage
   */
  add(step: number, pictures: readonly Picture[], progress: number, stageStart: number): void;
}

/** Opens the log cut back to `keepRows`; the file comes with its first line. */
export function openThumbnailsLog(runDir: string, keepRows: number): ThumbnailsLog {
  const path = join(runDir, thumbnailsName);
  let log: AppendLog | null = null;
  const open = (keep: number): AppendLog =>
    openAppendLog(path, { quoted: false, header: "", keepRows: keep });
  if (existsSync(path)) log = open(keepRows);
  const kept = new Map<string, number>();
  if (log !== null) for (const { id, step } of readLines(path)) kept.set(id, step);

  return {
    path,
    get rows() {
      return log?.rows ?? 0;
    },
    digest: () => log?.digest() ?? EMPTY_DIGEST,
    add(step, pictures, progress, stageStart) {
      const before = [...kept.values()].filter((one) => one <= stageStart).length;
      const left = roomFor(before, progress) - kept.size;
      const fresh = [...new Map(pictures.map((one) => [one.id, one])).values()].filter(
        ({ id }) => !kept.has(id),
      );
      if (fresh.length === 0 || left < Math.min(fresh.length, FEWEST)) return;
      const lines = fresh.slice(0, left).flatMap((picture) => {
        const record = recordOf(picture, step);
        if (record === null) return [];
        kept.set(picture.id, step);
        return [`${JSON.stringify(record)}\n`];
      });
      if (lines.length === 0) return;
      log ??= open(0);
      log.append(lines.join(""), lines.length);
    },
    sync: () => log?.sync(),
    close: () => log?.close(),
  };
}

/** Thumbnails that there may be after a step. @param before those of earlier stages */
function roomFor(before: number, progress: number): number {
  return (
    before + Math.floor((MAX_THUMBNAILS - before) * (AT_ONCE * (progress < 1 ? 1 : 2) + SPREAD * progress))
  );
}

function recordOf(picture: Picture, step: number): ThumbnailRecord | null {
  try {
    const { width, height, png } = thumbnail(picture);
    const name = picture.name.slice(0, NAME_CHARS);
    return { id: picture.id, name, width, height, step, png: Buffer.from(png).toString("base64") };
  } catch (error) {
    if (error instanceof DataError) return null;
    throw error;
  }
}

function readLines(path: string): Pick<ThumbnailRecord, "id" | "step">[] {
  return readFileSync(path, "utf8")
    .split("\n")
    .flatMap((line) => {
      try {
        const { id, step } = JSON.parse(line) as Partial<ThumbnailRecord>;
        return typeof id === "string" && typeof step === "number" ? [{ id, step }] : [];
      } catch {
        return [];
      }
    });
}
