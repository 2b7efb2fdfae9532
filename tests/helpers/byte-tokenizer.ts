/** A byte-level BPE tokenizer of 280 tokens, for models of a few thousand weights. */
import { preTokenization } from "../../src/policy/files/gguf-tokenizer.ts";
import type { JsonObject } from "../../src/policy/files/json.ts";
import { BYTE_SYMBOLS } from "../../src/policy/files/tokenizer-json.ts";

const MERGES = [
  ["h", "e"],
  ["l", "l"],
  ["he", "ll"],
  ["hell", "o"],
  ["Ġ", "w"],
  ["o", "r"],
  ["Ġw", "or"],
  ["1", "2"],
  ["12", "3"],
] as const;

export const CHAT_TEMPLATE =
  "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

const SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

/** Ids: 256 bytes, 9 merged tokens, then <|endoftext|> 265, <|im_start|> 266, <|im_end|> 267, and a word <think> 268. */
export const BYTE_VOCABULARY = 280;

/** @param pre a name of `tokenizer.ggml.pre` @param change keys of tokenizer.json that are otherwise */
export function byteTokenizerFiles(pre: string, change: JsonObject = {}): Map<string, Uint8Array> {
  const { preTokenizers, normalizer, ignoreMerges } = preTokenization(pre)!;
  const tokens = [...BYTE_SYMBOLS, ...MERGES.map((pair) => pair.join(""))];
  const added = [...SPECIALS, "<think>"].map((content, i) => ({
    id: tokens.length + i,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: content !== "<think>",
  }));
  const json = {
    version: "1.0",
    added_tokens: added,
    normalizer,
    pre_tokenizer: { type: "Sequence", pretokenizers: preTokenizers },
    post_processor: null,
    decoder: { type: "ByteLevel" },
    model: {
      type: "BPE",
      ignore_merges: ignoreMerges,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: MERGES.map((pair) => [...pair]),
    },
    ...change,
  };
  const config = {
    add_bos_token: false,
    bos_token: "<|endoftext|>",
    eos_token: "<|endoftext|>",
    chat_template: CHAT_TEMPLATE,
  };
  const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  return new Map([
    ["tokenizer.json", encode(json)],
    ["tokenizer_config.json", encode(config)],
  ]);
}
