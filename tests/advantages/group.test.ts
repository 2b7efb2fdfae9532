import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { groupAdvantages } from "../../src/advantages/group.ts";
import { type AdvantageOptions, advantageOptions } from "../../src/advantages/options.ts";

const options = (extra: Partial<AdvantageOptions> = {}) => advantageOptions.parse(extra);
const close = (actual: readonly number[], expected: readonly number[], digits = 6) => {
  expect(actual.length).toBe(expected.length);
  for (const [i, value] of actual.entries()) expect(value).toBeCloseTo(expected[i]!, digits);
};

const BASELINES = ["group_mean", "leave_one_out"] as const;
const SCALES = ["group_std", "batch_std", "none"] as const;
const rewardGroups = fc.array(fc.array(fc.integer({ min: -4, max: 4 }), { minLength: 4, maxLength: 4 }), {
  minLength: 1,
  maxLength: 5,
});

describe("group advantages", () => {
  it("match values worked out by hand", () => {
    // mean 0.25, squares 0.75: sample std sqrt(0.25) = 0.5, population std sqrt(0.1875)
    close(groupAdvantages([[1, 0, 0, 0]], options({ epsilon: 0 }))[0]!, [1.5, -0.5, -0.5, -0.5]);
    close(
      groupAdvantages([[1, 0, 0, 0]], options({ epsilon: 0, std: "population" }))[0]!,
      [1.7320508, -0.5773503, -0.5773503, -0.5773503],
    );
    close(
      groupAdvantages([[1, 0, 0, 0]], options())[0]!,
      [1.49970006, -0.49990002, -0.49990002, -0.49990002],
    );
    close(groupAdvantages([[1, 0, 0, 0]], options({ scale: "none" }))[0]!, [0.75, -0.25, -0.25, -0.25]);
    close(groupAdvantages([[1, 0, 0, 0]], options({ scale: "none", baseline: "leave_one_out" }))[0]!, [
      1,
      -1 / 3,
      -1 / 3,
      -1 / 3,
    ]);
    close(groupAdvantages([[2, 1]], options({ scale: "none", baseline: "none" }))[0]!, [2, 1]);
    // batch std over 1 0 1 1: sample 0.5
    const both = groupAdvantages(
      [
        [1, 0],
        [1, 1],
      ],
      options({ scale: "batch_std", epsilon: 0 }),
    );
    close(both[0]!, [1, -1]);
    close(both[1]!, [0, 0]);
  });

  it("sum to zero in a group, ignore a shift, follow a permutation", () => {
    fc.assert(
      fc.property(
        rewardGroups,
        fc.constantFrom(...BASELINES),
        fc.constantFrom(...SCALES),
        fc.integer({ min: -9, max: 9 }),
        (rewards, baseline, scale, shift) => {
          const o = options({ baseline, scale });
          const advantages = groupAdvantages(rewards, o);
          const shifted = groupAdvantages(
            rewards.map((group) => group.map((r) => r + shift)),
            o,
          );
          const reversed = groupAdvantages(
            rewards.map((group) => group.toReversed()),
            o,
          );
          for (const [p, group] of advantages.entries()) {
            expect(Math.abs(group.reduce((a, b) => a + b, 0))).toBeLessThan(1e-6);
            close(shifted[p]!, group);
            close(reversed[p]!, group.toReversed());
          }
        },
      ),
    );
  });

  it("are exactly 0 in a group of equal rewards, never NaN", () => {
    for (const scale of SCALES) {
      for (const baseline of BASELINES) {
        expect(groupAdvantages([[0.1, 0.1, 0.1]], options({ scale, baseline, epsilon: 0 }))[0]).toEqual([
          0, 0, 0,
        ]);
      }
    }
  });

  it("refuse what they cannot compare", () => {
    expect(() => groupAdvantages([[1]], options())).toThrow(/group 0 has 1 completion/);
    expect(() => groupAdvantages([[1, Number.NaN]], options())).toThrow(/NaN in group 0/);
  });
});
