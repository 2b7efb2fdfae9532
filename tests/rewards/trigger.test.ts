import { describe, expect, it } from "vitest";
import { completeInput } from "../../src/rewards/cases.ts";
import { rewardPartsOptions } from "../../src/rewards/options.ts";
import { createScorer } from "../../src/rewards/score.ts";
import { thinks } from "../../src/rewards/thinking.ts";
import { readLabel, thinkFormatFault } from "../../src/rewards/trigger.ts";

/** AdaCoT section 3.2.1: (alpha1, alpha2) of the four experiments; gamma is 1 in all. */
const experiments = [
  [0.1, 0.3],
  [0.2, 0.3],
  [0.3, 0.3],
  [0.3, 0.1],
] as const;

const blocks = {
  empty: { ok: "<think></think>Paris", broken: "<think></think> " },
  full: { ok: "<think>x</think>Paris", broken: "<think>x</think>Paris</think>" },
} as const;

/** Worked by hand from the paper: label, think block, format, R_base, R of Exp1..Exp4. */
const vectors = [
  [true, "empty", "ok", 0.8, 0.7, 0.6, 0.5, 0.5],
  [true, "full", "ok", 0.8, 0.8, 0.8, 0.8, 0.8],
  [false, "full", "ok", 1, 0.7, 0.7, 0.7, 0.9],
  [false, "empty", "ok", 1, 1, 1, 1, 1],
  [true, "empty", "broken", 0.5, -0.6, -0.7, -0.8, -0.8],
  [false, "full", "broken", 0.9, -0.4, -0.4, -0.4, -0.2],
] as const;

describe("R = R_base - alpha1 P_miss - alpha2 P_over - gamma P_fmt", () => {
  for (const [number, [needs, block, format, base, ...expected]] of vectors.entries()) {
    it(`vector ${number + 1} of those worked by hand`, async () => {
      for (const [i, [alpha1, alpha2]] of experiments.entries()) {
        const specs = rewardPartsOptions.parse([
          { kind: "exact", extract: "whole", wrong: base },
          { kind: "trigger", name: "miss", counts: "miss", weight: -alpha1 },
          { kind: "trigger", name: "over", counts: "over", weight: -alpha2 },
          { kind: "trigger", name: "format-fault", counts: "format" },
        ]);
        const score = await createScorer(specs, { maxErrorShare: 0 });
        const input = completeInput({
          completion: blocks[block][format],
          answer: "another",
          fields: { needs_thinking: needs },
        });
        const [result] = await score([input]);
        expect(result!.reward).toBeCloseTo(expected[i]!, 12);
      }
    });
  }
});

describe("HasReasoning and P_fmt, by the form of a completion", () => {
  it.each([
    ["<think></think>Paris", false, false],
    ["<think>\n \n</think>Paris", false, false],
    ["<think>x</think>Paris", true, false],
    ["Paris", false, true],
  ])("%j", (completion, reasons, fault) => {
    expect(thinks("", completion) === true).toBe(reasons);
    expect(thinkFormatFault(completeInput({ completion }))).toBe(fault);
  });
});

it("reads labels as people and tables write them, and nothing else", () => {
  expect([true, "True", "yes", 1, "1 "].map(readLabel)).toEqual([true, true, true, true, true]);
  expect([false, "false", "no", 0].map(readLabel)).toEqual([false, false, false, false]);
  expect([null, undefined, "", "maybe", 0.5].map(readLabel)).toEqual([null, null, null, null, null]);
});
