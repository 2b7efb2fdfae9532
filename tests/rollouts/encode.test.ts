import { describe, expect, it } from "vitest";
import { encodeTarget } from "../../src/rollouts/encode.ts";
import type { Prompt, Tokenizer } from "../../src/types.ts";
import { characters } from "../helpers/scripted-policy.ts";

const shared = { id: "a", answer: "", slices: {}, fields: {} };
const chat: Prompt = { ...shared, input: { kind: "chat", messages: [{ role: "user", content: "Hi" }] } };
const plain: Prompt = { ...shared, input: { kind: "text", text: "Hi" } };

describe("encodeTarget", () => {
  const tokenizer: Tokenizer = {
    ...characters,
    eosIds: [1, 35, 36],
    turnEnd: (messages) => (messages === null ? [35] : [32, 36]),
  };

  it("ends a chat's target as the template does, and plain text with the tokenizer's end", () => {
    expect(encodeTarget(tokenizer, chat, "b")).toEqual([98, 32, 36]);
    expect(encodeTarget(tokenizer, plain, "b")).toEqual([98, 35]);
    expect(encodeTarget(characters, chat, "b")).toEqual([98, 1]);
  });

  it("ends it as the config says", () => {
    expect(encodeTarget(tokenizer, chat, "b", "#")).toEqual([98, 35]);
    expect(encodeTarget(tokenizer, chat, "b", null)).toEqual([98]);
    expect(() => encodeTarget(tokenizer, chat, "b", "ab")).toThrow(
      /algorithm.end_token: "ab" is 2 tokens of this tokenizer; name a single one/,
    );
    expect(() => encodeTarget(tokenizer, chat, "b", "x")).toThrow(
      /"x" does not end this model's completions, which end at .*"#", "\$"; name one of these, or add 120 to eos_token_id/,
    );
  });
});
