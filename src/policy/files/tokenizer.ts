/** Text to ids and back, on @huggingface/tokenizers, with what that package leaves to its caller. */
import { Tokenizer as PackageTokenizer } from "@huggingface/tokenizers";
import { ModelFileError } from "../../lib/errors.ts";
import type { ChatMessage, PictureProcessor, Tokenizer } from "../../types.ts";
import { compileChatTemplate, findChatTemplate, type RenderOptions } from "./chat-template.ts";
import { type TokenizerParts, textEncoder } from "./encode-text.ts";
import { inTime } from "./in-time.ts";
import { isObject, type JsonObject, parseJsonObject } from "./json.ts";
import { mendDecoder } from "./mend-decoder.ts";
import { createNormalizer } from "./normalizer.ts";
import { missingBytes, prepareTokenizerJson, withoutBytes } from "./tokenizer-json.ts";
import { templateTurnEnd } from "./turn-end.ts";

/** Files that make up a tokenizer, and the processor of pictures where there is one; every checkpoint gets a byte-equal copy of those that exist. */
export const TOKENIZER_FILES: readonly string[] = [
  "tokenizer.json",
  "tokenizer_config.json",
  "chat_template.jinja",
  "chat_template.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "vocab.txt",
  "tokenizer.model",
  "preprocessor_config.json",
  "processor_config.json",
];

/** Seconds for a text, and for each 100,000 characters more. */
const LONGEST_ENCODING = 5;

export interface ModelTokenizer extends Tokenizer {
  /** Found at load; each a sentence to print. */
  readonly warnings: readonly string[];
  /** How many of the text's bytes the vocabulary cannot write: they vanish when it is encoded. */
  lostBytes(text: string): number;
  /** @param options.variables what the template may read beside the messages, such as enable_thinking */
  renderChat(messages: readonly ChatMessage[], options: RenderOptions): string;
}

export interface TokenizerContext {
  /** The directory or file the tokenizer came from: messages start with it. */
  path: string;
  /** Rows of the model's embedding: vocab_size. Absent: as many as the tokenizer has ids. */
  rows?: number;
  config?: Readonly<JsonObject>;
  generationConfig?: Readonly<JsonObject>;
  /** What the chat template reads beside the messages, such as enable_thinking; a call's own go before. */
  templateVariables?: Readonly<Record<string, unknown>>;
  /** What a template's strftime_now() sees, YYYY-MM-DD. */
  date?: string;
  /** How pictures are read, given the ids of texts; false: messages that hold one are refused, whatever the chat template places. */
  pictures?: ((tokenIdOf: (text: string) => number | undefined) => PictureProcessor) | false;
}

/** "<s>" of "<s>" or { content: "<s>" }; null otherwise. */
function tokenText(value: unknown): string | null {
  if (typeof value === "string") return value;
  return isObject(value) && typeof value["content"] === "string" ? value["content"] : null;
}

function idList(value: unknown): number[] | null {
  const ids = (Array.isArray(value) ? value : [value]).filter(
    (id): id is number => Number.isSafeInteger(id) && (id as number) >= 0,
  );
  return ids.length > 0 ? [...new Set(ids)] : null;
}

interface SpecialIds {
  bosId: number | null;
  eosIds: number[];
  padId: number;
}

/**
 * generation_config.json over config.json over tokenizer_config.json; padding falls back to the first end id. The
 * tokenizer's eos_token ends a completion too, whatever the others say.
 */
function specialIds(
  tokenizerConfig: Readonly<JsonObject>,
  { config = {}, generationConfig = {} }: TokenizerContext,
  idOfKey: (key: string) => number | null,
  rows: number,
): SpecialIds {
  const withRow = (id: number | null | undefined): number | null => (id == null || id >= rows ? null : id);
  const idOf = (key: string): number | null => withRow(idOfKey(key));
  const listed = idList(generationConfig["eos_token_id"]) ?? idList(config["eos_token_id"]) ?? [];
  const eosIds = [...new Set([...listed, ...(idList(idOf("eos_token")) ?? [])])].filter((id) => id < rows);
  const bosId = Object.hasOwn(tokenizerConfig, "bos_token")
    ? idOf("bos_token")
    : (idList(config["bos_token_id"])?.[0] ?? null);
  const pad =
    idOf("pad_token") ??
    withRow(idList(generationConfig["pad_token_id"])?.[0]) ??
    withRow(idList(config["pad_token_id"])?.[0]);
  return { bosId, eosIds, padId: pad ?? eosIds[0] ?? 0 };
}

