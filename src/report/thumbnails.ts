/** The small copies of pictures that a run kept. They are shown as they are: of a PNG its header alone is looked at. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { thumbnailsName } from "../run/thumbnails.ts";
import type { ShownPicture } from "./document.ts";
import { thumbnailShape } from "./json-shapes.ts";
import { type RunFiles, readText } from "./read-run.ts";

/** Pixels of a side; a run writes 96 at most. */
const LARGEST_SIDE = 256;

/** By picture id; empty where the run kept none, or its file cannot be read. */
export function readThumbnails({ directory, samples }: RunFiles): ReadonlyMap<string, ShownPicture> {
  const path = join(directory, thumbnailsName);
  const wanted = new Set(samples.flatMap(({ pictures }) => pictures ?? []));
  if (wanted.size === 0 || !existsSync(path)) return new Map();
  return readText(path, (text) => new Map(text.split("\n").flatMap((line) => readLine(line, wanted))));
}

function readLine(line: string, wanted: ReadonlySet<string>): [string, ShownPicture][] {
  try {
    const { id, ...picture } = thumbnailShape.parse(JSON.parse(line));
    return wanted.has(id) && isSmallPng(picture.png) ? [[id, picture]] : [];
  } catch {
    // a torn last line, or one that somebody else wrote
    return [];
  }
}

function isSmallPng(base64: string): boolean {
  const start = Buffer.from(base64.slice(0, 32), "base64");
  if (start.length < 24 || start.toString("latin1", 0, 16) !== "\x89PNG\r\n\x1a\n\0\0\0\rIHDR") return false;
  const [width, height] = [start.readUInt32BE(16), start.readUInt32BE(20)];
  return width > 0 && height > 0 && width <= LARGEST_SIDE && height <= LARGEST_SIDE;
}
