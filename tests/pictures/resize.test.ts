import { expect, it } from "vitest";
import { type Filter, resize } from "../../src/pictures/resize.ts";
import { formula, golden, largestDifference, unpacked } from "./golden.ts";

it.each(golden.resized)(
  "$from to $to by filter $resample, as Pillow",
  ({ k, from, to, resample, every7th }) => {
    const { width, height, data } = resize(formula(...from, k), ...to, resample as Filter);
    expect([width, height, data.length]).toEqual([...to, to[0] * to[1] * 3]);
    expect(
      largestDifference(
        data.filter((_, i) => i % 7 === 0),
        unpacked(every7th),
      ),
    ).toBe(0);
  },
);

it("leaves a picture of the size alone, and one colour as it is", () => {
  const pixels = formula(5, 4, 1);
  expect(resize(pixels, 5, 4, 1)).toBe(pixels);
  const flat = { width: 9, height: 7, data: new Uint8Array(9 * 7 * 3).fill(131) };
  for (const filter of [1, 2, 3, 4] as const)
    expect(new Set(resize(flat, 23, 3, filter).data)).toEqual(new Set([131]));
});

it("halves a row of two pixels by hand", () => {
  // bilinear over four neighbours: weights 1/8, 3/8, 3/8, 1/8, cut at the edges to 3/7, 3/7, 1/7
  const row = {
    width: 4,
    height: 1,
    data: Uint8Array.from([0, 0, 0, 70, 70, 70, 140, 140, 140, 210, 210, 210]),
  };
  expect([...resize(row, 2, 1, 2).data]).toEqual([50, 50, 50, 160, 160, 160]);
});
