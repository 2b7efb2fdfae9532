import fc from "fast-check";
import { expect, test } from "vitest";
import { createTokenizer } from "../../../src/policy/files/tokenizer.ts";
import { wordLevelTokenizerFiles } from "../../../src/policy/files/word-level.ts";

const SPECIALS = { pad: "<pad>", bos: "<bos>", eos: "<eos>" };
const TAGS = ["<think>", "</think>", "<answer>", "</answer>"];
const CHARACTERS = ["<pad>", "<bos>", "<eos>", ...TAGS, "\n", ..."0123456789+-*=. "];
const range = (prefix: string, n: number): string[] => Array.from({ length: n }, (_, i) => `${prefix}${i}`);
const WORDS = [
  "<pad>",
  "<bos>",
  "<eos>",
  ...TAGS,
  ...["|", ",", "[think]", "[direct]", "its"],
  ...[..."abcdef"].flatMap((letter) => range(letter, 6)),
  ...range("G", 8),
  ...range("s", 8),
];
const characters = createTokenizer(wordLevelTokenizerFiles(CHARACTERS, SPECIALS, { separator: "none" }), {
  path: "chain",
});
const words = createTokenizer(wordLevelTokenizerFiles(WORDS, SPECIALS, { separator: "space" }), {
  path: "items",
});
const NONE = { addSpecialTokens: false };

test("the two vocabularies of the laboratory", () => {
  expect([characters.size, words.size]).toEqual([24, 64]);
  for (const tokenizer of [characters, words]) {
    expect([tokenizer.padId, tokenizer.bosId, tokenizer.eosIds]).toEqual([0, 1, [2]]);
    expect(tokenizer.warnings).toEqual([]);
    expect(tokenizer.hasChatTemplate).toBe(false);
  }
});

test("characters: ids by position, bos in front of plain text", () => {
  // the same ids as transformers' PreTrainedTokenizerFast gives for these files
  expect(characters.encode("3+8*5-9=<think>\n", { addSpecialTokens: true })).toEqual([
    1, 11, 18, 16, 20, 13, 19, 17, 21, 3, 7,
  ]);
  expect(characters.encode("</think><answer>6</answer><eos>", NONE)).toEqual([4, 5, 14, 6, 2]);
});

test("characters: decoding gives the text back exactly", () => {
  const piece = fc.constantFrom(...CHARACTERS);
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
      const text = pieces.join("");
      const ids = characters.encode(text, NONE);
      expect(ids).toEqual(pieces.map((token) => CHARACTERS.indexOf(token)));
      expect(characters.decode(ids)).toBe(text);
    }),
  );
});

test("words: cut at white space, joined by one space", () => {
  const piece = fc.constantFrom(...WORDS);
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
      const ids = words.encode(pieces.join(" "), NONE);
      expect(ids).toEqual(pieces.map((token) => WORDS.indexOf(token)));
      expect(words.decode(ids)).toBe(pieces.join(" "));
    }),
  );
  expect(words.decode(words.encode("its  G2\n s5", NONE))).toBe("its G2 s5");
});

test("special tokens go when skipped, tags stay", () => {
  const ids = words.encode("<think> e3 </think> G2 s5 <eos>", { addSpecialTokens: true });
  expect(words.decode(ids, { skipSpecialTokens: true })).toBe("<think> e3 </think> G2 s5");
  expect(characters.decode([1, 3, 7, 2], { skipSpecialTokens: true })).toBe("<think>\n");
});

test("text outside the vocabulary is an error that shows it", () => {
  expect(() => characters.encode("3+x=", NONE)).toThrow(
    /chain: tokenizer.json has no token for "x" in "3\+x="/,
  );
  expect(() => words.encode("G2 s9", NONE)).toThrow(/no token for "s9"/);
});

test("a token that starts another does not cut it", () => {
  const tokens = ["<pad>", "<bos>", "<eos>", "a", "ab", "abc", "."];
  const files = wordLevelTokenizerFiles(tokens, SPECIALS, { separator: "none" });
  const tokenizer = createTokenizer(files, { path: "x" });
  expect(tokenizer.encode("aababc.ab", NONE)).toEqual([3, 4, 5, 6, 4]);
});

test("without bos, and with a template", () => {
  const files = wordLevelTokenizerFiles(CHARACTERS, SPECIALS, {
    separator: "none",
    addBos: false,
    chatTemplate: "{{ bos_token + messages[0].content + '<think>\\n' }}",
  });
  const tokenizer = createTokenizer(files, { path: "chain" });
  expect(tokenizer.encode("1", { addSpecialTokens: true })).toEqual([9]);
  expect(tokenizer.renderChat([{ role: "user", content: "1+1=" }], { addGenerationPrompt: true })).toBe(
    "<bos>1+1=<think>\n",
  );
});

test("impossible vocabularies", () => {
  const make =
    (tokens: string[], separator: "none" | "space" = "none") =>
    () =>
      wordLevelTokenizerFiles(tokens, SPECIALS, { separator });
  expect(make(["<pad>", "<bos>"])).toThrow(/<eos> is not in the vocabulary/);
  expect(make([...CHARACTERS, "1"])).toThrow(/twice/);
  expect(make([...CHARACTERS, ""])).toThrow(/empty/);
  expect(make(CHARACTERS, "space")).toThrow(/the word "\\n" has white space/);
});
