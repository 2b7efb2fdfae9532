/** tokenizer.json as a GGUF file's tokenizer.ggml.* metadata: the counterpart of gguf-tokenizer.ts. */
import { ModelFileError } from "../../lib/errors.ts";
import { findChatTemplate } from "./chat-template.ts";
import { EOS_KEYS } from "./gguf-model.ts";
import { TOKEN_TYPE } from "./gguf-token-types.ts";
import { PRE_TOKENIZERS, type PreTokenization, preTokenization } from "./gguf-tokenizer.ts";
import type { WrittenValue } from "./gguf-write.ts";
import { isObject, type JsonObject, parseJsonObject } from "./json.ts";
import type { ModelTokenizer } from "./tokenizer.ts";

export interface WrittenTokenizer {
  metadata: Map<string, WrittenValue>;
  /** What GGUF has no words for; sentences to print. */
  notes: string[];
}

/**
 * @param rows of the embedding: ids without a token are written as unused
 * @throws ModelFileError for tokenizers that are no byte-level BPE, or whose pre-tokenizer has no name in GGUF
 */
export function ggufTokenizerMetadata(
  files: ReadonlyMap<string, Uint8Array>,
  tokenizer: Pick<ModelTokenizer, "eosIds" | "bosId" | "padId" | "turnEnd" | "encode">,
  rows: number,
  path: string,
): WrittenTokenizer {
  const where = `${path}: tokenizer.json`;
  const json = parseJsonObject(files.get("tokenizer.json")!, where);
  const configBytes = files.get("tokenizer_config.json");
  const config = configBytes ? parseJsonObject(configBytes, `${path}: tokenizer_config.json`) : {};
  const pre = preTokenizerName(json, where);
  const added = ((json["added_tokens"] ?? []) as JsonObject[]).filter(({ id }) => (id as number) < rows);
  const notes: string[] = [];

  const tokens = Array.from({ length: rows }, (_, id) => `[PAD${id}]`);
  const types: number[] = new Array(rows).fill(TOKEN_TYPE.unused);
  const model = json["model"] as JsonObject;
  for (const [token, id] of Object.entries(model["vocab"] as Record<string, number>)) {
    if (id >= rows) continue;
    tokens[id] = token;
    types[id] = TOKEN_TYPE.normal;
  }
  for (const { id, content, special } of added) {
    tokens[id as number] = content as string;
    types[id as number] = special === true ? TOKEN_TYPE.control : TOKEN_TYPE.userDefined;
  }
  const stripping = added.filter(({ lstrip, rstrip }) => lstrip === true || rstrip === true);
  if (stripping.length > 0) {
    notes.push(
      `${where}: ${stripping.map(({ content }) => content).join(", ")} swallow the white space beside them, which GGUF cannot say`,
    );
  }
  const merges = (model["merges"] as (string | string[])[]).map((merge) =>
    typeof merge === "string" ? merge : merge.join(" "),
  );
  const metadata = new Map<string, WrittenValue>([
    ["tokenizer.ggml.model", { string: "gpt2" }],
    ["tokenizer.ggml.pre", { string: pre }],
    ["tokenizer.ggml.tokens", { strings: tokens }],
    ["tokenizer.ggml.token_type", { i32s: types }],
    ["tokenizer.ggml.merges", { strings: merges }],
  ]);
  for (const [key, id] of specialIds(tokenizer, config, tokens, notes, path)) metadata.set(key, { u32: id });
  const { bos, eos } = textEnds(tokenizer, path);
  metadata.set("tokenizer.ggml.add_bos_token", { bool: bos });
  metadata.set("tokenizer.ggml.add_eos_token", { bool: eos });
  metadata.set("tokenizer.ggml.add_space_prefix", { bool: false });
  const template = findChatTemplate(files, config, path);
  if (template !== null) metadata.set("tokenizer.chat_template", { string: template });
  return { metadata, notes };
}

/** Steps in one list, with the keys that decide about ids. */
function steps(preTokenizer: unknown): unknown[] {
  if (!isObject(preTokenizer)) return [];
  if (preTokenizer["type"] === "Sequence") return (preTokenizer["pretokenizers"] as unknown[]).flatMap(steps);
  const { trim_offsets: _offsets, ...step } = preTokenizer;
  return [
    step["type"] === "ByteLevel"
      ? {
          type: "ByteLevel",
          add_prefix_space: step["add_prefix_space"] !== false,
          use_regex: step["use_regex"] !== false,
        }
      : { ...step, ...(step["type"] === "Split" ? { invert: step["invert"] === true } : {}) },
  ];
}

