import { describe, expect, it } from "vitest";
import { createRng } from "../../src/lib/rng.ts";
import { generate } from "../../src/rollouts/generate.ts";
import { decisionToken, forcedModes, modeConstraint } from "../../src/rollouts/modes.ts";
import { sampleToken } from "../../src/rollouts/sample-token.ts";
import type { Prompt, Tokenizer } from "../../src/types.ts";
import { characters, fakePolicy, hashedLogits } from "../helpers/scripted-policy.ts";

/** Pieces as ids; decode joins them. */
function pieces(...vocabulary: string[]): Tokenizer {
  return { ...characters, decode: (ids) => Array.from(ids, (id) => vocabulary[id]!).join("") };
}

describe("the decision token", () => {
  const at = (list: string[], promptText = "") =>
    decisionToken(pieces(...list), promptText, Int32Array.from(list.keys()), list.join(""));

  it("is the first that starts at or behind the end of <think>", () => {
    expect(at(["<think>", "</think>", "Paris"])).toBe(1);
    expect(at(["<", "think", ">", "So", " it"])).toBe(3);
    expect(at(["<", "think", ">\n", "So", " it"])).toBe(3); // `>` merged with a line break
    expect(at(["Well ", "<think>", "a", "b"])).toBe(2);
  });

  it("is completion token 0 where the prompt opened the block", () => {
    expect(at(["</think>", "6"], "3+3=<think>\n...\n")).toBe(0);
    expect(at(["6"], "<think></think> 3+3=<think>")).toBe(0);
  });

  it("is nowhere without a block, or behind its end", () => {
    expect(at(["Paris"])).toBeNull();
    expect(at(["Paris"], "<think>done</think>")).toBeNull();
    expect(at(["<think>"])).toBeNull();
  });
});

describe("constraints", () => {
  const logits = Float32Array.from([0.5, 0.25, 0.25].map(Math.log));
  const plain = { temperature: 1, top_p: 1, top_k: 0, min_p: 0 };

  it("force a token and ban one, and report the policy's own logprob", () => {
    for (const extra of [{}, { temperature: 0 }, { top_k: 2 }]) {
      const options = { ...plain, ...extra };
      expect(sampleToken(logits, 0, 3, options, 0.1, { force: 2 }).token).toBe(2);
      for (const u of [0, 0.3, 0.6, 0.999]) {
        expect(sampleToken(logits, 0, 3, options, u, { ban: 0 }).token).toBeGreaterThan(0);
      }
    }
    expect(sampleToken(logits, 0, 3, plain, 0.1, { force: 2 }).logprob).toBeCloseTo(Math.log(0.25), 6);
    expect(sampleToken(logits, 0, 3, plain, 0.1, { ban: 0 }).logprob).toBeCloseTo(Math.log(0.25), 6);
  });

  it("a ban leaves the others their shares", () => {
    const ban = (u: number) => sampleToken(logits, 0, 3, plain, u, { ban: 0 }).token;
    expect([0, 0.49, 0.51, 0.99].map(ban)).toEqual([1, 1, 2, 2]);
  });

  it("the first completions of a group are direct, the next think, the rest are free", () => {
    const modes = { direct: 1, thinking: 2, close: [7, 8] };
    expect([0, 1, 2].map((t) => modeConstraint(modes, 0, t))).toEqual([
      { force: 7 },
      { force: 8 },
      undefined,
    ]);
    expect([0, 1].map((t) => modeConstraint(modes, 2, t))).toEqual([{ ban: 7 }, undefined]);
    expect(modeConstraint(modes, 3, 0)).toBeUndefined();
  });
});

describe("forced modes in generation", () => {
  const stream = createRng(3).fork("rollout", 0);
  const prompt = (id: string) => {
    const input = { kind: "text", text: `${id}<think>` } as const;
    return {
      prompt: { id, input, answer: "", slices: {}, fields: {} } satisfies Prompt,
      tokens: Int32Array.from(characters.encode(input.text, { addSpecialTokens: false })),
    };
  };
  const run = async (ids: string[], batchRows: number, forced: boolean) => {
    const prompts = ids.map(prompt);
    const texts = prompts.map(({ prompt: { id } }) => ({ id, text: `${id}<think>` }));
    const groups = await generate(
      fakePolicy(hashedLogits(12)),
      characters,
      prompts,
      {
        temperature: 1,
        top_p: 1,
        top_k: 0,
        min_p: 0,
        groupSize: 4,
        maxNewTokens: 12,
        stop: [],
        batchRows,
        ...(forced ? { modes: forcedModes(characters, { direct: 1, thinking: 1 }, texts) } : {}),
      },
      stream,
    );
    return groups.map(({ completions }) => completions);
  };

  it("do not touch the free completions, whatever shares their batch", async () => {
    const free = await run(["a", "b", "c"], 100, false);
    const forced = await run(["a", "b", "c"], 100, true);
    expect(forced.every((group) => group[0]!.text.startsWith("</think>"))).toBe(true);
    expect(free.some((group) => group[0]!.text.startsWith("</think>"))).toBe(false);
    expect(forced.map((group) => group.slice(1))).toEqual(free.map((group) => group.slice(1)));
    expect(forced[0]![0]!.logprobs[0]!).toBeLessThan(-15); // the policy would hardly have said it
    const alone = [...(await run(["c"], 4, true)), ...(await run(["b"], 4, true))];
    expect(alone).toEqual([forced[2], forced[1]]);
  });

  it("refuse a prompt whose decision comes later", () => {
    expect(() => forcedModes(characters, { direct: 1, thinking: 0 }, [{ id: "p7", text: "2+2=" }])).toThrow(
      /prompt p7 does not end inside <think>/,
    );
  });
});
