import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Detection, meanAveragePrecision } from "../../src/rewards/average-precision.ts";
import { boxFormatReward } from "../../src/rewards/box-format.ts";
import { boxIouKind, boxIouReward } from "../../src/rewards/box-iou.ts";
import { boxMapKind, boxMapReward, lengthFactor } from "../../src/rewards/box-map.ts";
import { boxPrecisionRecallKind, boxPrecisionRecallReward } from "../../src/rewards/box-precision-recall.ts";
import {
  type Box,
  boxIou,
  inclusiveIou,
  matchedBoxes,
  readBoxes,
  rescaleBox,
} from "../../src/rewards/boxes.ts";
import { completeInput } from "../../src/rewards/cases.ts";
import {
  lookUncertainty,
  lookUncertaintyKind,
  lookUncertaintyRewards,
  namedCells,
} from "../../src/rewards/look-uncertainty.ts";
import { tagFormat, tagFormatReward } from "../../src/rewards/tag-format.ts";

/** tools/goldens/boxes.py */
const golden = JSON.parse(
  readFileSync(new URL("../golden/pictures/boxes.json", import.meta.url), "utf8"),
) as {
  cases: { found: Detection[]; golds: Detection[]; map: number; ap50: number }[];
};
const COCO = Array.from({ length: 10 }, (_, i) => 0.5 + 0.05 * i);

describe("overlap", () => {
  it("as VLM-R1's code computes it: the card's vectors", () => {
    const ten: Box = [0, 0, 10, 10];
    expect(inclusiveIou(ten, ten)).toBe(1);
    expect(inclusiveIou(ten, [5, 5, 15, 15])).toBeCloseTo(0.142857, 6);
    expect(inclusiveIou(ten, [8, 0, 18, 10])).toBeCloseTo(0.111111, 6);
    // a strip of one pixel counts as none, which the plain overlap does not say
    expect(inclusiveIou(ten, [9, 0, 19, 10])).toBe(0);
    expect(boxIou(ten, [9, 0, 19, 10])).toBeCloseTo(10 / 190, 12);
    expect(inclusiveIou(ten, [10, 10, 20, 20])).toBe(0);
    expect(boxIou(ten, [10, 10, 20, 20])).toBe(0);
  });

  it("is 0 with an empty or turned box, and never more than 1", () => {
    for (const iou of [boxIou, inclusiveIou]) {
      expect(iou([0, 0, 10, 10], [5, 5, 5, 9])).toBe(0);
      expect(iou([10, 10, 0, 0], [10, 10, 0, 0])).toBe(0);
      expect(iou([0, 0, 0, 0], [0, 0, 0, 0])).toBe(0);
    }
  });

  it("in another size: the card's vector", () => {
    expect(rescaleBox([14, 28, 70, 84], [140, 140], [280, 280])).toEqual([28, 56, 140, 168]);
    expect(rescaleBox([14, 28, 70, 84], [140, 280], [280, 280])).toEqual([28, 28, 140, 84]);
  });

  it("matches the best pairs first, each box once", () => {
    // the first box overlaps both golds; with the first of them it would leave the second box none
    const golds: Box[] = [
      [0, 0, 10, 10],
      [2, 0, 12, 10],
    ];
    expect(
      matchedBoxes(
        [
          [2, 0, 12, 10],
          [0, 0, 7, 10],
        ],
        golds,
        0.5,
      ),
    ).toBe(2);
    expect(
      matchedBoxes(
        [
          [0, 0, 10, 10],
          [0, 0, 10, 10],
        ],
        golds.slice(0, 1),
        0.5,
      ),
    ).toBe(1);
  });
});

describe("boxes in a text", () => {
  it("are lists of four whole numbers, or coordinate words", () => {
    const lists = { format: "lists", prefix: "p" } as const;
    expect(readBoxes('{"a": [1, 2,3, 4], "b": [[5,6,7,8]]}', lists)).toEqual([
      [1, 2, 3, 4],
      [5, 6, 7, 8],
    ]);
    expect(readBoxes("[1,2,3] [-1,2,3,4] [1.5,2,3,4] (1,2,3,4)", lists)).toEqual([]);
    const words = { format: "words", prefix: "c" } as const;
    expect(readBoxes("c0 c1  c2\nc30", words)).toEqual([[0, 1, 2, 30]]);
    expect(readBoxes("c0 c1 c2", words)).toBeNull();
    expect(readBoxes("c0 c1 c2 p3", words)).toBeNull();
  });
});

