import { afterAll, describe, expect, it } from "vitest";
import { createRng } from "../../src/lib/rng.ts";
import { compareSides } from "../../src/report/compare.ts";
import { readSides } from "../../src/report/sides.ts";
import { promptTable, writeRun } from "../helpers/run-files.ts";
import { workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const run = (name: string, right: Record<number, string>, seed = 1) =>
  writeRun(space.path(name), {
    recipe: `seed: ${seed}\n`,
    evaluationPrompts: promptTable(right),
  });
const options = { metric: "accuracy", slice: null } as const;
const repeat = (text: string, times: number) => text.repeat(times);

const good = run("good s1", { 0: repeat("0100", 20), 9: repeat("1101", 20) });
const bad = run("bad s1", { 0: repeat("0100", 20), 9: repeat("0100", 20) });

describe("compareSides", () => {
  it("pairs by prompt, last step against last step", () => {
    const [last] = compareSides(readSides([good, bad]), options);
    expect(last).toMatchObject({
      at: "last",
      meanA: 0.75,
      meanB: 0.25,
      prompts: 80,
      unpaired: 0,
      stepsA: [9],
    });
    expect(last!.difference.mean).toBe(0.5);
    expect(last!.difference.low).toBeGreaterThan(0.35);
    expect(last!.difference.high).toBeLessThan(0.65);
    expect(last!.corrected).toBeLessThan(0.001);
    expect(last!.notes.join()).toContain("not about new seeds");
  });

  it("compares one slice only", () => {
    const [last] = compareSides(readSides([good, bad]), { ...options, slice: "level=1" });
    expect(last).toMatchObject({ prompts: 40, meanA: 0.5, meanB: 0 });
    expect(() => compareSides(readSides([good, bad]), { ...options, slice: "level=7" })).toThrow(
      /slice level=7; it has level=1, level=2/,
    );
  });

  it("chooses the best step where it does not measure: luck at one step is no difference", () => {
    // every step is a coin; the best of 30 on the same prompts would look better than the last by far
    const coin = (seed: number) =>
      Object.fromEntries(
        Array.from({ length: 30 }, (_, step) => [
          step,
          Array.from({ length: 100 }, (_, i) => Number(createRng(seed).fork(step).uniform(i) < 0.5)).join(""),
        ]),
      );
    let sum = 0;
    for (let seed = 0; seed < 20; seed++) {
      const lucky = run(`lucky ${seed}`, coin(seed), seed);
      const still = run(`still ${seed}`, { 0: repeat("10", 50) }, seed);
      const best = compareSides(readSides([lucky, still]), options).find(({ at }) => at === "best")!;
      sum += best.meanA;
    }
    // standard error 0.011; chosen on the same prompts it is above 0.6
    expect(Math.abs(sum / 20 - 0.5)).toBeLessThan(0.035);
  });

  it("joins seeds by commas or a pattern, pairs equal seeds, and corrects for several comparisons", () => {
    const good2 = run("good s2", { 9: repeat("1110", 20) }, 2);
    run("bad s2", { 9: repeat("0101", 20) }, 2);
    const sides = readSides([`${good},${good2}`, space.path("bad s*"), bad]);
    expect(sides.map(({ runs }) => runs.length)).toEqual([2, 2, 1]);
    const all = compareSides(sides, options).filter(({ at }) => at === "last");
    expect(all[0]).toMatchObject({ seedsA: 2, seedsB: 2 });
    expect(all[0]!.difference.method).toBe("two-way");
    expect(all[1]!.difference.method).toBe("prompts");
    const smallest = Math.min(...all.map(({ difference }) => difference.p));
    expect(Math.min(...all.map(({ corrected }) => corrected))).toBeCloseTo(2 * smallest, 12);
  });

  it("says why runs cannot be compared", () => {
    const old = writeRun(space.path("old"), {});
    expect(() => compareSides(readSides([good, old]), options)).toThrow(/old: eval-prompts.csv is missing/);
    expect(() => compareSides(readSides([good, bad]), { ...options, metric: "thinking" })).toThrow(
      /has no thinking/,
    );
    expect(() => readSides([good])).toThrow(/two sides or more/);
    expect(() => readSides([good, space.path("nothing-*")])).toThrow(/no run directory has such a name/);
  });
});
