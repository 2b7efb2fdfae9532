import { z } from "zod";
import type { RewardInput } from "../types.ts";
import { boxFormat, matchedBoxes, readBoxes } from "./boxes.ts";
import { defineReward, type Judged, type PartOptions } from "./define.ts";
import { extractAnswer } from "./extract.ts";
import { answering } from "./part-options.ts";

const { extract, after, correct } = answering(["first-answer-tag"]);
const shape = {
  ...boxFormat,
  extract,
  after,
  correct,
  iou: z.number().gt(0).max(1).default(0.5).describe("overlap from which a box finds a gold one"),
  precision_weight: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe("share of precision in the value; the rest is recall"),
  max_boxes: z
    .int()
    .min(1)
    .default(100)
    .describe("an answer of more boxes has the value 0: beside precision nothing holds their number down"),
};
/** Boxes of a side that are kept for reports. */
const MOST_DRAWN = 40;
export type BoxPrecisionRecallOptions = PartOptions<typeof shape>;

/**
 * a * precision + (1 - a) * recall of the answer's boxes; none: 0. A stand-in: DIP-R1 (arXiv:2505.23179) names a weighted precision
 * and recall, and its formula, weight and threshold were not found.
 */
export function boxPrecisionRecallReward(input: RewardInput, options: BoxPrecisionRecallOptions): Judged {
  const golds = readBoxes(input.answer, options) ?? [];
  if (golds.length === 0) {
    const note = `the gold answer ${JSON.stringify(input.answer.slice(0, 200))} holds no box of format ${options.format}`;
    return { value: 0, status: "error", note };
  }
  const text = extractAnswer(input.completion, { extract: options.extract, after: options.after });
  const boxes = text === null ? null : readBoxes(text, options, options.max_boxes + 1);
  if (boxes === null || boxes.length === 0) {
    const shown = { gold: golds.slice(0, MOST_DRAWN), given: [] };
    return { value: 0, status: "unparsed", right: false, note: "no box", boxes: shown };
  }
  if (boxes.length > options.max_boxes) {
    return { value: 0, status: "ok", right: false, note: `more than ${options.max_boxes} boxes` };
  }
  const matched = matchedBoxes(boxes, golds, options.iou);
  const [precision, recall] = [matched / boxes.length, matched / golds.length];
  return {
    value: options.precision_weight * precision + (1 - options.precision_weight) * recall,
    status: "ok",
    right: matched === boxes.length && matched === golds.length,
    note: `precision ${precision.toFixed(3)}, recall ${recall.toFixed(3)}`,
    boxes: { gold: golds.slice(0, MOST_DRAWN), given: boxes.slice(0, MOST_DRAWN) },
  };
}

const places = ["[0,0,10,10]", "[20,0,30,10]", "[40,0,50,10]", "[60,0,70,10]"];
const answer = places.join(", ");
const says = (boxes: readonly string[]) => ({ answer, completion: `<answer>${boxes.join(", ")}</answer>` });
const far = (i: number) => `[${100 * i},500,${100 * i + 10},510]`;
export const boxPrecisionRecallKind = defineReward({
  kind: "box-precision-recall",
  judges: true,
  options: shape,
  score: boxPrecisionRecallReward,
  cases: [
    { options: {}, input: says(places), expect: 1 },
    { options: {}, input: says(places.slice(0, 2)), expect: 0.75 },
    { options: { precision_weight: 0.3 }, input: says(places.slice(0, 2)), expect: 0.65 },
    { options: {}, input: says([places[0]!, "[21,0,31,10]", far(1)]), expect: 0.583333 },
    { options: {}, input: says([far(1), far(2), far(3)]), expect: 0 },
    { options: {}, input: says([]), expect: 0, status: "unparsed" },
    { options: {}, input: says([...places, ...Array.from({ length: 12 }, (_, i) => far(i))]), expect: 0.625 },
    {
      options: { max_boxes: 15 },
      input: says([...places, ...Array.from({ length: 12 }, (_, i) => far(i))]),
      expect: 0,
    },
    // one gold box is found once
    { options: {}, input: says([places[0]!, places[0]!]), expect: 0.375 },
    {
      options: {},
      input: { answer: "", completion: "<answer>[0,0,1,1]</answer>" },
      expect: 0,
      status: "error",
    },
    {
      options: { format: "words" },
      input: { answer: "p0 p0 p2 p2 p4 p4 p6 p6", completion: "<answer> p4 p4 p6 p6 </answer>" },
      expect: 0.75,
    },
  ],
});
