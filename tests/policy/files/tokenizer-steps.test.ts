/** Every step of tokenizer.json gives the ids and texts of the reference library, over random texts, or is refused. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { JsonObject } from "../../../src/policy/files/json.ts";
import { createTokenizer } from "../../../src/policy/files/tokenizer.ts";

type Case = [text: string, ids: number[], special: number[], decoded: string, drawn: number[], text: string];
const golden = JSON.parse(readFileSync("tests/golden/files/tokenizer-steps.json", "utf8"))
  .tokenizers as Record<string, { tokenizer_json: JsonObject; cases: Case[] }>;

const build = (json: unknown) =>
  createTokenizer(new Map([["tokenizer.json", new TextEncoder().encode(JSON.stringify(json))]]), {
    path: "model",
  });

test.each(Object.keys(golden))("%s", (name) => {
  const { tokenizer_json: json, cases } = golden[name]!;
  const tokenizer = build(json);
  expect(cases.length).toBe(60);
  for (const [text, ids, special, decoded, drawn, drawnText] of cases) {
    expect(tokenizer.encode(text, { addSpecialTokens: false }), JSON.stringify(text)).toEqual(ids);
    expect(tokenizer.encode(text, { addSpecialTokens: true }), JSON.stringify(text)).toEqual(special);
    expect(tokenizer.decode(ids), ids.join()).toBe(decoded);
    expect(tokenizer.decode(drawn), drawn.join()).toBe(drawnText);
  }
});

test("the handed word-level tokenizer: letters beyond ASCII do not end a word", () => {
  const vocab = { "<unk>": 0, a: 1, naïve: 2, café: 3, 日本語: 4 };
  const tokenizer = build({
    pre_tokenizer: { type: "Whitespace" },
    model: { type: "WordLevel", vocab, unk_token: "<unk>" },
  });
  expect(tokenizer.encode("a naïve café 日本語", { addSpecialTokens: false })).toEqual([1, 2, 3, 4]);
});

test.each<[string, JsonObject, RegExp]>([
  [
    "continuing_subword_prefix",
    { model: { type: "BPE", vocab: { a: 0 }, merges: [], continuing_subword_prefix: "##" } },
    /model: tokenizer.json: model.continuing_subword_prefix = "##" is not supported/,
  ],
  [
    "dropout",
    { model: { type: "BPE", vocab: { a: 0 }, merges: [], dropout: 0.1 } },
    /model.dropout = 0.1 is not supported: it makes ids random/,
  ],
  [
    "Precompiled",
    { normalizer: { type: "Precompiled", precompiled_charsmap: "AA==" } },
    /normalizer "Precompiled" is not supported/,
  ],
  [
    "MergedWithNext",
    { pre_tokenizer: { type: "Split", pattern: { String: "a" }, behavior: "MergedWithNext", invert: false } },
    /Split with behavior MergedWithNext is not supported/,
  ],
  [
    "ids",
    { model: { type: "BPE", vocab: { a: 4e9 }, merges: [] } },
    /4000000000 is no token id; they are 0 to 10000000/,
  ],
  ["added ids", { added_tokens: [{ id: 1e15, content: "x" }] }, /1000000000000000 is no token id/],
  ["merges", { model: { type: "BPE", vocab: { a: 0 }, merges: [7] } }, /model.merges is not a list of pairs/],
  ["vocab", { model: { type: "Unigram", vocab: [7] } }, /model.vocab is neither a map of ids nor a list/],
])("refused by name: %s", (_name, part, message) => {
  const json = { model: { type: "BPE", vocab: { a: 0 }, merges: [] }, ...part };
  expect(() => build(json)).toThrow(message);
});

test.each([
  { type: "TemplateProcessing", pair: [], special_tokens: {} },
  { type: "TemplateProcessing", single: 7, pair: [], special_tokens: {} },
  { type: "Nonesuch" },
])("a post_processor that is none is refused by name", (postProcessor) => {
  const json = { model: { type: "BPE", vocab: { a: 0 }, merges: [] }, post_processor: postProcessor };
  expect(() => build(json)).toThrow(/^model: tokenizer.json is not supported: /);
});

test("a regular expression without a bound is given up", { timeout: 30_000 }, () => {
  const tokenizer = build({
    pre_tokenizer: { type: "Split", pattern: { Regex: "(a|aa)+$" }, behavior: "Isolated", invert: false },
    model: { type: "BPE", vocab: { a: 0 }, merges: [] },
  });
  expect(() => tokenizer.encode(`${"a".repeat(60)}!`, { addSpecialTokens: false })).toThrow(
    /model: tokenizer.json: to encode "a+.*takes more than 5 seconds: a regular expression/,
  );
});
