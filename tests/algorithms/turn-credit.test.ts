import { describe, expect, it } from "vitest";
import { advantageOptions } from "../../src/advantages/options.ts";
import { meanOverSampled, turnCredit, turnReturns } from "../../src/algorithms/turn-credit.ts";
import type { ScoredCompletion } from "../../src/types.ts";

/** Turns of two tokens, with one token of the environment between them. */
function credited(rewards: readonly number[], reward: number, takesPart = true) {
  const length = 3 * rewards.length - 1;
  const completion = {
    tokens: new Int32Array(length),
    episode: {
      end: "done",
      turns: rewards.map((one, k) => ({
        from: 3 * k,
        to: 3 * k + 2,
        text: "",
        toolCalls: [],
        messages: [],
        reward: one,
      })),
      sampled: Uint8Array.from({ length }, (_, t) => Number(t % 3 !== 2)),
    },
  } as unknown as ScoredCompletion;
  return { completion, reward, takesPart };
}

const advantage = advantageOptions.parse({ baseline: "group_mean", scale: "none" });
const options = { gamma: 0.5, weight: 2, advantage };

describe("credit by turns", () => {
  it("discounts what comes later; other parts come with the last turn", () => {
    // environment 2 * (1 + 0 + 3) = 8, other parts 4
    expect(turnReturns(credited([1, 0, 3], 12), options)).toEqual([2 + 0.25 * 10, 0.5 * 10, 10]);
    expect(turnReturns(credited([1, 0, 3], 12), { ...options, gamma: 1 })).toEqual([12, 10, 10]);
    expect(turnReturns(credited([1, 0, 3], 12), { ...options, gamma: 0 })).toEqual([2, 0, 10]);
  });

  it("compares all turns of a group, gives the environment's tokens nothing, and leaves out who takes no part", () => {
    const group = [credited([0, 1], 2), credited([0], 0), credited([5, 5, 5], 30, false)];
    // returns 1, 2 and 0: mean 1
    const found = turnCredit(group, options);
    expect([...found[0]!.values]).toEqual([0, 0, 0, 1, 1]);
    expect([...found[1]!.values]).toEqual([-1, -1]);
    expect([...found[2]!.values]).toEqual(new Array(8).fill(0));
    expect(found.map(meanOverSampled)).toEqual([0.5, -1, 0]);
  });

  it("learns nothing from one completion alone", () => {
    const found = turnCredit([credited([0, 1], 2), credited([1], 1, false)], options);
    expect(found.flatMap(({ values }) => [...values])).toEqual(new Array(7).fill(0));
  });
});
