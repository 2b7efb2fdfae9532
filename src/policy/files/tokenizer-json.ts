/** tokenizer.json: what this program accepts, and how it is handed to @huggingface/tokenizers (0.2). */
import { ModelFileError } from "../../lib/errors.ts";
import { isObject, type JsonObject } from "./json.ts";

/** Post-processor that writes bos before the text. */
export function bosTemplate(bos: string, id: number): JsonObject {
  return {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: bos, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    pair: [
      { SpecialToken: { id: bos, type_id: 0 } },
      { Sequence: { id: "A", type_id: 0 } },
      { Sequence: { id: "B", type_id: 1 } },
    ],
    special_tokens: { [bos]: { id: bos, ids: [id], tokens: [bos] } },
  };
}

/** The pattern of ByteLevel(use_regex true), GPT-2's, written for the engine that the Split step uses. */
const GPT2_PATTERN = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

const isolated = (pattern: string): JsonObject => ({
  type: "Split",
  pattern: { Regex: pattern },
  behavior: "Isolated",
  invert: false,
});

/**
 * The package's Digits step knows ASCII digits only and its ByteLevel step JavaScript's white space; the
 * reference takes every Unicode number and Oniguruma's white space. Both are said with Split instead.
 */
function preTokenizer(value: unknown, path: string): unknown {
  if (!isObject(value)) return null;
  if (value["type"] === "Sequence") {
    const steps = Array.isArray(value["pretokenizers"]) ? value["pretokenizers"] : [];
    return { ...value, pretokenizers: steps.map((step) => preTokenizer(step, path)) };
  }
  const behaviour = String(value["behavior"] ?? "").toLowerCase();
  if (["mergedwithprevious", "mergedwithnext", "contiguous"].includes(behaviour)) {
    throw new ModelFileError(
      `${path}: pre_tokenizer ${value["type"]} with behavior ${value["behavior"]} is not supported; Isolated and Removed are`,
    );
  }
  if (value["type"] === "Digits") return isolated(value["individual_digits"] ? "\\p{N}" : "\\p{N}+");
  if (value["type"] === "ByteLevel" && value["use_regex"] !== false && value["add_prefix_space"] === false) {
    return { type: "Sequence", pretokenizers: [isolated(GPT2_PATTERN), { ...value, use_regex: false }] };
  }
  return value;
}

export interface AddedToken {
  id: number;
  content: string;
  special: boolean;
}

function addedTokens(value: unknown, path: string): (JsonObject & AddedToken)[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new ModelFileError(`${path}: added_tokens is not a list`);
  return value.map((token: unknown) => {
    if (!isObject(token) || typeof token["content"] !== "string" || !Number.isSafeInteger(token["id"])) {
      throw new ModelFileError(
        `${path}: added_tokens holds ${JSON.stringify(token)}, which has no id and content`,
      );
    }
    if (token["single_word"] === true) {
      throw new ModelFileError(
        `${path}: added token ${token["content"]} has single_word true, which is not supported`,
      );
    }
    return {
      ...token,
      id: token["id"] as number,
      content: token["content"],
      special: token["special"] === true,
    };
  });
}

/**
 * A tokenizer.json as the package takes it: absent keys filled, steps it does not follow said otherwise.
 * @throws ModelFileError for behaviours that would give other ids than the reference
 */
export function prepareTokenizerJson(
  json: Readonly<JsonObject>,
  path: string,
): JsonObject & { added_tokens: AddedToken[] } {
  const model = json["model"];
  if (!isObject(model) || model["vocab"] === undefined)
    throw new ModelFileError(`${path} has no model.vocab`);
  return {
    ...json,
    normalizer: json["normalizer"] ?? null,
    pre_tokenizer: preTokenizer(json["pre_tokenizer"], path),
    post_processor: json["post_processor"] ?? null,
    decoder: json["decoder"] ?? null,
    added_tokens: addedTokens(json["added_tokens"], path),
  };
}

/** The printable character that stands for each byte in byte-level BPE; space is U+0120. [256] */
export const BYTE_SYMBOLS: readonly string[] = (() => {
  const printable = (byte: number): boolean =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
})();

/** Bytes that a byte-level vocabulary cannot write: the package and the reference drop them silently. */
export function missingBytes(json: Readonly<JsonObject>): number[] {
  const model = json["model"];
  const usesBytes = JSON.stringify(json["pre_tokenizer"] ?? null).includes('"ByteLevel"');
  if (!usesBytes || !isObject(model) || !isObject(model["vocab"]) || typeof model["unk_token"] === "string")
    return [];
  const vocab = model["vocab"];
  return BYTE_SYMBOLS.flatMap((symbol, byte) => (Object.hasOwn(vocab, symbol) ? [] : [byte]));
}

/** The reference drops such bytes before it merges, so that their neighbours meet; the package drops them after. */
export function withoutBytes(preTokenizer: unknown, bytes: readonly number[]): JsonObject {
  const hex = (byte: number): string => BYTE_SYMBOLS[byte]!.charCodeAt(0).toString(16).padStart(4, "0");
  const pattern = `[${bytes.map((byte) => `\\x{${hex(byte)}}`).join("")}]`;
  return {
    type: "Sequence",
    pretokenizers: [preTokenizer, { type: "Replace", pattern: { Regex: pattern }, content: "" }],
  };
}
