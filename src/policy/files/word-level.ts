/** Tokenizers for vocabularies of a few dozen tokens, as the laboratory's models have. */
import type { JsonObject } from "./json.ts";
import { bosTemplate } from "./tokenizer-json.ts";

export interface WordLevelOptions {
  /** "none": tokens stand side by side, and text is cut at them. "space": tokens are words. */
  separator: "none" | "space";
  /** Whether plain text gets bos in front (encode with addSpecialTokens). */
  addBos?: boolean;
  /** Jinja, where the model takes messages. */
  chatTemplate?: string;
  /** Written as model_max_length. */
  maxLength?: number;
}

export interface WordLevelSpecials {
  pad: string;
  bos: string;
  eos: string;
  /** Further tokens that are cut out of text wherever they stand, and left out of plain text. */
  others?: readonly string[];
}

function escapeRegex(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\\-/]/g, "\\$&");
}

/**
 * tokenizer.json and tokenizer_config.json of a word-level tokenizer; ids are positions in `tokens`. transformers
 * (PreTrainedTokenizerFast) loads them and gives the same ids. Decoding joins tokens by the separator, so that it
 * gives back the text that was encoded (one space between words).
 * @throws RangeError when a token occurs twice, is empty, or a special is not among them, or when a word has white space
 */
export function wordLevelTokenizerFiles(
  tokens: readonly string[],
  specials: WordLevelSpecials,
  options: WordLevelOptions,
): Map<string, Uint8Array> {
  if (new Set(tokens).size !== tokens.length) throw new RangeError("a token occurs twice in the vocabulary");
  if (tokens.includes("")) throw new RangeError("a token of the vocabulary is empty");
  const spaced = tokens.find((token) => /\s/.test(token));
  if (options.separator === "space" && spaced !== undefined) {
    throw new RangeError(`the word ${JSON.stringify(spaced)} has white space in it`);
  }
  const special = [...new Set([specials.pad, specials.bos, specials.eos, ...(specials.others ?? [])])];
  for (const token of special) {
    if (!tokens.includes(token)) throw new RangeError(`${token} is not in the vocabulary`);
  }
  // longest first, so that a token that starts another is not cut out of it
  const pieces = tokens.filter((token) => !special.includes(token)).sort((a, b) => b.length - a.length);
  const preTokenizer: JsonObject =
    options.separator === "space"
      ? { type: "WhitespaceSplit" }
      : {
          type: "Split",
          pattern: { Regex: pieces.map(escapeRegex).join("|") },
          behavior: "Isolated",
          invert: false,
        };
  const addBos = options.addBos ?? true;
  const tokenizerJson = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: special
      .map((content) => ({
        id: tokens.indexOf(content),
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      }))
      .sort((a, b) => a.id - b.id),
    normalizer: null,
    pre_tokenizer: preTokenizer,
    post_processor: addBos ? bosTemplate(specials.bos, tokens.indexOf(specials.bos)) : null,
    decoder: options.separator === "space" ? null : { type: "Fuse" },
    model: {
      type: "WordLevel",
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      unk_token: "<unk>", // not in the vocabulary: unknown text is an error, not a token
    },
  };
  const config: JsonObject = {
    add_bos_token: addBos,
    bos_token: specials.bos,
    clean_up_tokenization_spaces: false,
    eos_token: specials.eos,
    model_max_length: options.maxLength ?? 1e30,
    pad_token: specials.pad,
    padding_side: "left",
    tokenizer_class: "PreTrainedTokenizerFast",
    ...(specials.others === undefined ? {} : { additional_special_tokens: [...specials.others] }),
    ...(options.chatTemplate === undefined ? {} : { chat_template: options.chatTemplate }),
  };
  const encode = (value: unknown): Uint8Array =>
    new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
  return new Map([
    ["tokenizer.json", encode(tokenizerJson)],
    ["tokenizer_config.json", encode(config)],
  ]);
}
