import { describe, expect, it } from "vitest";
import { createRng } from "../../src/lib/rng.ts";
import { type GenerateOptions, generate } from "../../src/rollouts/generate.ts";
import type { Prompt } from "../../src/types.ts";
import { characters, fakePolicy, hashedLogits, scriptedLogits } from "../helpers/scripted-policy.ts";

const prompt = (id: string, text = id) => ({
  prompt: { id, input: { kind: "text", text }, answer: "", slices: {}, fields: {} } satisfies Prompt,
  tokens: Int32Array.from(characters.encode(text, { addSpecialTokens: false })),
});
const options = (extra: Partial<GenerateOptions> = {}): GenerateOptions => ({
  temperature: 1,
  top_p: 1,
  top_k: 0,
  min_p: 0,
  groupSize: 3,
  maxNewTokens: 12,
  stop: [],
  batchRows: 1000,
  ...extra,
});
const stream = createRng(3).fork("rollout", 0);

describe("generate", () => {
  it("gives each completion the same tokens and logprobs whatever shares its batch", async () => {
    const prompts = ["one", "two", "three", "four", "five"].map((id) => prompt(id));
    const run = async (list: typeof prompts, extra: Partial<GenerateOptions> = {}) =>
      (await generate(fakePolicy(hashedLogits(6)), characters, list, options(extra), stream)).flatMap(
        (group) => group.completions,
      );
    const all = await run(prompts);
    expect(new Set(all.map((c) => c.tokens.length)).size).toBeGreaterThan(3); // rows end at different steps
    expect(new Set(all.map((c) => c.text)).size).toBeGreaterThan(10);
    const key = (c: (typeof all)[0]) => `${c.promptId}/${c.sampleIndex}`;
    const byKey = new Map(all.map((c) => [key(c), c]));
    for (const other of [
      await run([...prompts].reverse()),
      await run(prompts, { batchRows: 3 }),
      await run(prompts.slice(2, 3)),
      await run(prompts, { groupSize: 5 }),
    ]) {
      for (const c of other) if (byKey.has(key(c))) expect(c).toEqual(byKey.get(key(c)));
    }
  });

  it("never samples ids that the tokenizer does not have", async () => {
    const flat = fakePolicy((tokens, vocabSize) => {
      const random = createRng(5).fork(tokens.join());
      return Array.from({ length: vocabSize }, (_, i) => random.normal(i));
    });
    const tokenizer = { ...characters, size: 100, gaps: [98] };
    const groups = await generate(flat, tokenizer, [prompt("a"), prompt("b")], options(), stream);
    const ids = groups.flatMap((group) => group.completions.flatMap(({ tokens }) => [...tokens]));
    expect(ids.length).toBeGreaterThan(50);
    expect(ids.filter((id) => id >= 100 || id === 98)).toEqual([]);
  });

  it("continues the sample indices of a prompt that occurs again", async () => {
    const groups = await generate(
      fakePolicy(hashedLogits(6)),
      characters,
      [prompt("a"), prompt("a")],
      options(),
      stream,
    );
    expect(groups.flatMap((g) => g.completions.map((c) => c.sampleIndex))).toEqual([0, 1, 2, 3, 4, 5]);
    expect(new Set(groups.flatMap((g) => g.completions.map((c) => c.text))).size).toBeGreaterThan(3);
  });

  it("ends at the end token, a stop string or the limit, and says which", async () => {
    const policy = fakePolicy(scriptedLogits({ "1": "abc", "2": "abc STOP def", "3": "abcdefghijklmnop" }));
    const groups = await generate(
      policy,
      characters,
      ["1", "2", "3"].map((id) => prompt(id)),
      options({ groupSize: 1, stop: ["STOP"] }),
      stream,
    );
    expect(groups.map((g) => [g.completions[0]!.text, g.completions[0]!.finishReason])).toEqual([
      ["abc", "eos"],
      ["abc STOP", "stop"],
      ["abcdefghijkl", "length"],
    ]);
    expect(groups[0]!.completions[0]!.tokens.at(-1)).toBe(1);
    expect(groups[0]!.completions[0]!.tokens.length).toBe(groups[0]!.completions[0]!.logprobs.length);
    expect(policy.live()).toBe(0);
  });

  it("lets rows that ended leave the batch", async () => {
    const script: Record<string, string> = { z: "x".repeat(30) };
    for (let i = 0; i < 9; i++) script[String(i)] = "x";
    const policy = fakePolicy(scriptedLogits(script));
    await generate(
      policy,
      characters,
      Object.keys(script).map((id) => prompt(id)),
      options({ groupSize: 1, maxNewTokens: 40 }),
      stream,
    );
    // 10 rows for one step, then one row for 29 more
    expect(policy.rowSteps).toBe(10 + 29);
  });
});
