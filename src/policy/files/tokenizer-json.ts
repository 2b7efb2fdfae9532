/** tokenizer.json: what this program accepts, and how it is handed to @huggingface/tokenizers (0.2). */
import { ModelFileError } from "../../lib/errors.ts";
import { isObject, type JsonObject } from "./json.ts";
import { decoderSteps, preTokenizer } from "./tokenizer-steps.ts";

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

export interface AddedToken {
  id: number;
  content: string;
  special: boolean;
  /** Looked for in the normalised text. */
  normalized: boolean;
  lstrip: boolean;
  rstrip: boolean;
}

function addedTokens(value: unknown, path: string): (JsonObject & AddedToken)[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new ModelFileError(`${path}: added_tokens is not a list`);
  const tokens = value.map((token: unknown) => {
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
      normalized:
        token["normalized"] === undefined ? token["special"] !== true : token["normalized"] === true,
      lstrip: token["lstrip"] === true,
      rstrip: token["rstrip"] === true,
    };
  });
  checkIds(
    tokens.map(({ id }) => id),
    path,
  );
  return tokens;
}

/** Above every id of a public model by an order of magnitude; tables are as long as the largest id. */
const LARGEST_ID = 10_000_000;

function checkIds(ids: Iterable<unknown>, path: string): void {
  for (const id of ids) {
    if (!Number.isSafeInteger(id) || (id as number) < 0 || (id as number) > LARGEST_ID) {
      throw new ModelFileError(`${path}: ${JSON.stringify(id)} is no token id; they are 0 to ${LARGEST_ID}`);
    }
  }
}

/** Settings of the model that the package ignores. */
function checkModel(model: Readonly<JsonObject>, path: string): void {
  const refuse = (key: string, reason: string): never => {
    throw new ModelFileError(
      `${path}: model.${key} = ${JSON.stringify(model[key])} is not supported: ${reason}`,
    );
  };
  if (model["type"] === "BPE" && model["continuing_subword_prefix"]) {
    refuse("continuing_subword_prefix", "tokens would be cut otherwise than the model was trained with");
  }
  if (model["dropout"]) refuse("dropout", "it makes ids random; set it to null");
  const { vocab, merges } = model;
  if (isObject(vocab)) checkIds(Object.values(vocab), path);
  else if (!Array.isArray(vocab) || vocab.some((entry) => !isScored(entry))) {
    throw new ModelFileError(`${path}: model.vocab is neither a map of ids nor a list of tokens with scores`);
  }
  const isMerge = (merge: unknown): boolean =>
    typeof merge === "string" ||
    (Array.isArray(merge) && merge.length === 2 && merge.every((part) => typeof part === "string"));
  if (merges !== undefined && (!Array.isArray(merges) || !merges.every(isMerge))) {
    throw new ModelFileError(`${path}: model.merges is not a list of pairs`);
  }
}

function isScored(entry: unknown): boolean {
  return Array.isArray(entry) && typeof entry[0] === "string" && typeof entry[1] === "number";
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
  checkModel(model, path);
  return {
    ...json,
    normalizer: null, // see normalizer.ts
    pre_tokenizer: preTokenizer(json["pre_tokenizer"], path),
    post_processor: json["post_processor"] ?? null,
    decoder: decoderSteps(json["decoder"]),
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
