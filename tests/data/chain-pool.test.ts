import { describe, expect, it } from "vitest";
import { chainSource } from "../../src/data/chain.ts";
import { chainOptions } from "../../src/data/chain-options.ts";
import { poolCounts } from "../../src/data/chain-pool.ts";

const options = (extra: object) => chainOptions.parse({ kind: "chain", size: 256, ...extra });
const mixed = { easy: 0.4, learnable: 0.25, mislabelled: 0.35 };
const all = (extra: object) => {
  const source = chainSource(options(extra), "train", 1);
  return Array.from({ length: source.size! }, (_, i) => source.at(i));
};

/** Left to right, mod 10, on the fields rather than the text. */
function solve(fields: Readonly<Record<string, unknown>>): number {
  const operands = fields["operands"] as number[];
  return (fields["operators"] as string[]).reduce((value, operator, i) => {
    const operand = operands[i + 1]!;
    const result = operator === "+" ? value + operand : operator === "-" ? value - operand : value * operand;
    return (result + 100) % 10;
  }, operands[0]!);
}

describe("chain pools", () => {
  it("have the exact shares, rounded to the largest remainders", () => {
    const none = { easy: 0, learnable: 0, mislabelled: 0, too_hard: 0 };
    expect(poolCounts({ ...none, ...mixed }, 256)).toEqual({
      easy: 102,
      learnable: 64,
      mislabelled: 90,
      too_hard: 0,
    });
    expect(poolCounts({ ...none, easy: 0.5, learnable: 0.5 }, 3)).toEqual({ ...none, easy: 2, learnable: 1 });
    const kinds = all({ pool: mixed }).map(({ slices }) => slices["kind"]);
    expect(kinds.filter((kind) => kind === "mislabelled").length).toBe(90);
    expect(kinds.filter((kind) => kind === "easy").length).toBe(102);
    // mixed, not in blocks: every quarter of the pool holds each kind
    for (let q = 0; q < 4; q++) expect(new Set(kinds.slice(64 * q, 64 * q + 64)).size).toBe(3);
  });

  it("label the mislabelled wrongly and all others rightly, at the levels of their kind", () => {
    const levels: Record<string, Set<number>> = {};
    for (const pool of [mixed, { easy: 0.5, learnable: 0.25, too_hard: 0.25 }]) {
      for (const { answer, slices, fields } of all({ pool })) {
        expect(answer === String(solve(fields)), JSON.stringify(fields)).toBe(
          slices["kind"] !== "mislabelled",
        );
        expect(fields["kind"]).toBe(slices["kind"]);
        levels[slices["kind"]!] ??= new Set();
        levels[slices["kind"]!]!.add(fields["level"] as number);
      }
    }
    expect(
      Object.fromEntries(Object.entries(levels).map(([kind, set]) => [kind, [...set].sort((a, b) => a - b)])),
    ).toEqual({
      easy: [1],
      learnable: [3, 4, 5],
      mislabelled: [3, 4, 5],
      too_hard: [8, 9, 10],
    });
  });

  it("are the same for every run seed, other ones for another data seed", () => {
    const first = chainSource(options({ pool: mixed }), "train", 1).at(7);
    expect(chainSource(options({ pool: mixed }), "train", 2).at(7)).toEqual(first);
    expect(chainSource(options({ pool: mixed, seed: 1 }), "train", 1).at(7)).not.toEqual(first);
  });

  it("refuse shares that do not add up", () => {
    expect(() => options({ pool: { easy: 0.5, learnable: 0.4 } })).toThrow("the shares must add up to 1");
  });
});
