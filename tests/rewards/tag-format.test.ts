import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { completeInput } from "../../src/rewards/cases.ts";
import {
  matchLayout,
  type TagFormatOptions,
  tagFormat,
  tagFormatReward,
} from "../../src/rewards/tag-format.ts";

const value = (options: Partial<TagFormatOptions>, completion: string, promptText = ""): number =>
  tagFormatReward(
    completeInput({ completion, promptText }),
    tagFormat.options.parse({ kind: "tag-format", ...options }),
  ).value;

const good = "<think>a</think>\n<answer>6</answer>";

describe("tag format", () => {
  it("says what may stand before, between and behind", () => {
    const table: [keyof TagFormatOptions, string][] = [
      ["before", `x${good}`],
      ["between", "<think>a</think> so <answer>6</answer>"],
      ["after", `${good} done`],
    ];
    for (const [key, text] of table) {
      expect([key, value({}, text)]).toEqual([key, 0]);
      expect([key, value({ [key]: "space" }, text)]).toEqual([key, 0]);
      expect([key, value({ [key]: "any" }, text)]).toEqual([key, 1]);
    }
    expect(value({ after: "space" }, `${good}\n`)).toBe(1);
    expect(value({ between: "none" }, good)).toBe(0);
  });

  it("wants the order and every tag once", () => {
    expect(value({}, "<answer>6</answer><think>a</think>")).toBe(0);
    expect(value({}, `<think>${good}`)).toBe(0);
    expect(value({}, "<think>a<answer>6</answer>")).toBe(0);
    expect(value({}, "<think>a</think><answer>6")).toBe(0);
    expect(value({ tags: ["answer"] }, "<answer></answer>")).toBe(1);
  });

  it("knows a tag that the prompt opens", () => {
    const completion = "a</think><answer>6</answer>";
    expect(value({}, completion, "Q<think>\n")).toBe(1);
    expect(value({}, completion, "Q")).toBe(0);
    expect(value({ prompt_opens: "always" }, completion, "Q")).toBe(1);
    expect(value({ prompt_opens: "never" }, completion, "Q<think>")).toBe(0);
    // the first block starts with the completion, so nothing can stand before it
    expect(value({}, good, "Q<think>")).toBe(0);
  });

  it("hands out the blocks' contents", () => {
    const layout = { before: "none", between: "space", after: "none", opened: false } as const;
    expect(matchLayout(good, ["think", "answer"], layout)).toEqual(["a", "6"]);
    expect(value({ nonempty: ["answer"] }, "<think>a</think><answer> </answer>")).toBe(0);
  });

  it("gives a share of the rules with `partial`", () => {
    const half = value({ partial: true }, "<think>a</think><answer>6");
    expect(half).toBeGreaterThan(0);
    expect(half).toBeLessThan(1);
    expect(value({ partial: true }, good)).toBe(1);
    expect(value({ partial: true, tags: ["a"] }, "")).toBe(0);
  });

  it("agrees with the regular expression that says the same", () => {
    const piece = fc.constantFrom("<think>", "</think>", "<answer>", "</answer>", "x", " ", "\n");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 9 }), (pieces) => {
        const text = pieces.join("");
        const full = /^<think>[\s\S]*?<\/think>\s*<answer>[\s\S]*?<\/answer>$/.test(text);
        const layout = { before: "none", between: "space", after: "none", opened: false } as const;
        expect(matchLayout(text, ["think", "answer"], layout) !== null).toBe(full);
      }),
      { numRuns: 3000 },
    );
  });
});
