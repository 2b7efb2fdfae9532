import fc from "fast-check";
import { expect, it } from "vitest";
import { completeInput } from "../../src/rewards/cases.ts";
import { repetitionReward } from "../../src/rewards/repetition.ts";

const scoreOf = (completion: string, n: number): number =>
  repetitionReward(completeInput({ completion }), { weight: 1, n, max_penalty: -1 }).value;

it("counts what listing every run of n words counts", () => {
  const word = fc.constantFrom("a", "b", "c", "A", "ab");
  fc.assert(
    fc.property(fc.array(word, { maxLength: 60 }), fc.integer({ min: 1, max: 40 }), (words, n) => {
      const runs = words
        .map((_, i) =>
          words
            .slice(i, i + n)
            .join(" ")
            .toLowerCase(),
        )
        .filter((_, i) => i + n <= words.length);
      const share = runs.length === 0 ? 0 : 1 - new Set(runs).size / runs.length;
      expect(scoreOf(words.join(" "), n)).toBeCloseTo(-share, 12);
    }),
    { numRuns: 500 },
  );
});

it("holds runs of any length without writing them out: these would fill 40 GB", () => {
  const words = Array.from({ length: 200_000 }, (_, i) => `w${i}`);
  expect(scoreOf(words.join(" "), 100_000)).toBe(0);
  expect(scoreOf("same ".repeat(200_000), 100_000)).toBeCloseTo(-1 + 1 / 100_001, 12);
});
