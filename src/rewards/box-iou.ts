import { z } from "zod";
import type { RewardInput } from "../types.ts";
import { type Box, boxFormat, boxIou, inclusiveIou, readBoxes, rescaleBox } from "./boxes.ts";
import { defineReward, type Judged, type PartOptions } from "./define.ts";
import { extractAnswer } from "./extract.ts";
import { answering } from "./part-options.ts";

const { extract, after, correct } = answering(["first-answer-tag"]);
const column = z.string().min(1).optional();
const shape = {
  ...boxFormat,
  extract,
  after,
  correct,
  hit: z
    .number()
    .gt(0)
    .max(1)
    .default(0.5)
    .describe("overlap from which an answer counts as right in accuracy; the value stays the overlap"),
  overlap: z
    .enum(["area", "inclusive"])
    .default("area")
    .describe(
      "area: intersection over union; inclusive: as VLM-R1's code computes it, where an overlap of one pixel's width counts as 0",
    ),
  input_size: column.describe(
    "column with [width, height] that the model saw the picture at; its box is brought to image_size first",
  ),
  image_size: column.describe(
    "column with [width, height] that the gold box counts in; without input_size it tells reports alone, which draw boxes over the picture: its pixels when absent",
  ),
};
export type BoxIouOptions = PartOptions<typeof shape>;

/** @throws TypeError for a column that holds no size */
function sizeIn(fields: RewardInput["fields"], name: string): [number, number] {
  const value = fields[name];
  if (
    Array.isArray(value) &&
    value.length === 2 &&
    value.every((one) => typeof one === "number" && one > 0)
  ) {
    return value as [number, number];
  }
  throw new TypeError(
    `column ${name} holds ${JSON.stringify(value) ?? "nothing"}, and a size is [width, height]`,
  );
}

/** VLM-R1's box reward (arXiv:2504.07615): intersection over union of the completion's first box with the gold one; none: 0. */
export function boxIouReward(input: RewardInput, options: BoxIouOptions): Judged {
  const golds = readBoxes(input.answer, options) ?? [];
  if (golds.length !== 1) {
    const note = `the gold answer ${JSON.stringify(input.answer.slice(0, 200))} is not one box of format ${options.format}`;
    return { value: 0, status: "error", note };
  }
  const { fields } = input;
  const size = options.image_size === undefined ? null : sizeIn(fields, options.image_size);
  const of = size === null ? {} : { of: size };
  const text = extractAnswer(input.completion, { extract: options.extract, after: options.after });
  const found = text === null ? null : readBoxes(text, options, 1);
  if (found === null || found.length === 0 || (options.format === "words" && found.length > 1)) {
    return {
      value: 0,
      status: "unparsed",
      right: false,
      note: "no box",
      boxes: { gold: golds, given: [], ...of },
    };
  }
  let box: Box = found[0]!;
  if (options.input_size !== undefined && size !== null) {
    box = rescaleBox(box, sizeIn(fields, options.input_size), size);
  }
  const value = (options.overlap === "area" ? boxIou : inclusiveIou)(box, golds[0]!);
  const boxes = { gold: golds, given: [box], ...of };
  return { value, status: "ok", right: value >= options.hit, note: box.join(" "), boxes };
}

const gold = { answer: "[0, 0, 10, 10]" };
const tagged = (box: string) => ({
  ...gold,
  completion: `<think>a</think><answer>{"bbox": ${box}}</answer>`,
});
const words = { format: "words", extract: "whole" };
export const boxIouKind = defineReward({
  kind: "box-iou",
  judges: true,
  options: shape,
  check: ({ input_size, image_size }, fault) => {
    if (input_size !== undefined && image_size === undefined) {
      fault("input_size", "a box is brought from one size to another; give image_size too, or neither");
    }
  },
  score: boxIouReward,
  cases: [
    { options: {}, input: tagged("[0, 0, 10, 10]"), expect: 1 },
    { options: {}, input: tagged("[5, 5, 15, 15]"), expect: 0.142857 },
    { options: {}, input: tagged("[9, 0, 19, 10]"), expect: 0.0526316 },
    { options: { overlap: "inclusive" }, input: tagged("[5, 5, 15, 15]"), expect: 0.142857 },
    { options: { overlap: "inclusive" }, input: tagged("[8, 0, 18, 10]"), expect: 0.111111 },
    { options: { overlap: "inclusive" }, input: tagged("[9, 0, 19, 10]"), expect: 0 },
    { options: { overlap: "inclusive" }, input: tagged("[10, 10, 20, 20]"), expect: 0 },
    { options: {}, input: tagged("[9, 9, 0, 0]"), expect: 0 },
    { options: {}, input: tagged("[0.5, 0, 10, 10]"), expect: 0, status: "unparsed" },
    { options: {}, input: { ...gold, completion: "[0, 0, 10, 10]" }, expect: 0, status: "unparsed" },
    { options: {}, input: { ...gold, completion: "" }, expect: 0, status: "unparsed" },
    { options: { extract: "whole" }, input: { ...gold, completion: "at [0,0,10,10]" }, expect: 1 },
    { options: {}, input: { ...tagged("[0, 0, 10, 10]"), answer: "here" }, expect: 0, status: "error" },
    {
      options: { input_size: "seen", image_size: "full" },
      input: {
        answer: "[28, 56, 140, 168]",
        fields: { seen: [140, 140], full: [280, 280] },
        completion: "<answer>[14, 28, 70, 84]</answer>",
      },
      expect: 1,
    },
    {
      options: { input_size: "seen", image_size: "full" },
      input: tagged("[0, 0, 10, 10]"),
      expect: 0,
      status: "error",
    },
    { options: words, input: { answer: "p2 p1 p5 p3", completion: "p2 p1 p5 p3" }, expect: 1 },
    { options: words, input: { answer: "p2 p1 p5 p3", completion: "p3 p1 p5 p3" }, expect: 0.666667 },
    { options: words, input: { answer: "p2 p1 p5 p3", completion: "p5 p1 p2 p3" }, expect: 0 },
    {
      options: words,
      input: { answer: "p2 p1 p5 p3", completion: "p2 p1 p5" },
      expect: 0,
      status: "unparsed",
    },
    {
      options: words,
      input: { answer: "p2 p1 p5 p3", completion: "p2 p1 p5 p3 p2 p1 p5 p3" },
      expect: 0,
      status: "unparsed",
    },
    {
      options: words,
      input: { answer: "p2 p1 p5 p3", completion: "red p1 p5 p3" },
      expect: 0,
      status: "unparsed",
    },
  ],
});
