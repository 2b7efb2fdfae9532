import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createRng } from "../../src/lib/rng.ts";
import {
  betaQuantile,
  clopperPearson,
  majority,
  passAtK,
  shareInterval,
  studentInterval,
} from "../../src/lib/statistics.ts";

describe("Clopper and Pearson's interval", () => {
  it("matches published values", () => {
    // Newcombe 1998, table I, method 5: 81/263, 15/148, 0/20, 1/29
    for (const [x, n, low, high] of [
      [81, 263, 0.2527, 0.3676],
      [15, 148, 0.0578, 0.1617],
      [0, 20, 0, 0.1684],
      [1, 29, 0.0009, 0.1776],
    ] as const) {
      expect(clopperPearson(x, n).low).toBeCloseTo(low, 4);
      expect(clopperPearson(x, n).high).toBeCloseTo(high, 4);
    }
    expect(clopperPearson(5, 5).high).toBe(1);
    expect(clopperPearson(0, 0)).toEqual({ low: 0, high: 1 });
  });

  it("holds the truth in 95% or more at every share, counted over all outcomes", () => {
    for (const n of [5, 10, 50]) {
      for (let share = 0.005; share < 1; share += 0.005) {
        let covered = 0;
        let chance = (1 - share) ** n;
        for (let x = 0; x <= n; x++) {
          const { low, high } = clopperPearson(x, n);
          if (low <= share && share <= high) covered += chance;
          chance *= ((n - x) / (x + 1)) * (share / (1 - share));
        }
        expect(covered, `n ${n}, share ${share}`).toBeGreaterThan(0.95 - 1e-9);
      }
    }
  });

  it("has beta quantiles, of which some are known on paper", () => {
    expect(betaQuantile(0.3, 1, 1)).toBeCloseTo(0.3, 12);
    expect(betaQuantile(0.025, 20, 1)).toBeCloseTo(0.025 ** (1 / 20), 10);
    expect(betaQuantile(0.5, 3, 3)).toBeCloseTo(0.5, 10);
  });
});

describe("passAtK", () => {
  it("equals counting subsets", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 0, max: 8 }),
        fc.integer({ min: 1, max: 8 }),
        (n, right, size) => {
          const c = Math.min(n, right);
          const k = Math.min(n, size);
          let hit = 0;
          let all = 0;
          for (let mask = 0; mask < 2 ** n; mask++) {
            const members = Array.from({ length: n }, (_, i) => i).filter((i) => mask & (1 << i));
            if (members.length !== k) continue;
            all++;
            if (members.some((i) => i < c)) hit++;
          }
          expect(passAtK(n, c, k)).toBeCloseTo(hit / all, 10);
        },
      ),
    );
    expect(() => passAtK(4, 1, 5)).toThrow(RangeError);
  });
});

describe("the interval of a share by prompt", () => {
  it("is Clopper and Pearson's where every prompt is right or wrong, and near it where almost", () => {
    const answers = Array.from({ length: 40 }, (_, i) => Number(i < 31));
    expect(shareInterval(answers, createRng(1))).toEqual(clopperPearson(31, 40));
    const { low, high } = shareInterval([...answers.slice(1), 1 - 1e-9], createRng(1), 20_000);
    expect(low).toBeCloseTo(clopperPearson(31, 40).low, 2);
    expect(high).toBeCloseTo(clopperPearson(31, 40).high, 2);
  });

  it("is narrower where prompts differ less, and never leaves 0..1", () => {
    const half = Array.from({ length: 40 }, () => 0.5);
    const width = ({ low, high }: { low: number; high: number }) => high - low;
    expect(width(shareInterval(half, createRng(1)))).toBeLessThan(0.6 * width(clopperPearson(20, 40)));
    const high = shareInterval([1, 1, 0.75, 1], createRng(1));
    expect(high.high).toBeLessThanOrEqual(1);
    expect(shareInterval([], createRng(1))).toEqual({ low: 0, high: 1 });
  });
});

it("majority counts votes, shares ties and lets unparsed answers abstain", () => {
  const vote = (text: string, correct = false) => ({ text, correct });
  expect(majority([vote("7", true), vote("7", true), vote("8")])).toBe(1);
  expect(majority([vote("7", true), vote("8"), vote("8")])).toBe(0);
  expect(majority([vote("7", true), vote("8")])).toBe(0.5);
  expect(majority([vote(""), vote(""), vote("7", true)])).toBe(1);
  expect(majority([vote("")])).toBe(0);
});

describe("Student's interval of a mean", () => {
  it("is what R's t.test gives", () => {
    // t.test(c(.121, .212, .171)): mean .168, standard error .0263122, t(.975, 2) = 4.302653
    const { mean, low, high } = studentInterval([0.121, 0.212, 0.171]);
    expect(mean).toBeCloseTo(0.168, 10);
    expect(low).toBeCloseTo(0.168 - 4.302653 * 0.0263122, 5);
    expect(high).toBeCloseTo(0.168 + 4.302653 * 0.0263122, 5);
  });

  it("narrows from 12.7 standard errors at two values to 1.97 at two hundred", () => {
    const two = studentInterval([0, 1]);
    expect(two.high).toBeCloseTo(0.5 + 12.7062 * 0.5, 4);
    const many = Array.from({ length: 200 }, (_, i) => i % 2);
    const error = Math.sqrt(50 / 199) / Math.sqrt(200);
    expect(studentInterval(many).high).toBeCloseTo(0.5 + 1.971957 * error, 6);
  });

  it("says that one value has none", () => {
    expect(studentInterval([0.3])).toEqual({ mean: 0.3, low: -Infinity, high: Infinity });
    expect(studentInterval([]).mean).toBeNaN();
  });
});
