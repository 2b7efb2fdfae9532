import { describe, expect, it } from "vitest";
import { createRng, type Rng } from "../../src/lib/rng.ts";
import { studentInterval, studentTail } from "../../src/lib/statistics.ts";
import { LEVEL, sequentialDesign } from "../../src/report/looks.ts";
import {
  detectableTogether,
  type Effect,
  judge,
  promptEffect,
  type Requirement,
  runEffect,
} from "../../src/report/verdict.ts";
import { differences, sequential, type World } from "../../tools/simulate-verdicts.ts";

const SIMULATIONS = 2000;

/** Shares of the three verdicts over many simulated reproductions. */
function verdictShares(
  simulate: (rng: Rng) => { effect: Effect; requirement: Requirement }[],
  simulations = SIMULATIONS,
) {
  const counts = { SUPPORTED: 0, "NOT SUPPORTED": 0, INCONCLUSIVE: 0 };
  for (let i = 0; i < simulations; i++) counts[judge(simulate(createRng(i))).verdict]++;
  const share = (count: number) => count / simulations;
  return {
    supported: share(counts.SUPPORTED),
    notSupported: share(counts["NOT SUPPORTED"]),
    inconclusive: share(counts.INCONCLUSIVE),
  };
}

const more = { direction: "above", margin: 0 } as const;

const worlds: readonly (World & { seeds: number })[] = [
  { seeds: 3, prompts: 100, luck: 0.04, taste: 0.1 },
  { seeds: 3, prompts: 100, luck: 0, taste: 0 },
  { seeds: 5, prompts: 60, luck: 0.1, taste: 0.1 },
  // three seeds that differ more than their prompts: the weighted mean of both t's covers 90% here
  { seeds: 3, prompts: 60, luck: 0.2, taste: 0 },
];

describe.each(worlds)(
  "the verdict with $seeds seeds, $prompts prompts, luck $luck, taste $taste",
  (world) => {
    const effectOf = (rng: Rng, gain: number) => promptEffect(differences(rng, world.seeds, world, gain), 1);

    it("supports equal arms in at most 5% and refutes them in at most 5%; its intervals cover the truth", () => {
      let covered = 0;
      const { supported, notSupported } = verdictShares((rng) => {
        const effect = effectOf(rng, 0);
        if (effect.low <= 0 && 0 <= effect.high) covered++;
        return [{ effect, requirement: more }];
      });
      expect(supported).toBeLessThanOrEqual(0.05);
      expect(notSupported).toBeLessThanOrEqual(0.05);
      expect(covered / SIMULATIONS).toBeGreaterThan(0.935);
      expect(covered / SIMULATIONS).toBeLessThan(0.985);
    });

    it("supports an effect of twice the detectable one in at least 95%, refutes its opposite as often", () => {
      // what comparisons of equal arms state, on average
      let sum = 0;
      for (let i = 0; i < 200; i++) sum += effectOf(createRng(10_000 + i), 0).detectable;
      const planted = (2 * sum) / 200;
      const shares = (gain: number) =>
        verdictShares((rng) => [{ effect: effectOf(rng, gain), requirement: more }]);
      expect(shares(planted).supported).toBeGreaterThanOrEqual(0.95);
      expect(shares(-planted).notSupported).toBeGreaterThanOrEqual(0.95);
    });
  },
);

describe("seeds until a claim is decided", () => {
  const looks = [3, 5, 8];

  it("spend the error of one look over all of them, and say what the bound finds", () => {
    const { levels, detectable } = sequentialDesign(looks);
    expect(levels.reduce((sum, level) => sum + level, 0)).toBeCloseTo(LEVEL, 12);
    expect(levels[0]).toBeCloseTo((0.025 * 3) / 8, 12);
    // the t of the last level and the t of 80%, 7 degrees of freedom (scipy): 3.0437 and 0.8960, over the root of 8
    expect(studentTail(3.0437, 7) / 2).toBeCloseTo(levels[2]!, 5);
    expect(detectable).toBeCloseTo((3.0437 + 0.896) / Math.sqrt(8), 3);
    expect(sequentialDesign([4]).levels).toEqual([LEVEL]);
    expect(sequentialDesign([1]).detectable).toBe(Number.POSITIVE_INFINITY);
  });

  it("support a claim of nothing in at most 5% over all looks, alone and beside conditions that hold", () => {
    const world = { prompts: 40, luck: 0.15, taste: 0.1 };
    const runs = 300;
    const counts = { alone: 0, beside: 0, found: 0, early: 0 };
    for (let i = 0; i < runs; i++) {
      const rng = createRng(i);
      const at = differences(rng.fork(0), 8, world, 0);
      const sure = differences(rng.fork(1), 8, world, 0.6);
      counts.alone += Number(sequential(looks, [at], 0).verdict === "SUPPORTED");
      counts.beside += Number(sequential(looks, [at, sure], 0).verdict === "SUPPORTED");
      const { verdict, seeds } = sequential(looks, [sure], 0);
      counts.found += Number(verdict === "SUPPORTED");
      counts.early += Number(seeds < 8);
    }
    expect(counts.alone).toBeLessThanOrEqual(0.05 * runs);
    expect(counts.beside).toBeLessThanOrEqual(0.05 * runs);
    expect(counts.found).toBeGreaterThanOrEqual(0.95 * runs);
    expect(counts.early).toBeGreaterThan(0.5 * runs);
  });
});

