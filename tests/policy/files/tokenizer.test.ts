import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { JsonObject } from "../../../src/policy/files/json.ts";
import { createTokenizer, type ModelTokenizer } from "../../../src/policy/files/tokenizer.ts";
import { BYTE_SYMBOLS } from "../../../src/policy/files/tokenizer-json.ts";

interface Case {
  text: string;
  ids: number[];
  with_special: number[];
  decoded: string;
  skipped: string;
}
const golden = JSON.parse(readFileSync("tests/golden/files/tokenizers.json", "utf8")).tokenizers as Record<
  string,
  { tokenizer_json: JsonObject; cases: Case[] }
>;

function build(
  json: JsonObject,
  config?: JsonObject,
  context: Partial<Parameters<typeof createTokenizer>[1]> = {},
): ModelTokenizer {
  const files = new Map([["tokenizer.json", new TextEncoder().encode(JSON.stringify(json))]]);
  if (config) files.set("tokenizer_config.json", new TextEncoder().encode(JSON.stringify(config)));
  return createTokenizer(files, { path: "model", ...context });
}
const styles = ["gpt2", "llama3", "qwen", "smollm"];
const json = (name: string): JsonObject => structuredClone(golden[name]!.tokenizer_json);
const NONE = { addSpecialTokens: false };

test.each(styles)("%s: ids and texts are the reference library's", (name) => {
  const tokenizer = build(json(name));
  expect(golden[name]!.cases.length).toBe(35);
  for (const { text, ids, with_special, decoded, skipped } of golden[name]!.cases) {
    expect(tokenizer.encode(text, NONE), JSON.stringify(text)).toEqual(ids);
    expect(tokenizer.encode(text, { addSpecialTokens: true }).slice(0, ids.length + 1)).toEqual(with_special);
    expect(tokenizer.decode(ids)).toBe(decoded);
    expect(tokenizer.decode(Int32Array.from(ids), { skipSpecialTokens: true })).toBe(skipped);
  }
});

test.each(["gpt2", "llama3"])("%s: decode(encode(s)) is s", (name) => {
  const tokenizer = build(json(name));
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 40 }), (text) => {
      expect(tokenizer.decode(tokenizer.encode(text, NONE))).toBe(text);
    }),
  );
});

test("qwen: the round trip is NFC", () => {
  const tokenizer = build(json("qwen"));
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 40 }), (text) => {
      expect(tokenizer.decode(tokenizer.encode(text, NONE))).toBe(text.normalize("NFC"));
    }),
  );
});

test("a lone surrogate becomes U+FFFD", () => {
  expect(build(json("gpt2")).decode(build(json("gpt2")).encode("a\ud800b", NONE))).toBe("a\ufffdb");
});

test("every byte alone through its symbol", () => {
  const vocab = (json("gpt2")["model"] as { vocab: Record<string, number> }).vocab;
  const tokenizer = build(json("gpt2"));
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  expect(new Set(BYTE_SYMBOLS).size).toBe(256);
  for (const [byte, symbol] of BYTE_SYMBOLS.entries()) {
    expect(tokenizer.decode([vocab[symbol]!])).toBe(decoder.decode(Uint8Array.of(byte)));
  }
});

test("nothing, ids beyond the vocabulary, and what is no id", () => {
  const tokenizer = build(json("gpt2"));
  expect(tokenizer.decode([])).toBe("");
  expect(tokenizer.decode(new Int32Array(0))).toBe("");
  expect(tokenizer.decode([tokenizer.size + 5])).toBe("");
  expect(() => tokenizer.decode([-1])).toThrow(/-1 is not a token id/);
  expect(() => tokenizer.decode([1.5])).toThrow(/1.5 is not a token id/);
});

test("decoding never tidies spaces, whatever the config says", () => {
  const tokenizer = build(json("gpt2"), { clean_up_tokenization_spaces: true });
  expect(tokenizer.decode(tokenizer.encode("Hi , there . do n't", NONE))).toBe("Hi , there . do n't");
  expect(build(json("gpt2")).decode(tokenizer.encode("a ?", NONE))).toBe("a ?");
});

test("think tags survive where special tokens are skipped, control tokens do not", () => {
  const tokenizer = build(json("qwen"));
  const ids = tokenizer.encode("<think> a</think><|im_end|>", NONE);
  expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe("<think> a</think>");
  expect(tokenizer.decode(ids)).toBe("<think> a</think><|im_end|>");
});

