/** tokenizer.json and tokenizer_config.json rebuilt from a GGUF file's tokenizer.ggml.* metadata. */
import { ModelFileError } from "../../lib/errors.ts";
import type { GgufFile } from "./gguf.ts";
import { ggufReader } from "./gguf-model.ts";
import { sentencePiece } from "./gguf-sentencepiece.ts";
import { TOKEN_TYPE, type TokenizerSteps } from "./gguf-token-types.ts";
import type { JsonObject } from "./json.ts";
import { bosTemplate } from "./tokenizer-json.ts";

const LLAMA3_PATTERN =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const QWEN_PATTERN = LLAMA3_PATTERN.replace("\\p{N}{1,3}", "\\p{N}");

export interface PreTokenization {
  preTokenizers: JsonObject[];
  normalizer: JsonObject | null;
  ignoreMerges: boolean;
  addBos: boolean;
}

const byteLevel = (useRegex: boolean): JsonObject => ({
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
});

const split = (pattern: string): JsonObject => ({
  type: "Split",
  pattern: { Regex: pattern },
  behavior: "Isolated",
  invert: false,
});

/** Names of `tokenizer.ggml.pre` that stand for different pre-tokenizations, to be written. */
export const PRE_TOKENIZERS = ["llama-bpe", "dbrx", "qwen2", "deepseek-r1-qwen", "smollm", "gpt-2"] as const;

/** What `tokenizer.ggml.pre` stands for: the hub's own tokenizer.json of these families. */
export function preTokenization(name: string | undefined): PreTokenization | null {
  const plain = { normalizer: null, ignoreMerges: false, addBos: false };
  switch (name) {
    case "llama-bpe":
    case "llama3":
    case "llama-v3":
      return {
        preTokenizers: [split(LLAMA3_PATTERN), byteLevel(false)],
        normalizer: null,
        ignoreMerges: true,
        addBos: true,
      };
    case "smaug-bpe":
    case "dbrx":
      return { ...plain, preTokenizers: [split(LLAMA3_PATTERN), byteLevel(false)] };
    case "qwen2":
      return {
        ...plain,
        preTokenizers: [split(QWEN_PATTERN), byteLevel(false)],
        normalizer: { type: "NFC" },
      };
    case "deepseek-r1-qwen":
      return { ...plain, preTokenizers: [split(QWEN_PATTERN), byteLevel(false)] };
    case "smollm":
      return { ...plain, preTokenizers: [{ type: "Digits", individual_digits: true }, byteLevel(true)] };
    case "gpt-2":
      return { ...plain, preTokenizers: [byteLevel(true)] };
    default:
      return null;
  }
}

const { unknown: UNKNOWN, control: CONTROL, userDefined: USER_DEFINED, unused: UNUSED } = TOKEN_TYPE;

/** @throws ModelFileError for a pre-tokenizer that is not known */
function byteLevelSteps(path: string, pre: string | undefined, model: JsonObject): TokenizerSteps {
  const style = preTokenization(pre);
  if (!style) {
    throw new ModelFileError(
      `${path}: tokenizer.ggml.pre = ${pre ?? "(missing)"} is not a pre-tokenizer this program knows: use the model's Hugging Face directory`,
    );
  }
  const { preTokenizers, normalizer, ignoreMerges, addBos } = style;
  return {
    normalizer,
    preTokenizer:
      preTokenizers.length === 1 ? preTokenizers[0]! : { type: "Sequence", pretokenizers: preTokenizers },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { ignore_merges: ignoreMerges, ...model },
    addBos,
  };
}

/**
 * @returns the two files' bytes by name; the chat template lies in tokenizer_config.json
 * @throws ModelFileError for tokenizers that are neither byte-level BPE nor SentencePiece's, and unknown pre-tokenizers
 */
