/**
 * SentencePiece tokenizers of GGUF files: ids against SentencePiece's own algorithm (neighbours whose union has the best score
 * are merged first, the leftmost of equals; what is left is bytes), and against llama.cpp where it is installed.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openGgufModel } from "../../../src/policy/files/model-directory.ts";
import { optionalPart } from "../../helpers/optional.ts";
import { askPython, pythonEnvironment } from "../../helpers/python.ts";
import { f32Tensor, type MetadataValue, writeGguf } from "./write-gguf.ts";

const SPACE = "\u2581";
const CORPUS = `the theory of the thing that there is another thing in the other end, then a theatre and an anthem
  banana bandana aaaa aaa aa caf\u00e9 caf\u00e9s na\u00efve 1234 1212 2121 (a+b)*(a-b) ==> == = \u4f60\u597d \u4f60\u4eec`;

interface Piece {
  text: string;
  type: number;
  score: number;
}

/** Pieces as a trainer makes them: bytes, characters, and unions by how often they stand side by side. */
function trained(merges: number): Piece[] {
  const words = CORPUS.split(/\s+/).map((word) => Array.from(SPACE + word));
  const pieces: Piece[] = ["<unk>", "<s>", "</s>"].map((text, i) => ({
    text,
    type: i === 0 ? 2 : 3,
    score: 0,
  }));
  for (let byte = 0; byte < 256; byte++) {
    const text = `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
    pieces.push({ text, type: 6, score: 0 });
  }
  const made: string[] = [];
  while (made.length < merges) {
    const counts = new Map<string, number>();
    for (const word of words) {
      for (let i = 1; i < word.length; i++) {
        const both = word[i - 1]! + word[i]!;
        counts.set(both, (counts.get(both) ?? 0) + 1);
      }
    }
    const best = [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1))[0]?.[0];
    if (best === undefined) break;
    if (!made.includes(best)) made.push(best);
    for (const word of words) {
      for (let i = 1; i < word.length; i++) {
        if (word[i - 1]! + word[i]! === best) word.splice(i - 1, 2, best);
      }
    }
  }
  const characters = [...new Set(Array.from(CORPUS.replace(/\s+/g, SPACE)))];
  for (const [i, text] of [...made, ...characters].entries()) pieces.push({ text, type: 1, score: -i });
  // as converters add them: one is special, one is plain text that is never cut
  pieces.push({ text: "<|end|>", type: 3, score: 0 }, { text: "[tool]", type: 4, score: 0 });
  return pieces;
}

const PIECES = trained(60);
const ids = new Map(PIECES.map(({ text }, id) => [text, id]));

/** SentencePiece's algorithm on one stretch of text. */
function byScore(text: string): number[] {
  const symbols = Array.from(text.replaceAll(" ", SPACE));
  for (;;) {
    let best = -1;
    for (let i = 1; i < symbols.length; i++) {
      const id = ids.get(symbols[i - 1]! + symbols[i]!);
      if (id === undefined) continue;
      const score = PIECES[id]!.score;
      if (best < 0 || score > PIECES[ids.get(symbols[best - 1]! + symbols[best]!)!]!.score) best = i;
    }
    if (best < 0) break;
    symbols.splice(best - 1, 2, symbols[best - 1]! + symbols[best]!);
  }
  return symbols.flatMap((symbol) => {
    const id = ids.get(symbol);
    if (id !== undefined) return [id];
    const bytes = [...new TextEncoder().encode(symbol)];
    return bytes.map((byte) => ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`)!);
  });
}

/** The whole text: special tokens apart, a space before every stretch between them. */
function expectedIds(text: string, prefix = true): number[] {
  const parts = text.split(/(<s>|<\/s>|<unk>|<\|end\|>|\[tool\])/).filter((part) => part !== "");
  return [
    1,
    ...parts.flatMap((part) => (isSpecial(part) ? [ids.get(part)!] : byScore((prefix ? " " : "") + part))),
  ];
}
const isSpecial = (part: string) => /^(<s>|<\/s>|<unk>|<\|end\|>|\[tool\])$/.test(part);