function comparable(
  style: Pick<PreTokenization, "normalizer" | "ignoreMerges"> & { steps: unknown[] },
): string {
  const sorted = (_key: string, value: unknown) =>
    isObject(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value;
  return JSON.stringify([style.steps, style.normalizer, style.ignoreMerges], sorted);
}

/** The name that llama.cpp knows this tokenizer.json's pre-tokenizer by. */
function preTokenizerName(json: JsonObject, where: string): string {
  const model = json["model"] as JsonObject;
  const merges = model["merges"];
  if (model["type"] !== "BPE" || model["byte_fallback"] === true || !Array.isArray(merges)) {
    throw new ModelFileError(
      `${where}: model.type = ${JSON.stringify(model["type"])}${model["byte_fallback"] === true ? " with byte_fallback" : ""}: only byte-level BPE can be written to GGUF; export a Hugging Face directory instead`,
    );
  }
  const own = comparable({
    steps: steps(json["pre_tokenizer"]),
    normalizer: isObject(json["normalizer"]) ? json["normalizer"] : null,
    ignoreMerges: model["ignore_merges"] === true,
  });
  const name = PRE_TOKENIZERS.find((candidate) => {
    const { preTokenizers, normalizer, ignoreMerges } = preTokenization(candidate)!;
    return comparable({ steps: preTokenizers.flatMap(steps), normalizer, ignoreMerges }) === own;
  });
  if (name === undefined) {
    throw new ModelFileError(
      `${where}: its normalizer, pre_tokenizer and ignore_merges are those of none of ${PRE_TOKENIZERS.join(", ")}, so GGUF has no name for them: export a Hugging Face directory instead`,
    );
  }
  return name;
}

/** Keys of special tokens. GGUF has three that end a completion. */
function specialIds(
  tokenizer: Pick<ModelTokenizer, "eosIds" | "bosId" | "padId" | "turnEnd">,
  config: JsonObject,
  tokens: readonly string[],
  notes: string[],
  path: string,
): [string, number][] {
  const named = (key: string): number | null => {
    const value = config[key];
    const text = isObject(value) ? value["content"] : value;
    const id = typeof text === "string" ? tokens.indexOf(text) : -1;
    return id < 0 ? null : id;
  };
  const turnEnd = tokenizer.turnEnd?.([{ role: "user", content: "Hi" }]).at(-1) ?? null;
  const first = [named("eos_token"), turnEnd].filter((id) => id !== null && tokenizer.eosIds.includes(id));
  const ends = [...new Set([...(first as number[]), ...tokenizer.eosIds])];
  if (ends.length > EOS_KEYS.length) {
    const left = ends.slice(EOS_KEYS.length).map((id) => JSON.stringify(tokens[id]));
    notes.push(`${path}: GGUF holds ${EOS_KEYS.length} end tokens; left out: ${left.join(", ")}`);
  }
  const unknown = named("unk_token");
  return [
    ...ends.slice(0, EOS_KEYS.length).map((id, i): [string, number] => [EOS_KEYS[i]!, id]),
    ...(tokenizer.bosId === null
      ? []
      : [["tokenizer.ggml.bos_token_id", tokenizer.bosId] as [string, number]]),
    ["tokenizer.ggml.padding_token_id", tokenizer.padId],
    ...(unknown === null ? [] : [["tokenizer.ggml.unknown_token_id", unknown] as [string, number]]),
  ];
}

/** What is written around a plain text. @throws ModelFileError for more than bos before and eos behind */
function textEnds(
  tokenizer: Pick<ModelTokenizer, "bosId" | "eosIds" | "encode">,
  path: string,
): { bos: boolean; eos: boolean } {
  const around = tokenizer.encode("", { addSpecialTokens: true });
  const bos = around.length > 0 && around[0] === tokenizer.bosId;
  const rest = bos ? around.slice(1) : around;
  const eos = rest.length === 1 && tokenizer.eosIds.includes(rest[0]!);
  if (rest.length > 0 && !eos) {
    throw new ModelFileError(
      `${path}: the tokenizer writes the ids ${around.join(", ")} around a text; GGUF can say bos before it and eos behind it`,
    );
  }
  return { bos, eos };
}
