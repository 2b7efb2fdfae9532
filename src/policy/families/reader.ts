/** config.json read key by key: what is missing, out of range or not understood is refused by name. */
import { ModelFileError } from "../../lib/errors.ts";

export type Json = Readonly<Record<string, unknown>>;

/** Above the largest public model by an order of magnitude, and below what would exhaust memory before weights are read. */
const LARGEST = {
  size: 10_000_000,
  width: 1_000_000,
  layers: 2_000,
  heads: 10_000,
  headDim: 100_000,
  positions: 1_000_000_000,
};
export type Count = keyof typeof LARGEST;

/** Keys of any config.json that do not change logits: ids, names, dropout, what generation and training default to. */
const WITHOUT_EFFECT = new Set(
  `architectures auto_map model_type transformers_version torch_dtype dtype initializer_range use_cache cache_implementation
  bos_token_id eos_token_id pad_token_id unk_token_id sep_token_id cls_token_id mask_token_id decoder_start_token_id
  image_token_id forced_bos_token_id forced_eos_token_id tokenizer_class name_or_path license language tags
  attention_dropout hidden_dropout attn_dropout dropout activation_dropout classifier_dropout residual_dropout
  embedding_dropout attn_pdrop embd_pdrop resid_pdrop pretraining_tp gradient_checkpointing
  output_attentions output_hidden_states return_dict use_return_dict torchscript use_bfloat16 tf_legacy_loss pruned_heads
  chunk_size_feed_forward is_decoder is_encoder_decoder finetuning_task problem_type num_labels id2label label2id
  task_specific_params prefix attn_implementation attention_implementation max_length min_length max_new_tokens do_sample
  early_stopping num_beams num_beam_groups diversity_penalty temperature top_k top_p typical_p repetition_penalty
  length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids num_return_sequences
  exponential_decay_length_penalty suppress_tokens begin_suppress_tokens output_scores return_dict_in_generate
  remove_invalid_values tie_encoder_decoder cross_attention_hidden_size add_cross_attention
  ignore_keys_at_rope_validation unsloth_fixed unsloth_version is_llama_config transformers.js_config`.split(
    /\s+/,
  ),
);

/** Set to one of these, a key that nobody knows asks for nothing. */
function asksForNothing(value: unknown): boolean {
  if (value == null || value === false || value === 0 || value === "") return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

export class ConfigReader {
  readonly json: Json;
  /** What messages start with. */
  readonly file: string;
  readonly family: string;
  private known = new Set(["quantization_config"]);

  /** @throws ModelFileError for a quantised checkpoint */
  constructor(json: Json, file: string, family: string) {
    this.json = json;
    this.file = file;
    this.family = family;
    if (json["quantization_config"] != null) {
      this.fail(
        "quantization_config",
        "quantised checkpoints are not supported; use the original or a GGUF file",
      );
    }
  }

  /** The same file with some keys said in the words of another class; what is read of it counts as read here. */
  with(json: Json): ConfigReader {
    const other = new ConfigReader(json, this.file, this.family);
    other.known = this.known;
    return other;
  }

  fail(key: string, reason: string): never {
    const value = this.json[key] === undefined ? "is missing" : `= ${JSON.stringify(this.json[key])}`;
    throw new ModelFileError(`${this.file}: ${key} ${value}: ${reason}`);
  }

  refuse(sentence: string): never {
    throw new ModelFileError(`${this.file}: ${sentence}`);
  }

  raw(key: string): unknown {
    this.known.add(key);
    return this.json[key];
  }

  /** A positive integer. null counts as absent where there is a fallback for null. */
  count(key: string, kind: Count, fallback?: number): number {
    const found = this.raw(key);
    const value = found === undefined ? fallback : found;
    if (!Number.isInteger(value) || (value as number) < 1) this.fail(key, "a positive integer is needed");
    if ((value as number) > LARGEST[kind]) this.fail(key, `at most ${LARGEST[kind]} is supported`);
    return value as number;
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.raw(key) ?? fallback;
    return typeof value === "boolean" ? value : this.fail(key, "true or false is needed");
  }

  /** A positive number. */
  positive(key: string, fallback: number): number {
    const value = this.raw(key) === undefined ? fallback : this.json[key];
    return typeof value === "number" && Number.isFinite(value) && value > 0
      ? value
      : this.fail(key, "a positive number is needed");
  }

  /** A positive number, or null for none. */
  positiveOrNone(key: string, fallback: number | null): number | null {
    const value = this.raw(key) === undefined ? fallback : this.json[key];
    return value === null ? null : this.positive(key, fallback ?? 1);
  }

  oneOf<T extends string>(key: string, values: readonly T[], fallback: T): T {
    const value = this.raw(key) ?? fallback;
    if (values.includes(value as T)) return value as T;
    const list = values.map((v) => JSON.stringify(v));
    return this.fail(key, `only ${list.join(" and ")} ${list.length === 1 ? "is" : "are"} supported`);
  }

  /** Keys that can say only what the model is computed as anyway. */
  only(keys: Readonly<Record<string, unknown>>, why: string): void {
    for (const [key, value] of Object.entries(keys)) {
      const found = this.raw(key);
      if (found != null && found !== value) {
        this.fail(key, `only ${JSON.stringify(value)} is supported: ${why}`);
      }
    }
  }

  /** Keys that files of the family hold and its class does not read. */
  unread(...keys: string[]): void {
    for (const key of keys) this.known.add(key);
  }

  /** After everything has been read. @throws ModelFileError naming every key that is set and that nobody asked for */
  finish(): void {
    const strange = Object.keys(this.json).filter(
      (key) =>
        !this.known.has(key) &&
        !WITHOUT_EFFECT.has(key) &&
        !key.startsWith("_") &&
        !asksForNothing(this.json[key]),
    );
    if (strange.length === 0) return;
    const list = strange.map((key) => `${key} = ${JSON.stringify(this.json[key])?.slice(0, 60)}`).join(", ");
    const many = strange.length > 1;
    this.refuse(
      `${list}: ${many ? "these keys are" : "this key is"} not known to ${this.family}, and a model is never read in part; ` +
        `where ${many ? "they change" : "it changes"} nothing (a remark of a tool), take ${many ? "them" : "it"} out`,
    );
  }
}
