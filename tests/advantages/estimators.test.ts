import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { decoupledAdvantages } from "../../src/advantages/decoupled.ts";
import { keptOfGroup } from "../../src/advantages/filter.ts";
import { groupAdvantages } from "../../src/advantages/group.ts";
import { type AdvantageOptions, advantageOptions } from "../../src/advantages/options.ts";
import { whiten } from "../../src/advantages/whiten.ts";
import { expectEach } from "../helpers/tensors.ts";

interface Golden {
  group: number;
  lengths: number[];
  rewards: number[];
  parts: number[][];
  cases: { name: string; options: Partial<AdvantageOptions>; weights?: number[]; advantages: number[] }[];
}
/** From verl's registered estimators, TRL's equations and MaxRL's: tools/goldens/advantages.py. */
const golden = JSON.parse(readFileSync("tests/golden/advantages.json", "utf8")) as Golden;
const groups = <T>(flat: readonly T[]) =>
  Array.from({ length: flat.length / golden.group }, (_, p) =>
    flat.slice(p * golden.group, (p + 1) * golden.group),
  );

describe("advantage estimators", () => {
  it.each(golden.cases)("$name", ({ options: given, weights, advantages }) => {
    const options = advantageOptions.parse(given);
    const found =
      weights === undefined
        ? groupAdvantages(groups(golden.rewards), options, groups(golden.lengths)).flat()
        : decoupledAdvantages(golden.parts.map(groups), weights, options).flat();
    if (!options.whiten) return expectEach(found, advantages, 1e-9);
    const whitened = whiten(found.map((value, i) => new Float64Array(golden.lengths[i]!).fill(value)));
    // verl divides the squares of its n tokens by n - 1, and adds 1e-8 to the variance
    const tokens = golden.lengths.reduce((sum, length) => sum + length, 0);
    const factor = Math.sqrt((tokens - 1) / tokens);
    expectEach(
      whitened.map((list) => list[0]! * factor),
      advantages,
      1e-6,
    );
  });

  it("of cases there are seven", () => {
    expect(golden.cases.length).toBe(7);
  });

  it("divided by a share of successes take no reward below 0", () => {
    const options = advantageOptions.parse({ scale: "group_mean" });
    expect(() => groupAdvantages([[1, -0.5]], options)).toThrow(/divides by a group's mean reward.*-0.5/);
    // nobody has had success: nothing to learn, and no division by 0
    expect(groupAdvantages([[0, 0]], { ...options, epsilon: 0 })).toEqual([[0, 0]]);
  });

  it("weighted by length ask for lengths", () => {
    const options = advantageOptions.parse({ baseline: "length_weighted" });
    expect(() => groupAdvantages([[1, 0]], options)).toThrow(/tokens of each completion/);
  });

  it("of decoupled parts that are equal are 0", () => {
    expect(decoupledAdvantages([[[1, 1]], [[0, 0]]], [1, 1], advantageOptions.parse({}))).toEqual([[0, 0]]);
  });
});

describe("the filter of a group", () => {
  // by hand: rewards per token 0.5, 0.2, 0, 0.5
  const [rewards, tokens] = [
    [1, 1, 0, 2],
    [2, 5, 1, 4],
  ];
  it("keeps the shortest, or the most reward per token; of equals the first", () => {
    expect(keptOfGroup(rewards, tokens, { keep: 2, by: "length" })).toEqual([true, false, true, false]);
    expect(keptOfGroup(rewards, tokens, { keep: 1, by: "efficiency" })).toEqual([true, false, false, false]);
    expect(keptOfGroup(rewards, tokens, { keep: 3, by: "efficiency" })).toEqual([true, true, false, true]);
    expect(keptOfGroup([0], [3], { keep: 2, by: "length" })).toEqual([true]);
  });
});
