import { describe, expect, it } from "vitest";
import {
  harmonicMean,
  pairedDifference,
  summariseArms,
  type TransferRun,
  transferMatrix,
} from "../../src/report/transfer.ts";

const run = (
  arm: string,
  dataset: string,
  seed: number,
  numbers: number[],
  others: Record<string, number>,
): TransferRun => ({
  arm,
  dataset,
  seed,
  base: numbers[0]!,
  fresh: numbers[1]!,
  tokens: numbers[2] ?? 3,
  others,
});

describe("base-to-new tables", () => {
  it("have the harmonic means of the paper", () => {
    const pairs = [
      [81.17, 79.15, 80.147],
      [83.42, 81.88, 82.643],
      [58.09, 69.33, 63.214],
    ] as const;
    for (const [base, fresh, expected] of pairs) expect(harmonicMean(base, fresh)).toBeCloseTo(expected, 3);
    expect(harmonicMean(0, 0)).toBe(0);
  });

  it("take H from the averages, not the average of H", () => {
    const runs = [
      run("a", "D0", 1, [0.9, 0.3], { D1: 0.5, D2: 0.7 }),
      run("a", "D1", 1, [0.5, 0.7], { D0: 0.2, D2: 0.4 }),
      run("b", "D0", 1, [1, 1], { D1: 1, D2: 1 }),
    ];
    const [a, b] = summariseArms(runs);
    expect(a).toMatchObject({ arm: "a", runs: 2, base: 0.7, fresh: 0.5 });
    expect(a!.harmonic).toBeCloseTo((2 * 0.7 * 0.5) / 1.2, 12);
    expect(a!.harmonic).not.toBeCloseTo((harmonicMean(0.9, 0.3) + harmonicMean(0.5, 0.7)) / 2, 3);
    expect(a!.other).toBeCloseTo(0.45, 12);
    expect(b).toMatchObject({ arm: "b", runs: 1, harmonic: 1 });
  });

  it("have a matrix of gains over zero-shot of the same seed, own cell on new classes", () => {
    const zero = [
      run("z", "D0", 1, [0.5, 0.4], { D1: 0.3, D2: 0.2 }),
      run("z", "D0", 2, [0.5, 0.5], { D1: 0.4, D2: 0.2 }),
      run("z", "D1", 1, [0.5, 0.6], { D0: 0.3, D2: 0.2 }),
    ];
    const runs = [
      run("a", "D0", 1, [0.9, 0.6], { D1: 0.4, D2: 0.1 }),
      run("a", "D0", 2, [0.9, 0.6], { D1: 0.4, D2: 0.2 }),
      run("a", "D1", 1, [0.9, 0.5], { D0: 0.4, D2: 0.2 }),
    ];
    const matrix = transferMatrix(runs, zero);
    expect(Object.keys(matrix)).toEqual(["D0", "D1"]);
    expect(Object.keys(matrix["D0"]!)).toEqual(["D0", "D1", "D2"]);
    expect(matrix["D0"]!["D0"]).toBeCloseTo(0.15, 12);
    expect(matrix["D0"]!["D1"]).toBeCloseTo(0.05, 12);
    expect(matrix["D0"]!["D2"]).toBeCloseTo(-0.05, 12);
    expect(matrix["D1"]!["D1"]).toBeCloseTo(-0.1, 12);
    expect(() => transferMatrix(runs, zero.slice(0, 1))).toThrow("no zero-shot run of D0, seed 2");
  });

  it("compare runs of the same dataset and seed", () => {
    const at = (arm: string, dataset: string, seed: number, base: number) =>
      run(arm, dataset, seed, [base, 0], {});
    const first = [
      at("a", "D0", 1, 0.6),
      at("a", "D0", 2, 0.5),
      at("a", "D1", 1, 0.1),
      at("a", "D2", 1, 0.7),
    ];
    const second = [at("b", "D0", 2, 0.6), at("b", "D0", 1, 0.3), at("b", "D2", 1, 0.6)];
    const found = pairedDifference(first, second, ({ base }) => base);
    expect(found).toMatchObject({ larger: 2, pairs: 3 }); // .3, -.1, .1
    expect(found.mean).toBeCloseTo(0.1, 12);
    expect(found.standardError).toBeCloseTo(0.2 / Math.sqrt(3), 12);
  });
});
