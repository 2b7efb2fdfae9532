import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { choiceListSize, drawChoices } from "../../src/data/choices.ts";
import { createRng } from "../../src/lib/rng.ts";

const names = (count: number) => Array.from({ length: count }, (_, i) => `class ${i}`);

describe("choice lists", () => {
  it("have the sizes of the paper's few-shot prompts", () => {
    const sizes = [10, 47, 100, 397, 1000].map((classes) => choiceListSize(classes, 0.4));
    expect(sizes).toEqual([10, 47, 40, 100, 100]);
    // 30 itself is no longer too small
    expect([74, 75].map((classes) => choiceListSize(classes, 0.4))).toEqual([74, 30]);
  });

  it("list 80% in base-to-new prompts", () => {
    const sizes = [37, 38, 50, 500].map((classes) => choiceListSize(classes, 0.8));
    expect(sizes).toEqual([37, 30, 40, 100]);
  });

  it("hold the label once, distinct classes, and the asked number", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.nat(), fc.nat(), (classes, pick, seed) => {
        const all = names(classes);
        const label = all[pick % classes]!;
        const count = 1 + (seed % classes);
        const list = drawChoices(label, all, count, createRng(seed));
        expect(list.filter((name) => name === label)).toHaveLength(1);
        expect(new Set(list).size).toBe(count);
        expect(list).toHaveLength(count);
      }),
    );
  });

  it("put the label anywhere, and every other class as often as any", () => {
    const all = names(8);
    const lists = Array.from({ length: 4000 }, (_, i) =>
      drawChoices("class 3", all, 4, createRng(1).fork(i)),
    );
    const places = [0, 1, 2, 3].map((place) => lists.filter((list) => list[place] === "class 3").length);
    for (const count of places) expect(count / 4000).toBeCloseTo(0.25, 1);
    // the three other places are shared evenly by the seven others
    const share = (name: string) => lists.filter((list) => list.includes(name)).length / 4000;
    for (const name of all.filter((one) => one !== "class 3")) expect(share(name)).toBeCloseTo(3 / 7, 1);
  });

  it("are drawn by the stream alone", () => {
    const draw = (seed: number) => drawChoices("class 5", names(20), 8, createRng(seed));
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
  });

  it("refuse what cannot be drawn", () => {
    expect(() => drawChoices("cat", names(3), 2, createRng(1))).toThrow('"cat" is not one of the classes');
    expect(() => drawChoices("class 1", names(3), 4, createRng(1))).toThrow("a list of 4 from 3 classes");
  });
});