/** A tiny model with these pieces. */
function fileOf(
  changed: Record<string, MetadataValue> = {},
  pieces = PIECES,
  architecture: "llama" | "phi3" = "llama",
): string {
  const width = 32;
  const sizes = {
    context_length: 64,
    embedding_length: width,
    block_count: 1,
    feed_forward_length: width,
    "attention.head_count": 2,
    "attention.head_count_kv": 2,
    "attention.layer_norm_rms_epsilon": { f32: 1e-5 },
    "rope.dimension_count": 16,
  };
  const metadata: Record<string, MetadataValue> = {
    "general.architecture": architecture,
    ...Object.fromEntries(Object.entries(sizes).map(([key, value]) => [`${architecture}.${key}`, value])),
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": pieces.map(({ text }) => text),
    "tokenizer.ggml.scores": { f32s: pieces.map(({ score }) => score) },
    "tokenizer.ggml.token_type": pieces.map(({ type }) => type),
    "tokenizer.ggml.unknown_token_id": 0,
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    ...changed,
  };
  const matrix = (name: string, rows: number) =>
    f32Tensor(
      name,
      [rows, width],
      Array.from({ length: rows * width }, (_, i) => Math.sin(i)),
    );
  const norm = (name: string) => f32Tensor(name, [width], new Array<number>(width).fill(1));
  const layer: [string, number][] =
    architecture === "llama"
      ? [
          ...["attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up"].map((name): [string, number] => [
            name,
            width,
          ]),
        ]
      : [
          ["attn_qkv", 3 * width],
          ["ffn_up", 2 * width],
        ];
  return writeGguf(metadata, [
    matrix("token_embd.weight", pieces.length),
    matrix("output.weight", pieces.length),
    norm("output_norm.weight"),
    norm("blk.0.attn_norm.weight"),
    norm("blk.0.ffn_norm.weight"),
    ...[...layer, ["attn_output", width] as const, ["ffn_down", width] as const].map(([name, rows]) =>
      matrix(`blk.0.${name}.weight`, rows),
    ),
  ]);
}

/** Phi-3's tokens swallow the white space after them, which its files do not say. */
const PHI3_PIECES: Piece[] = [...PIECES, { text: "<|endoftext|>", type: 3, score: 0 }];
const phi3 = () => fileOf({}, PHI3_PIECES, "phi3");

function tokenizerOf(path: string) {
  const { tokenizer, weights } = openGgufModel(path);
  weights.close();
  return tokenizer;
}

const TEXTS = [
  "",
  "the theory",
  " the  other   thing ",
  "banana aaaaaaa 12121",
  "caf\u00e9 na\u00efve \u4f60\u597d \u{1f600} \u00df\u0000",
  "one\ntwo\t\r\nthree",
  "a <s> b</s>c<|end|>the [tool]the[tool] end<unk>",
  `${SPACE}the${SPACE}${SPACE}end`,
  "<0x41> <|en d|>",
];

it("texts have the ids of SentencePiece's algorithm, and come back", () => {
  const tokenizer = tokenizerOf(fileOf());
  for (const text of TEXTS) {
    const found = tokenizer.encode(text, { addSpecialTokens: true });
    expect(found, JSON.stringify(text)).toEqual(expectedIds(text));
    if (/[<[]/.test(text) || text.includes(SPACE)) continue;
    expect(tokenizer.decode(found, { skipSpecialTokens: true })).toBe(text);
  }
  expect(tokenizer.eosIds).toEqual([2]);
});

it("so have random ones, with a space before them and without", () => {
  const unit = fc.constantFrom(
    ...Array.from("theand abn\u00e9\u4f60\u{1f600}12+=-\n"),
    "the",
    "ana",
    "  ",
    "<s>",
    "[tool]",
  );
  for (const prefix of [true, false]) {
    const tokenizer = tokenizerOf(fileOf({ "tokenizer.ggml.add_space_prefix": prefix }));
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 40 }), (text) => {
        expect(tokenizer.encode(text, { addSpecialTokens: true })).toEqual(expectedIds(text, prefix));
      }),
      { numRuns: 300 },
    );
  }
});