describe("claims of several conditions", () => {
  const world = { seeds: 3, prompts: 100, luck: 0.04, taste: 0.1 };
  /** Conditions about prompts of their own, with seeds of their own: the worst case for "any one fails". */
  const several = (gains: readonly number[], margin: number) => (rng: Rng) =>
    gains.map((gain, i) => ({
      effect: promptEffect(differences(rng.fork(i), world.seeds, world, gain), 1),
      requirement: { direction: "above" as const, margin },
    }));

  it("are supported by chance less often than a single one, and refuted no more often", () => {
    const { supported, notSupported } = verdictShares(several([0, 0, 0, 0], 0), 1000);
    expect(supported).toBeLessThanOrEqual(0.01);
    expect(notSupported).toBeLessThanOrEqual(0.05);
  });

  it("are refuted in at most 5% where one holds by nothing and the others by far; supported no more", () => {
    const { supported, notSupported } = verdictShares(several([0, 0.5, 0.5], 0), 1000);
    expect(supported).toBeLessThanOrEqual(0.05);
    expect(notSupported).toBeLessThanOrEqual(0.05);
  });

  it("ask for no loss: equal arms pass a margin of twice the detectable difference, a loss of the margin does not", () => {
    let sum = 0;
    for (let i = 0; i < 200; i++) sum += several([0], 0)(createRng(20_000 + i))[0]!.effect.detectable;
    const margin = (-2 * sum) / 200;
    expect(verdictShares(several([0], margin), 1000).supported).toBeGreaterThanOrEqual(0.95);
    let both = 0;
    for (let i = 0; i < 200; i++)
      both += detectableTogether(several([0], 0)(createRng(20_000 + i))[0]!.effect, 2);
    expect(verdictShares(several([0, 0], (-2 * both) / 200), 1000).supported).toBeGreaterThanOrEqual(0.95);
    expect(verdictShares(several([margin], margin), 1000).supported).toBeLessThanOrEqual(0.05);
  });
});

describe("judge", () => {
  const effect = (mean: number, standardError: number, df = 10): Effect => {
    const half = 2.2281 * standardError; // t at 97.5%, 10 degrees of freedom
    return {
      mean,
      level: 0.025,
      low: mean - half,
      high: mean + half,
      standardError,
      df,
      detectable: 0,
      seeds: 3,
      prompts: 9,
    };
  };
  const above = (margin: number): Requirement => ({ direction: "above", margin });
  const verdict = (...claims: [Effect, Requirement][]) =>
    judge(claims.map(([one, requirement]) => ({ effect: one, requirement }))).verdict;

  it("follows the interval, whichever side is asked for", () => {
    expect(verdict([effect(0.1, 0.04), above(0)])).toBe("SUPPORTED");
    expect(verdict([effect(0.1, 0.05), above(0)])).toBe("INCONCLUSIVE");
    expect(verdict([effect(-0.1, 0.04), above(0)])).toBe("NOT SUPPORTED");
    expect(verdict([effect(-0.1, 0.04), { direction: "below", margin: 0 }])).toBe("SUPPORTED");
    expect(verdict([effect(0.1, 0.04), above(0.05)])).toBe("INCONCLUSIVE");
    expect(verdict([effect(-0.01, 0.004), above(-0.02)])).toBe("SUPPORTED");
  });

  it("asks all conditions to hold, and more of the one that fails when there are several", () => {
    const [good, open, bad] = [effect(0.1, 0.04), effect(0.1, 0.05), effect(-0.1, 0.04)];
    expect(verdict([good, above(0)], [good, above(0)])).toBe("SUPPORTED");
    expect(verdict([good, above(0)], [open, above(0)])).toBe("INCONCLUSIVE");
    // t = -2.5 with 10 degrees of freedom: p = 0.0157, beyond 0.025 but not beyond 0.0125
    expect(verdict([bad, above(0)], [good, above(0)])).toBe("INCONCLUSIVE");
    expect(verdict([effect(-0.1, 0.03), above(0)], [good, above(0)])).toBe("NOT SUPPORTED");
  });

  it("knows nothing from one seed, and everything where nothing varies", () => {
    expect(verdict([promptEffect([[1, 1, 1, 1]], 1), above(0)])).toBe("INCONCLUSIVE");
    expect(verdict([runEffect([0.3], 100, 1), above(0)])).toBe("INCONCLUSIVE");
    const same = promptEffect(
      [
        [3, 3, 3],
        [3, 3, 3],
      ],
      null,
    );
    expect(same).toMatchObject({ mean: 3, low: 3, high: 3 });
    expect(verdict([same, above(2)])).toBe("SUPPORTED");
    expect(verdict([same, above(3)])).toBe("INCONCLUSIVE");
    expect(verdict([same, above(4)])).toBe("NOT SUPPORTED");
  });
});

describe("effects", () => {
  it("of 0 thoughts about 200 prompts keep an interval: two pseudo-prompts stand against them", () => {
    const none = Array.from({ length: 3 }, () => Array.from({ length: 200 }, () => 0));
    const { mean, high, df } = promptEffect(none, 1);
    expect(mean).toBe(0);
    expect(df).toBe(199);
    // 1.972 / sqrt(200 * 202), between the Wilson bound .019 and 0
    expect(high).toBeCloseTo(0.00981, 4);
    expect(promptEffect(none, null).high).toBe(0);
  });

  it("by run are Student's t over seeds, with that floor", () => {
    const values = [0.2, 0.25, 0.3];
    const { low, high } = studentInterval(values);
    const effect = runEffect(values, 1000, 1);
    expect(effect.low).toBeCloseTo(low, 3);
    expect(effect.high).toBeCloseTo(high, 3);
    expect(runEffect([0.2, 0.2, 0.2], 1000, 1).standardError).toBeCloseTo(0.000999, 6);
  });
});