test("old and new notations of merges give equal ids", () => {
  const pairs = json("gpt2");
  const model = pairs["model"] as { merges: [string, string][] };
  expect(Array.isArray(model.merges[0])).toBe(true);
  const strings = json("gpt2");
  (strings["model"] as { merges: unknown }).merges = model.merges.map((pair) => pair.join(" "));
  const text = "I'll think about the answer, step by step.";
  expect(build(strings).encode(text, NONE)).toEqual(build(pairs).encode(text, NONE));
});

test("missing bytes are named once and counted", () => {
  const tokenizer = build(json("smollm"), { eos_token: "<|im_end|>" });
  expect(tokenizer.warnings).toEqual([
    "model: tokenizer.json has no token for 4 bytes (04 1d 93 f1): they are dropped from text",
  ]);
  expect(tokenizer.lostBytes("a\x04b")).toBe(1);
  expect(tokenizer.lostBytes("ab")).toBe(0);
  expect(build(json("gpt2"), { eos_token: "<|im_end|>" }).warnings).toEqual([]);
});

test("ids of special tokens: generation_config over config over tokenizer_config", () => {
  const config = { bos_token: "<|im_start|>", eos_token: { content: "<|im_end|>" }, pad_token: "<a>" };
  const tokenizer = build(json("gpt2"), config);
  const id = (text: string): number => tokenizer.encode(text, NONE)[0]!;
  expect(tokenizer.bosId).toBe(id("<|im_start|>"));
  expect(tokenizer.eosIds).toEqual([id("<|im_end|>")]);
  expect(tokenizer.padId).toBe(id("<a>"));
  expect(build(json("gpt2"), config, { config: { eos_token_id: 5 } }).eosIds).toEqual([5, id("<|im_end|>")]);
  const generationConfig = { eos_token_id: [9, 7, 9], pad_token_id: 3 };
  const merged = build(
    json("gpt2"),
    { ...config, pad_token: null },
    { config: { eos_token_id: 5 }, generationConfig },
  );
  expect(merged.eosIds).toEqual([9, 7, id("<|im_end|>")]);
  expect(merged.padId).toBe(3);
  expect(build(json("gpt2"), { ...config, pad_token: null }, { config: { pad_token_id: -1 } }).padId).toBe(
    id("<|im_end|>"),
  );
  expect(build(json("gpt2"), { bos_token: null }, { config: { bos_token_id: 4 } }).bosId).toBeNull();
  expect(build(json("gpt2"), {}, { config: { bos_token_id: 4 } }).bosId).toBe(4);
});

test("an assistant's turn ends with what the template writes, and completions end there too", () => {
  const end = (template: string | undefined, config: JsonObject = {}, eos: JsonObject = {}) => {
    const built = build(
      json("gpt2"),
      { ...config, ...(template ? { chat_template: template } : {}) },
      { config: eos },
    );
    const texts = (ids: readonly number[]) => ids.map((id) => built.decode([id]));
    return [
      texts(built.turnEnd!([{ role: "user", content: "Hi" }])),
      texts(built.turnEnd!(null)),
      texts(built.eosIds),
    ];
  };
  const chatml =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}";
  const start = build(json("gpt2")).encode("<|im_start|>", NONE)[0]!;
  // a base model: its lists say another token than its chat template
  expect(end(chatml, { eos_token: "<|im_start|>" }, { eos_token_id: start })).toEqual([
    ["<|im_end|>"],
    ["<|im_start|>"],
    ["<|im_start|>", "<|im_end|>"],
  ]);
  // a space before it, as in Llama 2's template
  const spaced = "{% for m in messages %}{{ m.content + ' ' + '<|im_end|>' }}{% endfor %}";
  expect(end(spaced)[0]).toEqual([" ", "<|im_end|>"]);
  // the template writes none, asks for a system message, or there is none: the tokenizer's own
  const none = "{% for m in messages %}{{ '### ' + m.role + ': ' + m.content + '\n' }}{% endfor %}";
  const strict = "{% if messages[0].role != 'system' %}{{ raise_exception('no') }}{% endif %}";
  for (const template of [none, strict, undefined]) {
    expect(end(template, { eos_token: "<|im_end|>" }, { eos_token_id: [start] })).toEqual([
      ["<|im_end|>"],
      ["<|im_end|>"],
      ["<|im_start|>", "<|im_end|>"],
    ]);
  }
  expect(end(undefined, {}, { eos_token_id: [start, 5] })[0]).toEqual(["<|im_start|>"]);
  expect(end(undefined)[0]).toEqual([]);
});