export function ggufTokenizerFiles(file: Pick<GgufFile, "path" | "metadata">): Map<string, Uint8Array> {
  const meta = ggufReader(file);
  const model = meta.string("tokenizer.ggml.model");
  if (model !== "gpt2" && model !== "llama") {
    throw new ModelFileError(
      `${file.path}: tokenizer.ggml.model = ${model ?? "(missing)"}; only gpt2 (byte-level BPE) and llama (SentencePiece) can be rebuilt: use the model's Hugging Face directory`,
    );
  }
  const strings = (key: string): readonly string[] => {
    const values = meta.list(key);
    if (!values?.every((value) => typeof value === "string")) {
      throw new ModelFileError(`${file.path}: ${key} is not an array of strings`);
    }
    return values as readonly string[];
  };
  const tokens = strings("tokenizer.ggml.tokens");
  const types = meta.list("tokenizer.ggml.token_type") ?? tokens.map(() => 1);
  if (types.length !== tokens.length) {
    throw new ModelFileError(
      `${file.path}: tokenizer.ggml.token_type has ${types.length} entries for ${tokens.length} tokens`,
    );
  }
  const token = (key: string): string | null => {
    const id = meta.integer(key);
    if (id === undefined) return null;
    const text = tokens[id];
    if (text === undefined)
      throw new ModelFileError(`${file.path}: ${key} = ${id}, but there are ${tokens.length} tokens`);
    return text;
  };
  const steps =
    model === "gpt2"
      ? byteLevelSteps(file.path, meta.string("tokenizer.ggml.pre"), {
          vocab: Object.fromEntries(
            tokens.map((content, id) => [content, id] as const).filter(([, id]) => types[id] !== UNUSED),
          ),
          merges: strings("tokenizer.ggml.merges"),
        })
      : sentencePiece(
          {
            tokens,
            types,
            scores: meta.list("tokenizer.ggml.scores"),
            spacePrefix: meta.boolean("tokenizer.ggml.add_space_prefix") ?? true,
            unknown: token("tokenizer.ggml.unknown_token_id") ?? tokens[0]!,
          },
          file.path,
        );
  const bos = token("tokenizer.ggml.bos_token_id");
  if (model === "llama" && bos === null) {
    throw new ModelFileError(`${file.path} has no metadata key tokenizer.ggml.bos_token_id`);
  }
  // as in its tokenizer.json, which the file does not say: Phi-3's tokens swallow the white space after them
  const swallowing = model === "llama" && meta.string("general.architecture") === "phi3";
  const addBos = (meta.boolean("tokenizer.ggml.add_bos_token") ?? steps.addBos) && bos !== null;
  const tokenizerJson = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: tokens.flatMap((content, id) =>
      types[id] === CONTROL || types[id] === USER_DEFINED || types[id] === UNKNOWN
        ? [
            {
              id,
              content,
              single_word: false,
              lstrip: false,
              rstrip: swallowing && !["<unk>", "<s>", "<|endoftext|>"].includes(content),
              normalized: false,
              special: types[id] !== USER_DEFINED,
            },
          ]
        : [],
    ),
    normalizer: steps.normalizer,
    pre_tokenizer: steps.preTokenizer,
    post_processor: addBos ? bosTemplate(bos, tokens.indexOf(bos)) : null,
    decoder: steps.decoder,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ...steps.model,
    },
  };
  const config: JsonObject = {
    add_bos_token: addBos,
    add_prefix_space: false,
    bos_token: bos,
    clean_up_tokenization_spaces: false,
    eos_token: token("tokenizer.ggml.eos_token_id"),
    model_max_length: meta.integer(`${meta.string("general.architecture")}.context_length`) ?? 1e30,
    pad_token: token("tokenizer.ggml.padding_token_id"),
    tokenizer_class: "PreTrainedTokenizerFast",
    unk_token: token("tokenizer.ggml.unknown_token_id"),
  };
  if (meta.boolean("tokenizer.ggml.add_eos_token") === true) config["add_eos_token"] = true;
  const template = meta.string("tokenizer.chat_template");
  if (template !== undefined) config["chat_template"] = template;
  const encode = (value: unknown, indent: number): Uint8Array =>
    new TextEncoder().encode(`${JSON.stringify(value, null, indent)}\n`);
  return new Map([
    ["tokenizer.json", encode(tokenizerJson, 0)],
    ["tokenizer_config.json", encode(config, 2)],
  ]);
}
