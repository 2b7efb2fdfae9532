import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createRng } from "../../src/lib/rng.ts";
import { bootstrapMean, majority, passAtK, studentInterval, wilson } from "../../src/lib/statistics.ts";

describe("wilson", () => {
  it("matches published values", () => {
    // Newcombe 1998, table I, method 3: 81/263, 15/148, 0/20, 1/29
    for (const [x, n, low, high] of [
      [81, 263, 0.2553, 0.3662],
      [15, 148, 0.0624, 0.1605],
      [0, 20, 0, 0.1611],
      [1, 29, 0.0061, 0.1718],
    ] as const) {
      expect(wilson(x, n).low).toBeCloseTo(low, 4);
      expect(wilson(x, n).high).toBeCloseTo(high, 4);
    }
    expect(wilson(5, 5).high).toBe(1);
    expect(wilson(0, 0)).toEqual({ low: 0, high: 1 });
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

describe("bootstrapMean", () => {
  it("covers the truth about 95% of the time", () => {
    let covered = 0;
    for (let trial = 0; trial < 200; trial++) {
      const rng = createRng(trial);
      const values = Array.from({ length: 80 }, (_, i) => (rng.fork("data").uniform(i) < 0.3 ? 1 : 0));
      const { low, high } = bootstrapMean(values, rng.fork("bootstrap"), 300);
      if (low <= 0.3 && 0.3 <= high) covered++;
    }
    expect(covered).toBeGreaterThan(178);
    expect(covered).toBeLessThan(200);
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

  it("narrows from 12.7 standard errors at two values to 1.96 at many", () => {
    const two = studentInterval([0, 1]);
    expect(two.high).toBeCloseTo(0.5 + 12.7062 * 0.5, 4);
    const many = Array.from({ length: 200 }, (_, i) => i % 2);
    const error = Math.sqrt(50 / 199) / Math.sqrt(200);
    expect(studentInterval(many).high).toBeCloseTo(0.5 + 1.959964 * error, 6);
  });

  it("says that one value has none", () => {
    expect(studentInterval([0.3])).toEqual({ mean: 0.3, low: -Infinity, high: Infinity });
    expect(studentInterval([]).mean).toBeNaN();
  });
});