test("a tokenizer without an end token says so", () => {
  const tokenizer = build(json("gpt2"));
  expect(tokenizer.eosIds).toEqual([]);
  expect(tokenizer.padId).toBe(0);
  expect(tokenizer.warnings).toEqual([
    "model names no end-of-sequence token: completions end at the token limit only",
  ]);
});

test("add_bos_token and add_eos_token decide over the post-processor", () => {
  const ends = { bos_token: "<|im_start|>", eos_token: "<|im_end|>" };
  const all = { addSpecialTokens: true };
  const plain = build(json("llama3"), ends);
  const [bos] = plain.encode("", all);
  expect(plain.encode("a", all)[0]).toBe(bos);
  const off = build(json("llama3"), { ...ends, add_bos_token: false });
  expect(off.encode("a", all)).toEqual(plain.encode("a", NONE));
  const both = build(json("gpt2"), { ...ends, add_bos_token: true, add_eos_token: true });
  expect(both.encode("a", all)).toEqual([both.bosId, ...both.encode("a", NONE), ...both.eosIds]);
  expect(both.encode("a", NONE).length).toBe(1);
});

test("keys that may be missing", () => {
  const bare: JsonObject = { model: { type: "BPE", vocab: { a: 0, b: 1, ab: 2 }, merges: ["a b"] } };
  expect(build(bare).encode("abb", NONE)).toEqual([2, 1]);
});

test.each<[string, (json: JsonObject) => void, RegExp]>([
  [
    "no vocabulary",
    (j) => {
      j["model"] = {};
    },
    /model: tokenizer.json has no model.vocab/,
  ],
  [
    "behaviour",
    (j) => {
      j["pre_tokenizer"] = {
        type: "Sequence",
        pretokenizers: [
          { type: "Split", pattern: { String: " " }, behavior: "MergedWithNext", invert: false },
        ],
      };
    },
    /Split with behavior MergedWithNext is not supported/,
  ],
  [
    "single_word",
    (j) => {
      (j["added_tokens"] as JsonObject[])[0]!["single_word"] = true;
    },
    /has single_word true/,
  ],
  [
    "unknown step",
    (j) => {
      j["pre_tokenizer"] = { type: "UnicodeScripts" };
    },
    /is not supported: Unknown PreTokenizer type: UnicodeScripts/,
  ],
  [
    "added token",
    (j) => {
      j["added_tokens"] = [{ content: "x" }];
    },
    /has no id and content/,
  ],
])("refuses: %s", (_name, edit, message) => {
  const edited = json("gpt2");
  edit(edited);
  expect(() => build(edited)).toThrow(message);
});

test("tables that disagree are refused", () => {
  const [added] = json("gpt2")["added_tokens"] as { id: number; content: string }[];
  const agree = { added_tokens_decoder: { [added!.id]: { content: added!.content } } };
  const differ = { added_tokens_decoder: { [added!.id]: { content: "<other>" } } };
  expect(build(json("gpt2"), agree).size).toBeGreaterThan(300);
  expect(() => build(json("gpt2"), differ)).toThrow(
    /is "<\|im_start\|>" in tokenizer.json but "<other>" in tokenizer_config/,
  );
});

test("no tokenizer.json, no chat template", () => {
  const files = new Map([["vocab.json", new Uint8Array()]]);
  expect(() => createTokenizer(files, { path: "dir" })).toThrow(
    /dir has no tokenizer.json, only vocab.json: convert/,
  );
  const tokenizer = build(json("gpt2"));
  expect(tokenizer.hasChatTemplate).toBe(false);
  expect(() =>
    tokenizer.renderChat([{ role: "user", content: "Hi" }], { addGenerationPrompt: true }),
  ).toThrow(/model has no chat template/);
});

test("a rendered chat holds bos once", () => {
  const template = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}";
  const tokenizer = build(json("llama3"), { bos_token: "<|im_start|>", chat_template: template });
  const text = tokenizer.renderChat([{ role: "user", content: "a" }], { addGenerationPrompt: true });
  const ids = tokenizer.encode(text, NONE);
  expect(ids.filter((id) => id === tokenizer.bosId).length).toBe(1);
});
