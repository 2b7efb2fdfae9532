import { z } from "zod";
import type { RewardInput } from "../types.ts";
import { type Detection, meanAveragePrecision } from "./average-precision.ts";
import type { Box } from "./boxes.ts";
import { defineReward, type Judged, type PartOptions } from "./define.ts";
import { extractAnswer } from "./extract.ts";
import { answering } from "./part-options.ts";

const { extract, after, correct } = answering(["last-answer-tag"]);
const COCO = Array.from({ length: 10 }, (_, i) => (50 + 5 * i) / 100);
const shape = {
  extract,
  after,
  correct,
  thresholds: z
    .array(z.number().gt(0).max(1))
    .min(1)
    .default(COCO)
    .describe("overlaps from which a box counts as found; precision is averaged over them. [0.5] is AP50"),
  length_factor: z
    .boolean()
    .default(true)
    .describe(
      "times min(1, gold boxes / written boxes), VLM-R1's odLength: boxes of absent labels cost average precision nothing, and without the factor a policy learns to write ever more of them",
    ),
};
export type BoxMapOptions = PartOptions<typeof shape>;

const FENCE = "```";
/** Boxes of a side that are kept for reports. */
const MOST_DRAWN = 40;

/** Content of the last ```json block. */
function lastBlock(text: string): string | null {
  const open = `${FENCE}json`;
  let found: string | null = null;
  for (let at = text.indexOf(open); at >= 0; ) {
    const end = text.indexOf(FENCE, at + open.length);
    if (end < 0) break;
    found = text.slice(at + open.length, end);
    at = text.indexOf(open, end + FENCE.length);
  }
  return found;
}

/** The list of a JSON text; empty where it is none. */
function readList(json: string | null): unknown[] {
  if (json === null) return [];
  try {
    const value: unknown = JSON.parse(json);
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}

function toDetections(items: readonly unknown[]): Detection[] {
  return items.flatMap((item) => {
    const { bbox_2d: box, label } = (item ?? {}) as { bbox_2d?: unknown; label?: unknown };
    const whole = Array.isArray(box) && box.length === 4 && box.every((one) => Number.isFinite(one));
    return whole && typeof label === "string" ? [{ box: box as unknown as Box, label }] : [];
  });
}

/** The factor that an answer with more boxes than there are loses by. */
export function lengthFactor(golds: number, written: number): number {
  return written <= golds ? 1 : golds / written;
}

/**
 * VLM-R1's detection reward (arXiv:2504.07615, odLength): COCO's mean average precision of the answer's boxes in this one picture, all
 * of the same score, times the length factor. "None" on both sides is 1, as are two empty lists; one empty is 0.
 */
export function boxMapReward(input: RewardInput, options: BoxMapOptions): Judged {
  const goldText = input.answer.trim();
  const golds = goldText === "None" ? [] : readList(lastBlock(goldText) ?? goldText);
  const wanted = toDetections(golds);
  if (
    wanted.length !== golds.length ||
    (golds.length === 0 && !/^(None|\[\s*\])$/.test(lastBlock(goldText)?.trim() ?? goldText))
  ) {
    const note = `the gold answer ${JSON.stringify(goldText.slice(0, 200))} is neither None nor a JSON list of {"bbox_2d": [x1, y1, x2, y2], "label": text}`;
    return { value: 0, status: "error", note };
  }
  const text = extractAnswer(input.completion, { extract: options.extract, after: options.after })?.trim();
  if (text === undefined) return { value: 0, status: "unparsed", right: false, note: "no answer" };
  if (text === "None" && goldText === "None") return { value: 1, status: "ok", right: true, note: "None" };
  const written = readList(lastBlock(text));
  let value = 0;
  if (written.length === 0 || golds.length === 0) value = written.length === golds.length ? 1 : 0;
  else {
    value = meanAveragePrecision(toDetections(written), wanted, options.thresholds);
    if (options.length_factor) value *= lengthFactor(golds.length, written.length);
  }
  const drawn = (list: readonly Detection[]) => list.slice(0, MOST_DRAWN).map(({ box }) => box);
  const boxes = { gold: drawn(wanted), given: drawn(toDetections(written)) };
  const note = `${written.length} boxes of ${golds.length}`;
  return { value, status: "ok", right: value > 1 - 1e-9, note, boxes };
}

const cat = (box: number[], label = "cat") => ({ bbox_2d: box, label });
const two = JSON.stringify([cat([0, 0, 10, 10]), cat([20, 0, 30, 10], "dog")]);
const written = (boxes: object[] | string) =>
  `<answer>${FENCE}json\n${typeof boxes === "string" ? boxes : JSON.stringify(boxes)}\n${FENCE}</answer>`;
const right = [cat([0, 0, 10, 10]), cat([20, 0, 30, 10], "dog")];
export const boxMapKind = defineReward({
  kind: "box-map",
  judges: true,
  options: shape,
  score: boxMapReward,
  cases: [
    { options: {}, input: { answer: two, completion: written(right) }, expect: 1 },
    { options: {}, input: { answer: two, completion: written(right.slice(0, 1)) }, expect: 0.5 },
    // boxes of labels that are not there: free but for the factor
    {
      options: {},
      input: { answer: two, completion: written([...right, cat([0, 0, 1, 1], "bird")]) },
      expect: 2 / 3,
    },
    {
      options: { length_factor: false },
      input: { answer: two, completion: written([...right, cat([0, 0, 1, 1], "bird")]) },
      expect: 1,
    },
    // 9 of 10 columns: found at .5 to .9
    {
      options: {},
      input: { answer: two, completion: written([cat([0, 0, 9, 10]), right[1]!]) },
      expect: 0.95,
    },
    {
      options: { thresholds: [0.5] },
      input: { answer: two, completion: written([cat([0, 0, 6, 10]), right[1]!]) },
      expect: 1,
    },
    { options: {}, input: { answer: "None", completion: "<answer> None </answer>" }, expect: 1 },
    { options: {}, input: { answer: "[]", completion: written([]) }, expect: 1 },
    { options: {}, input: { answer: "[]", completion: written(right) }, expect: 0 },
    { options: {}, input: { answer: two, completion: written([]) }, expect: 0 },
    { options: {}, input: { answer: two, completion: written("[{") }, expect: 0 },
    { options: {}, input: { answer: two, completion: "" }, expect: 0, status: "unparsed" },
    { options: {}, input: { answer: "a cat", completion: written(right) }, expect: 0, status: "error" },
  ],
});
