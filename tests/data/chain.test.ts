import { describe, expect, it } from "vitest";
import { chainSource } from "../../src/data/chain.ts";
import { chainOptions } from "../../src/data/chain-options.ts";

const options = (extra: object = {}) => chainOptions.parse({ kind: "chain", ...extra });

/** Evaluates a question independently of the generator. */
function solve(question: string): string {
  const tokens = question.replace("=", "").match(/\d|[-+*]/g)!;
  let value = Number(tokens[0]);
  for (let i = 1; i < tokens.length; i += 2) {
    const operand = Number(tokens[i + 1]);
    value = tokens[i] === "+" ? value + operand : tokens[i] === "-" ? value - operand : value * operand;
    value = (value + 100) % 10;
  }
  return String(value);
}

describe("chain", () => {
  it("works left to right mod 10, with every trace line correct and the answer last", () => {
    const source = chainSource(options(), "train", 1);
    for (let i = 0; i < 300; i++) {
      const { input, answer, target, fields } = source.at(i);
      const question = String(fields["question"]);
      expect(answer).toBe(solve(question));
      expect(input).toEqual({ kind: "text", text: `${question}<think>\n` });
      const [work, tail] = target!.split("</think>");
      expect(tail).toBe(`<answer>${answer}</answer>`);
      const lines = work!.trimEnd().split("\n");
      for (const line of lines) expect(line.at(-1)).toBe(solve(`${line.split("=")[0]}=`));
      expect(lines.at(-1)!.at(-1)).toBe(answer);
    }
  });

  it("is a function of index, split and seed alone", () => {
    const a = chainSource(options(), "train", 1);
    const b = chainSource(options(), "train", 1);
    expect([7, 3, 7].map((i) => a.at(i))).toEqual([b.at(7), b.at(3), a.at(7)]);
    expect(a.at(0)).not.toEqual(chainSource(options(), "train", 2).at(0));
    expect(chainSource(options(), "eval", 1).at(0)).toEqual(chainSource(options(), "eval", 2).at(0));
    expect(chainSource(options({ size: 9 }), "train", 1).at(4)).toEqual(
      chainSource(options({ size: 9 }), "train", 5).at(4),
    );
  });

  it("writes careful traces one operator a line and careless ones two", () => {
    const lines = (traces: object) => {
      const source = chainSource(options({ levels: [4], traces }), "train", 1);
      return Array.from({ length: 200 }, (_, i) => source.at(i).target!.split("\n").length - 1);
    };
    expect(new Set(lines({ careful: 1 }))).toEqual(new Set([4]));
    expect(new Set(lines({ careful: 0, skip: 1 }))).toEqual(new Set([2]));
    expect(new Set(lines({ careful: 1, repeat_last: [1, 1] }))).toEqual(new Set([6]));
  });

  it("draws levels by weight and modes by rate", () => {
    const source = chainSource(
      options({
        levels: [1, 5],
        level_weights: [3, 1],
        prompt: "mixed",
        plain_share: 0.25,
        traces: { think_rate: 0.2 },
      }),
      "train",
      1,
    );
    const prompts = Array.from({ length: 4000 }, (_, i) => source.at(i));
    const share = (test: (p: (typeof prompts)[0]) => boolean, among = prompts) =>
      among.filter(test).length / among.length;
    const text = (p: (typeof prompts)[0]) => (p.input.kind === "text" ? p.input.text : "");
    const ellipsis = prompts.filter((p) => text(p).endsWith("...\n"));
    expect(share((p) => p.slices["level"] === "1")).toBeCloseTo(0.75, 1);
    expect(share((p) => text(p).endsWith("<think>\n"))).toBeCloseTo(0.25, 1);
    expect(share((p) => !p.target!.startsWith("</think>"), ellipsis)).toBeCloseTo(0.2, 1);
  });
});

describe("labels of needed thought", () => {
  const draw = (extra: object) =>
    Array.from({ length: 1000 }, (_, i) =>
      chainSource(chainOptions.parse({ kind: "chain", prompt: "ellipsis", ...extra }), "train", 1).at(i),
    );
  const share = (prompts: ReturnType<typeof draw>, level: number) => {
    const there = prompts.filter(({ fields }) => fields["level"] === level);
    return there.filter(({ fields }) => fields["needs_thinking"] === true).length / there.length;
  };

  it("are drawn by level, in column and slice, and change nothing else", () => {
    const labelled = draw({ need: [0, 0.25, 1] });
    expect(share(labelled, 1)).toBe(0);
    expect(share(labelled, 2)).toBeCloseTo(0.25, 1);
    expect([3, 4, 5].map((level) => share(labelled, level))).toEqual([1, 1, 1]);
    const plain = draw({});
    expect(plain[0]!.fields["needs_thinking"]).toBeUndefined();
    for (const [i, prompt] of labelled.entries()) {
      const { needs_thinking: needs, ...fields } = prompt.fields;
      expect(prompt.slices["needs_thinking"]).toBe(String(needs));
      expect({ ...prompt, fields, slices: plain[i]!.slices }).toEqual(plain[i]);
    }
  });

  it("decide what supervised targets do", () => {
    for (const { fields, target } of draw({ need: [0.5], traces: { think_by_label: true } })) {
      expect(target!.startsWith("</think>")).toBe(fields["needs_thinking"] === false);
    }
  });

  it("a direct prompt closes the block, and its target only answers", () => {
    const [prompt] = draw({ prompt: "direct" });
    expect(prompt!.input).toMatchObject({ text: expect.stringMatching(/=<think>\n\.\.\.\n<\/think>$/) });
    expect(prompt!.target).toBe(`<answer>${prompt!.answer}</answer>`);
  });
});