/**
 * Tokens that the embedding has no row for: added ones do no harm until a text holds one (a [PAD] that was added to the
 * tokenizer alone). @throws ModelFileError for ordinary ones
 */
function tokensWithoutRow(
  tokens: ReadonlyMap<string, number>,
  added: readonly { id: number; content: string }[],
  rows: number,
  path: string,
): Map<number, string> {
  const names = new Map(added.map(({ id, content }) => [id, content]));
  const beyond = [...tokens].filter(([, id]) => id >= rows);
  const ordinary = beyond.filter(([, id]) => !names.has(id)).sort(([, a], [, b]) => b - a);
  if (ordinary.length > 0) {
    const [text, id] = ordinary[0]!;
    throw new ModelFileError(
      `${path}: the tokenizer has id ${id} (${JSON.stringify(text)}) but the model's vocabulary ends at ${rows - 1} (vocab_size ${rows}): take the tokenizer that the model came with`,
    );
  }
  return new Map(beyond.map(([, id]) => [id, names.get(id)!]));
}

/** additional_special_tokens (transformers 4) or extra_special_tokens (5), as texts. */
function extraSpecialTokens(config: Readonly<JsonObject>): string[] {
  return ["additional_special_tokens", "extra_special_tokens"].flatMap((key) => {
    const value = config[key];
    const list = Array.isArray(value) ? value : isObject(value) ? Object.values(value) : [];
    return list.map(tokenText).filter((text) => text !== null);
  });
}

/** tokenizer_config.json's id-to-token table, where there is one, must say what tokenizer.json says. */
function checkAddedTokens(
  added: readonly { id: number; content: string }[],
  tokenizerConfig: Readonly<JsonObject>,
  path: string,
): void {
  const decoder = tokenizerConfig["added_tokens_decoder"];
  if (!isObject(decoder)) return;
  for (const { id, content } of added) {
    const other = decoder[String(id)];
    if (other !== undefined && tokenText(other) !== content) {
      throw new ModelFileError(
        `${path}: id ${id} is ${JSON.stringify(content)} in tokenizer.json but ${JSON.stringify(tokenText(other))} in tokenizer_config.json's added_tokens_decoder`,
      );
    }
  }
}

