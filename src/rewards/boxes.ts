/** Boxes in completions: how they are written, and how much two of them overlap. Pure functions. */
import { z } from "zod";

/** x0, y0, x1, y1; ends exclusive. */
export type Box = readonly [number, number, number, number];

/** Options of the parts that read boxes. */
export const boxFormat = {
  format: z
    .enum(["lists", "words"])
    .default("lists")
    .describe(
      "lists: [x1, y1, x2, y2] of whole numbers, in JSON or not, as VLM-R1 asks for; words: four coordinate words and nothing else, such as p2 p1 p5 p3",
    ),
  prefix: z
    .string()
    .min(1)
    .default("p")
    .describe("what a coordinate word begins with, before its number; of format words"),
};
export interface BoxFormat {
  format: "lists" | "words";
  prefix: string;
}

const LIST = /\[(\d{1,9}),\s{0,99}(\d{1,9}),\s{0,99}(\d{1,9}),\s{0,99}(\d{1,9})\]/g;

function wordBoxes(text: string, prefix: string): Box[] | null {
  const words = text.split(/\s+/).filter(Boolean);
  if (words.length % 4 !== 0) return null;
  const numbers = words.map((word) => {
    const digits = word.startsWith(prefix) ? word.slice(prefix.length) : "";
    return /^\d{1,9}$/.test(digits) ? Number(digits) : Number.NaN;
  });
  if (numbers.some(Number.isNaN)) return null;
  return Array.from({ length: numbers.length / 4 }, (_, i) => {
    const [x0, y0, x1, y1] = numbers.slice(4 * i, 4 * i + 4);
    return [x0!, y0!, x1!, y1!];
  });
}

/** All boxes of a text, in order; null where words are not boxes. @param most to look for */
export function readBoxes(
  text: string,
  { format, prefix }: BoxFormat,
  most = Number.POSITIVE_INFINITY,
): Box[] | null {
  if (format === "words") return wordBoxes(text, prefix);
  const boxes: Box[] = [];
  for (const [, x0, y0, x1, y1] of text.matchAll(LIST)) {
    boxes.push([Number(x0), Number(y0), Number(x1), Number(y1)]);
    if (boxes.length >= most) break;
  }
  return boxes;
}

const area = ([x0, y0, x1, y1]: Box): number => Math.max(0, x1 - x0) * Math.max(0, y1 - y0);

/** Intersection over union of areas; 0 where a box is empty. */
export function boxIou(a: Box, b: Box): number {
  const shared = area([
    Math.max(a[0], b[0]),
    Math.max(a[1], b[1]),
    Math.min(a[2], b[2]),
    Math.min(a[3], b[3]),
  ]);
  return shared === 0 ? 0 : shared / (area(a) + area(b) - shared);
}

/**
 * The same as VLM-R1's code has it (om-ai-lab/VLM-R1, qwen_module.py): it works on the last pixels of the intersection and asks for
 * two rows and two columns of them, so that a strip of one pixel counts as none.
 */
export function inclusiveIou(a: Box, b: Box): number {
  const [x0, y0] = [Math.max(a[0], b[0]), Math.max(a[1], b[1])];
  const [x1, y1] = [Math.min(a[2] - 1, b[2] - 1), Math.min(a[3] - 1, b[3] - 1)];
  const shared = x0 < x1 && y0 < y1 ? (x1 - x0 + 1) * (y1 - y0 + 1) : 0;
  return shared === 0 ? 0 : shared / (area(a) + area(b) - shared);
}

/** A box in the pixels of another size. @param from and to, width and height */
export function rescaleBox(
  [x0, y0, x1, y1]: Box,
  from: readonly [number, number],
  to: readonly [number, number],
): Box {
  const [x, y] = [to[0] / from[0], to[1] / from[1]];
  return [x0 * x, y0 * y, x1 * x, y1 * y];
}

/** How many boxes find a gold box of their own, the best overlaps first. */
export function matchedBoxes(boxes: readonly Box[], golds: readonly Box[], threshold: number): number {
  const pairs = boxes
    .flatMap((box, i) => golds.map((gold, j) => ({ i, j, iou: boxIou(box, gold) })))
    .filter(({ iou }) => iou >= threshold)
    .sort((a, b) => b.iou - a.iou);
  const taken = { boxes: new Set<number>(), golds: new Set<number>() };
  for (const { i, j } of pairs) {
    if (taken.boxes.has(i) || taken.golds.has(j)) continue;
    taken.boxes.add(i);
    taken.golds.add(j);
  }
  return taken.boxes.size;
}