describe("mean average precision", () => {
  it("equals pycocotools'", () => {
    expect(golden.cases).toHaveLength(120);
    for (const { found, golds, map, ap50 } of golden.cases) {
      expect(meanAveragePrecision(found, golds, COCO)).toBeCloseTo(map, 9);
      expect(meanAveragePrecision(found, golds, [0.5])).toBeCloseTo(ap50, 9);
    }
    // the cases are no trivial ones
    expect(golden.cases.filter(({ map }) => map > 0.05 && map < 0.95).length).toBeGreaterThan(80);
  });

  it("has VLM-R1's length factor: the card's vectors", () => {
    const factors = [1, 2, 3, 8].map((written) => lengthFactor(2, written));
    for (const [i, want] of [1, 1, 0.666667, 0.25].entries()) expect(factors[i]).toBeCloseTo(want, 6);
    for (const [i, want] of [0.6, 0.6, 0.4, 0.15].entries()) expect(0.6 * factors[i]!).toBeCloseTo(want, 12);
  });

  it("counts every written item in the factor, whole or not", () => {
    const box = { bbox_2d: [0, 0, 10, 10], label: "cat" };
    const options = boxMapKind.options.parse({ kind: "box-map" });
    const value = (items: unknown[]) =>
      boxMapReward(
        completeInput({
          answer: JSON.stringify([box]),
          completion: `<answer>\`\`\`json${JSON.stringify(items)}\`\`\`</answer>`,
        }),
        options,
      ).value;
    expect(value([box])).toBeCloseTo(1, 12);
    expect(value([box, "no box"])).toBeCloseTo(1 / 2, 12);
    expect(value([box, { ...box, label: "dog" }, null, { bbox_2d: "x" }])).toBeCloseTo(1 / 4, 12);
  });
});

describe("DIP-R1's stand-ins: the card's vectors", () => {
  it("format", () => {
    const options = tagFormat.options.parse({
      kind: "tag-format",
      tags: ["think", "look", "answer"],
      nonempty: ["think", "look", "answer"],
    });
    const value = (completion: string) => tagFormatReward(completeInput({ completion }), options).value;
    expect(value("<think>a</think><look>3</look><answer>b</answer>")).toBe(1);
    expect(value("<look>3</look><think>a</think><answer>b</answer>")).toBe(0);
    expect(value("<think>a</think><answer>b</answer>")).toBe(0);
    expect(value("<think>a</think><look></look><answer>b</answer>")).toBe(0);
  });

  it("look: mean uncertainty of the named cells over the group", () => {
    const covered = [[1, 2], [1, 3], [1, 2], [1]].map((cells) => new Set(cells));
    const value = (named: number[], leaveOwnOut = false) =>
      lookUncertainty(
        covered.map((cells, i) => ({ named: i === 0 ? named : [], covered: cells })),
        leaveOwnOut,
      )[0];
    expect(value([2])).toBe(1);
    expect(value([3])).toBe(0.75);
    expect(value([1])).toBe(0);
    expect(value([2, 3])).toBe(0.875);
    expect(value([1, 9])).toBe(0);
    expect(value([])).toBe(0);
    // of the three others one covers cell 2
    expect(value([2], true)).toBeCloseTo((4 * 1 * 2) / 9, 12);
  });

  it("look: completions belong to a group by their prompt's fields, whatever stands between them", () => {
    const options = lookUncertaintyKind.options.parse({ kind: "look-uncertainty", grid: 4, cell: 8 });
    const [one, other] = [{ id: 1 }, { id: 2 }];
    const input = (fields: object, look: string, box: string) =>
      completeInput({
        fields: fields as Record<string, unknown>,
        completion: `<look>${look}</look><answer>${box}</answer>`,
      });
    const values = lookUncertaintyRewards(
      [
        input(one, "cell 0", "[0,0,8,8]"), // covers cell 0
        input(other, "0", "[0,0,8,8]"),
        input(one, "0 and 5", "[8,8,16,16]"), // covers cell 5
        input(other, "0", "[0,0,12,9]"), // less than half of the next cells: their middles are outside
      ],
      options,
    ).map(({ value }) => value);
    expect(values).toEqual([1, 0, 1, 0]);
    expect(namedCells("<look>7, 7 8</look><look>9</look>")).toEqual([7, 8]);
    expect(namedCells("<look>7</look><think> p4 p1 </think><think>2</think>", "think")).toEqual([4, 1]);
  });
});

it("texts of 200,000 characters are read at once", () => {
  const bits = [
    "[1,",
    "[1, 2, 3, 4]",
    "<answer>",
    "</think> ",
    "</think>   \n",
    "{",
    "}",
    "[",
    "p1 ",
    "```json",
    "<look>1",
    "9",
  ];
  const hostile = bits.flatMap((bit) => {
    const text = bit.repeat(Math.ceil(200_000 / bit.length));
    return [text, `<think>${text}</think><look>${text}</look><answer>${text}</answer>`];
  });
  const options = {
    iou: boxIouKind.options.parse({ kind: "box-iou" }),
    words: boxIouKind.options.parse({ kind: "box-iou", format: "words", extract: "whole" }),
    map: boxMapKind.options.parse({ kind: "box-map" }),
    recall: boxPrecisionRecallKind.options.parse({ kind: "box-precision-recall" }),
    look: lookUncertaintyKind.options.parse({ kind: "look-uncertainty", grid: 64 }),
  };
  for (const completion of hostile) {
    const start = performance.now();
    const input = completeInput({ completion, answer: "[0, 0, 5, 5]" });
    boxIouReward(input, options.iou);
    boxIouReward({ ...input, answer: "p0 p0 p1 p1" }, options.words);
    boxMapReward({ ...input, answer: "[]" }, options.map);
    boxPrecisionRecallReward(input, options.recall);
    boxFormatReward(input);
    lookUncertaintyRewards([input, input], options.look);
    expect(performance.now() - start).toBeLessThan(3000);
  }
});