it("bos and eos are added as the file says", () => {
  const ends = (changed: Record<string, MetadataValue>) =>
    tokenizerOf(fileOf(changed)).encode("the", { addSpecialTokens: true });
  const own = byScore(" the");
  expect(ends({})).toEqual([1, ...own]);
  expect(ends({ "tokenizer.ggml.add_bos_token": false })).toEqual(own);
  expect(ends({ "tokenizer.ggml.add_eos_token": true })).toEqual([1, ...own, 2]);
});

it("Phi-3's special tokens swallow the white space after them, but for those that begin a text", () => {
  const encode = (text: string) => tokenizerOf(phi3()).encode(text, { addSpecialTokens: true });
  expect(encode("the<|end|> \n the</s>\nend")).toEqual(encode("the<|end|>the</s>end"));
  expect(encode("<s> the")).not.toEqual(encode("<s>the"));
});

describe("what cannot be said in merges is refused by name", () => {
  const with_ = (...more: Piece[]) => fileOf({}, [...PIECES, ...more]);
  it.each<[string, () => string, RegExp]>([
    [
      "two tokens of one score",
      () => with_({ text: ")(", type: 1, score: -5 }),
      /scores of ".*" and ".*" are both -5: then the place in the text decides/,
    ],
    [
      "a character that is no token",
      () => with_({ text: "t\u00e5", type: 1, score: -999 }),
      /tokenizer\.ggml\.tokens has "t\u00e5" and no "\u00e5", which it is made of/,
    ],
    [
      "a byte that is no token",
      () =>
        fileOf(
          {},
          PIECES.map((piece) => (piece.text === "<0x0A>" ? { ...piece, text: "x0A" } : piece)),
        ),
      /has no <0x0A>/,
    ],
    [
      "no scores",
      () => fileOf({ "tokenizer.ggml.scores": { f32s: [1] } }),
      /scores has 1 entries for \d+ tokens/,
    ],
  ])("%s", (_, file, message) => {
    expect(() => openGgufModel(file())).toThrow(message);
  });
});

const llama = pythonEnvironment("xllamacpp");
optionalPart(
  "llama.cpp",
  llama.python !== null,
  llama.reason,
)(() => {
  it.each([true, false])("ids are llama.cpp's (a space before: %s)", (prefix) => {
    const model = fileOf({ "tokenizer.ggml.add_space_prefix": prefix });
    const tokenizer = tokenizerOf(model);
    const unit = fc.constantFrom(
      ...Array.from("theand abn\u00e9\u4f60\u{1f600}12+=-\n"),
      "the",
      "ana",
      "  ",
      "<|end|>",
    );
    const drawn = fc.sample(fc.string({ unit, maxLength: 40 }), { numRuns: 200, seed: 5 });
    const texts = [...TEXTS.filter((text) => !text.includes("\0")), ...drawn];
    const found = askPython<number[][]>(llama.python!, "llama-tokens.py", { model, texts });
    expect(texts.map((text) => tokenizer.encode(text, { addSpecialTokens: true }))).toEqual(found);
  });

  it("and of a Phi-3, after whose tokens white space is nothing", () => {
    const tokenizer = tokenizerOf(phi3());
    // it goes by the name, whatever the architecture
    const model = fileOf({ "general.name": "phi-3-mini" }, PHI3_PIECES);
    const texts = [
      "the<|end|> \n the</s>\nend",
      "<s> the <unk> the",
      "[tool]\n\nthe",
      "<|end|>\n<|end|>\nthe",
    ];
    const found = askPython<number[][]>(llama.python!, "llama-tokens.py", { model, texts });
    expect(texts.map((text) => tokenizer.encode(text, { addSpecialTokens: true }))).toEqual(found);
  });
});