function bytesAsHex(bytes: readonly number[]): string {
  return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

/**
 * @param files tokenizer.json is required; tokenizer_config.json and the chat template are optional
 * @throws ModelFileError when the files disagree or ask for what is not supported
 */
export function createTokenizer(
  files: ReadonlyMap<string, Uint8Array>,
  context: TokenizerContext,
): ModelTokenizer {
  const { path } = context;
  const jsonBytes = files.get("tokenizer.json");
  if (!jsonBytes) {
    const other = ["tokenizer.model", "vocab.json"].find((name) => files.has(name));
    throw new ModelFileError(
      `${path} has no tokenizer.json${other ? `, only ${other}: convert it with transformers, AutoTokenizer.from_pretrained(dir).save_pretrained(dir)` : ""}`,
    );
  }
  const jsonPath = `${path}: tokenizer.json`;
  const configBytes = files.get("tokenizer_config.json");
  const tokenizerConfig = configBytes ? parseJsonObject(configBytes, `${path}: tokenizer_config.json`) : {};
  const parsed = parseJsonObject(jsonBytes, jsonPath);
  const json = prepareTokenizerJson(parsed, jsonPath);
  checkAddedTokens(json.added_tokens, tokenizerConfig, path);
  const missing = missingBytes(json);
  if (missing.length > 0) json["pre_tokenizer"] = withoutBytes(json["pre_tokenizer"], missing);

  let tokenizer: PackageTokenizer;
  let encodeText: ReturnType<typeof textEncoder>;
  let ends: ReturnType<typeof specialEnds>;
  try {
    tokenizer = new PackageTokenizer(json, {
      clean_up_tokenization_spaces: false,
      additional_special_tokens: extraSpecialTokens(tokenizerConfig),
      // the package reads these names for its word-level and unigram models
      unk_token: (json["model"] as JsonObject)["unk_token"] ?? null,
      eos_token: tokenText(tokenizerConfig["eos_token"]),
    });
    mendDecoder(tokenizer.decoder);
    const normalizer = createNormalizer(parsed["normalizer"], jsonPath);
    const parts = tokenizer as unknown as TokenizerParts & { special_tokens: string[] };
    // the reference decodes such a token as it looks for it
    for (const { id, content, normalized, special } of json.added_tokens) {
      if (!normalized || normalizer === null) continue;
      parts.model.vocab[id] = normalizer(content);
      if (special) parts.special_tokens.push(normalizer(content));
    }
    const byteFallback = (json["model"] as JsonObject)["byte_fallback"] === true;
    encodeText = textEncoder(parts, json.added_tokens, normalizer, byteFallback);
    ends = specialEnds(tokenizer);
  } catch (cause) {
    if (cause instanceof ModelFileError) throw cause;
    throw new ModelFileError(`${jsonPath} is not supported: ${(cause as Error).message}`, { cause });
  }

  const idOf = (key: string): number | null => {
    const text = tokenText(tokenizerConfig[key]);
    return text === null ? null : (tokenizer.token_to_id(text) ?? null);
  };
  const vocabulary = tokenizer.get_vocab();
  const rows = context.rows ?? Number.POSITIVE_INFINITY;
  const rowless = tokensWithoutRow(vocabulary, json.added_tokens, rows, path);
  const ids = specialIds(tokenizerConfig, context, idOf, rows);
  const size = [...vocabulary.values()].reduce((largest, id) => Math.max(largest, id), -1) + 1;
  const gaps = Array.from({ length: size }, (_, id) => id).filter(
    (id) => tokenizer.id_to_token(id) === undefined,
  );
  const warnings: string[] = [];
  if (rowless.size > 0) {
    const named = [...rowless].map(([id, content]) => `${content} (${id})`).join(", ");
    warnings.push(
      `${path}: the embedding ends at id ${rows - 1} and has no row for the added tokens ${named}: a text that holds one is refused. To train them: model.resize_token_embeddings(len(tokenizer)) in transformers`,
    );
  }
  if (missing.length > 0) {
    warnings.push(
      `${jsonPath} has no token for ${missing.length} bytes (${bytesAsHex(missing)}): they are dropped from text`,
    );
  }

  // A present key decides, as in transformers' classes; otherwise the post-processor of tokenizer.json does.
  const ownEnds = ["add_bos_token", "add_eos_token"].some((key) => typeof tokenizerConfig[key] === "boolean");
  const bos = tokenizerConfig["add_bos_token"] === true ? idOf("bos_token") : null;
  const eos = tokenizerConfig["add_eos_token"] === true ? idOf("eos_token") : null;

  const source = findChatTemplate(files, tokenizerConfig, path);
  const constants: Record<string, unknown> = {};
  for (const key of ["bos_token", "eos_token", "pad_token", "unk_token"]) {
    const text = tokenText(tokenizerConfig[key]);
    if (text !== null) constants[key] = text;
  }
  Object.assign(constants, context.templateVariables);
  const template =
    source === null
      ? null
      : compileChatTemplate(source, path, constants, context.date, context.pictures !== false);

  const encodePlain = (text: string): number[] =>
    encodeText(text).flatMap(({ id }) => (id === undefined || id >= rows ? [] : [id]));
  const turnEnd = (messages: readonly ChatMessage[] | null): readonly number[] => {
    const written =
      template === null || messages === null
        ? null
        : templateTurnEnd(messages, {
            render: (all) => template.render(all, { addGenerationPrompt: false }),
            encode: encodePlain,
            controls: json.added_tokens.filter(({ special }) => special).map(({ content }) => content),
          });
    const eosToken = idOf("eos_token");
    if (written !== null && written.length > 0) return written;
    return eosToken !== null && eosToken < rows ? [eosToken] : ids.eosIds.slice(0, 1);
  };
  // a base model's lists know nothing of its chat template
  const turnEndId = turnEnd([{ role: "user", content: "Hi" }]).at(-1);
  if (turnEndId !== undefined && !ids.eosIds.includes(turnEndId)) ids.eosIds.push(turnEndId);
  if (ids.eosIds.length === 0) {
    warnings.push(`${path} names no end-of-sequence token: completions end at the token limit only`);
  }

  const missingSymbols = new Set(missing);
  const pictures = context.pictures
    ? context.pictures((text) => tokenizer.token_to_id(text) ?? undefined)
    : undefined;
  return {
    ...(pictures === undefined ? {} : { pictures }),
    size,
    gaps,
    ...ids,
    warnings,
    hasChatTemplate: template !== null,
    turnEnd,
    lostBytes: (text) => {
      if (missingSymbols.size === 0) return 0;
      return new TextEncoder()
        .encode(text)
        .reduce((count, byte) => count + (missingSymbols.has(byte) ? 1 : 0), 0);
    },
    encode: (text, { addSpecialTokens }) => {
      const seconds = LONGEST_ENCODING * (1 + text.length / 100_000);
      const inSeconds = inTime(1000 * seconds, () => encodeText(text));
      if (inSeconds === null) {
        throw new ModelFileError(
          `${jsonPath}: to encode ${JSON.stringify(excerpt(text))} takes more than ${Math.round(seconds)} seconds: a regular expression of its normalizer or pre_tokenizer has no bound`,
        );
      }
      const encoded = inSeconds.value;
      const unknown = encoded.find(({ id }) => id === undefined);
      if (unknown) {
        throw new ModelFileError(
          `${jsonPath} has no token for ${JSON.stringify(unknown.token)} in ${JSON.stringify(excerpt(text))}, and no unk_token`,
        );
      }
      const own = encoded.map(({ id }) => id!);
      const beyond = own.find((id) => id >= rows);
      if (beyond !== undefined) {
        throw new ModelFileError(
          `${path}: ${JSON.stringify(excerpt(text))} holds ${rowless.get(beyond)} (${beyond}), but the embedding ends at id ${rows - 1}`,
        );
      }
      if (!addSpecialTokens) return own;
      if (!ownEnds) return [...ends.before, ...own, ...ends.behind];
      return [...(bos === null ? [] : [bos]), ...own, ...(eos === null ? [] : [eos])];
    },
    decode: (tokens, { skipSpecialTokens = false } = {}) => {
      const known = Array.from(tokens, (id: number) => {
        if (!Number.isSafeInteger(id) || id < 0) throw new RangeError(`${id} is not a token id`);
        return id;
      }).filter((id) => tokenizer.id_to_token(id) !== undefined); // an embedding may have more rows than tokens
      if (known.length === 0) return "";
      return tokenizer.decode(known, {
        skip_special_tokens: skipSpecialTokens,
        clean_up_tokenization_spaces: false,
      });
    },
    renderChat: (messages, options) => {
      if (!template) {
        throw new ModelFileError(
          `${path} has no chat template: give prompts as text, or add chat_template.jinja`,
        );
      }
      return template.render(messages, options);
    },
    renderMarked: (messages, options) =>
      template?.renderMarked?.(messages, { ...options, addGenerationPrompt: false }) ?? null,
  };
}

/** Ids that the post-processor writes around a text: asked with a token that stands for it. */
function specialEnds(tokenizer: PackageTokenizer): { before: number[]; behind: number[] } {
  const process = tokenizer.post_processor as unknown as
    | ((tokens: string[], pair: null, special: boolean) => { tokens: string[] })
    | null;
  const text = "\0text";
  const around = process === null ? [text] : process([text], null, true).tokens;
  const at = around.indexOf(text);
  const ids = (tokens: readonly string[]): number[] =>
    tokens.flatMap((token) => tokenizer.token_to_id(token) ?? []);
  return { before: ids(around.slice(0, at)), behind: ids(around.slice(at + 1)) };
}

function excerpt(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}
