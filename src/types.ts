/**
 * The nouns of rlpt. Letters used in shape comments everywhere:
 *   P prompts in a step, G completions of each (the group), B = P*G rows
 *   S prompt tokens, T completion tokens, N = tokens in a batch, V vocabulary
 *   H hidden width, L layers, D head dimension, Nh query heads, Nk key/value heads
 */

/** Colours of a picture, 8 bits each. */
export interface RgbPixels {
  width: number;
  height: number;
  /** Row by row from the top, red, green and blue of each pixel. [height, width, 3] */
  data: Uint8Array;
}

/** A picture as data has it. It is read and decoded when a model looks at it, not before. */
export interface Picture {
  /** The same for the same picture across runs; decoded pictures are kept by it. */
  id: string;
  /** What people know it by: its path, or the file, line and column that it stands in. For messages and records. */
  name: string;
  /** The bytes of an image file, or pixels as they are. @throws DataError naming the file that cannot be read */
  load(): Uint8Array | RgbPixels;
}

/** One input of a vision tower: what its patches show, after resizing and normalisation. */
export interface PictureTile {
  /** In the order in which the tower's output becomes image tokens. [rows * columns, K] */
  patches: Float32Array;
  /** Grid of patches. */
  rows: number;
  columns: number;
  /** Image tokens that the tower makes of it. */
  tokens: number;
}

/** A picture as one model reads it. */
export interface ProcessedPicture {
  /** What stands in the prompt where the chat template places a picture: image tokens, and what the model has around them. */
  text: string;
  /** In the order of their image tokens in `text`. */
  tiles: readonly PictureTile[];
}

/** The pictures of one prompt, beside its ids. */
export interface PromptPictures {
  tiles: readonly PictureTile[];
  /** Indices of the image tokens in the prompt's ids, those of the first tile first. */
  at: Int32Array;
}

/** How a model reads pictures, as its processor's files say. */
export interface PictureProcessor {
  /** What a chat template writes for a picture, and `ProcessedPicture.text` for each image token. */
  readonly placeholder: string;
  /** Its id: the embeddings there are the tower's; it is never sampled. */
  readonly imageTokenId: number;
  /** @param size of the picture @returns image tokens and the text that stands for it, without looking at its pixels */
  measure(size: { width: number; height: number }): { tokens: number; text: string };
  process(pixels: RgbPixels): ProcessedPicture;
}

export type ContentPart = { type: "text"; text: string } | { type: "image"; picture: Picture };

export interface ChatMessage {
  role: "system" | "user" | "assistant" | "tool";
  content: string | readonly ContentPart[];
  /** What else a template may read of it: tool_calls, tool_call_id, name, reasoning_content. */
  extra?: Readonly<Record<string, unknown>>;
}

/** A whole conversation, and which of its assistant turns supervised training learns. It ends with one. */
export interface Conversation {
  messages: readonly ChatMessage[];
  learn: "all" | "last";
}

/** One problem. `id` is stable across runs and machines: random draws are derived from it. */
export interface Prompt {
  id: string;
  /** What the policy reads: text taken as it is, or messages that the chat template renders. */
  input:
    | {
        kind: "text";
        text: string;
        /** One for each placeholder in the text, in order. */
        pictures?: readonly Picture[];
      }
    | { kind: "chat"; messages: readonly ChatMessage[]; tools?: readonly unknown[] };
  /** Gold answer, what rewards compare with. Empty when the data has none. */
  answer: string;
  /** Target text of supervised training, without the end token. */
  target?: string;
  /** In the place of a target; `input` is its beginning. */
  conversation?: Conversation;
  /** Two texts of which one is preferred, without the end token. */
  pair?: { chosen: string; rejected: string };
  /** Named slices for evaluation, such as { level: "3" }. */
  slices: Readonly<Record<string, string>>;
  /** The row as it was read; rewards may look at any column. */
  fields: Readonly<Record<string, unknown>>;
  /** What an environment began with to write `input`. */
  seed?: number;
}

/** A call of a tool as a turn wrote it; `error` says why a malformed one cannot be carried out. */
export interface ToolCall {
  name: string;
  arguments: Readonly<Record<string, unknown>>;
  error?: string;
}

/** What the policy did in one turn. */
export interface EnvironmentAction {
  /** Decoded, without the end token. */
  text: string;
  /** Calls that stand in the text, in order; empty: none. */
  toolCalls: readonly ToolCall[];
}

/** What an environment begins with: the same for the same seed and row. */
export interface EnvironmentStart {
  messages: readonly ChatMessage[];
  /** Schemas, for chat templates that know tools. */
  tools?: readonly unknown[];
}

/** What an environment answers to one action. */
export interface EnvironmentStep {
  /** What the policy reads next; may be empty. */
  messages: readonly ChatMessage[];
  reward: number;
  done: boolean;
  /** Plain data for samples.jsonl and rewards. */
  info?: Json;
}

/** An answer of an environment, or why there is none. */
export type EnvironmentReply<Value> =
  | { kind: "ok"; value: Value }
  | { kind: "deadline" | "memory" | "observation" | "error"; message: string };

/** Episodes of an environment, many at once, told apart by a key. */
export interface EnvironmentHost {
  /** For messages: the file, or the built-in name. */
  readonly name: string;
  start(
    key: string,
    seed: number,
    row: Readonly<Record<string, unknown>>,
  ): Promise<EnvironmentReply<EnvironmentStart>>;
  step(key: string, action: EnvironmentAction): Promise<EnvironmentReply<EnvironmentStep>>;
  /** The episode is over; what it holds is freed. */
  end(key: string): void;
  close(): Promise<void>;
}

/**
 * What ended an episode. The environment: `done`. A bound: `turns`, `tokens`. A fault, whose reward is no score: an answer of too
 * many characters or tokens (`observation`), `deadline`, `memory`, `error`.
 */
export type EpisodeEnd = "done" | "turns" | "tokens" | "observation" | "deadline" | "memory" | "error";

/** One turn of an episode. */
export interface EpisodeTurn {
  /** Its sampled tokens in the completion's, the end excluded. */
  from: number;
  to: number;
  text: string;
  toolCalls: readonly ToolCall[];
  /** What the environment answered. */
  messages: readonly ChatMessage[];
  reward: number;
  info?: Json;
}

export interface Episode {
  end: EpisodeEnd;
  /** Why, where the end is a fault. */
  note?: string;
  turns: readonly EpisodeTurn[];
  /** 1 for tokens that were sampled, 0 for the environment's. [T] */
  sampled: Uint8Array;
}

/** Why a completion ended: an end-of-sequence token, a stop string, or the token limit. */
export type FinishReason = "eos" | "stop" | "length";

export interface Completion {
  promptId: string;
  /** 0..G-1 within the group. */
  sampleIndex: number;
  /** Sampled ids, the end token included. [T] */
  tokens: Int32Array;
  /** Log-probability of each sampled token at the training temperature, nats. [T] */
  logprobs: Float32Array;
  /** Entropy of the distribution each token was drawn from, at the training temperature, nats. [T] */
  entropies: Float32Array;
  /** Decoded text without the end token (control tokens that are not `eos` stay in). */
  text: string;
  finishReason: FinishReason;
  /**
   * Where it is several turns with an environment. `tokens` then has the environment's among them, whose logprobs and entropies
   * are 0; `text` has them too.
   */
  episode?: Episode;
}

/** A prompt with its group of completions. */
export interface Group {
  prompt: Prompt;
  promptTokens: Int32Array; // [S]
  pictures: PromptPictures | null;
  completions: Completion[]; // [G]
}

/** Whether a score means something. An error is never a score (docs: promise 3). */
export type RewardStatus = "ok" | "unparsed" | "error" | "timeout";

/** What a judge said to one question, as a run stores it. */
export interface Verdict {
  /** Hash of the question's content and of the settings that the answer depends on. */
  key: string;
  /** Hash of those settings alone: which judge it was. */
  judge: string;
  /** `unreadable`: no reply was a verdict; `refused`: the model takes no such question. */
  status: "read" | "unreadable" | "refused";
  /** A number for each item: 1 yes, 0 no; of a comparison 1 the first, 0 the second, 0.5 a tie. Empty unless `read`. */
  values: readonly number[];
  /** The last reply as it came, cut; or why it was refused. */
  text: string;
  /** Requests that it took, and their tokens. */
  calls: number;
  tokens: number;
}

/** Verdicts by key. What is put stays: a question is asked once in the life of a run. */
export interface VerdictStore {
  get(key: string): Verdict | undefined;
  put(verdict: Verdict): void;
  all(): Iterable<Verdict>;
}

/** Boxes that were compared, x0, y0, x1, y1 each, ends exclusive; for whoever draws them over the picture. */
export interface ComparedBoxes {
  gold: readonly (readonly number[])[];
  given: readonly (readonly number[])[];
  /** Width and height that they count in; absent: the picture's pixels. */
  of?: readonly [number, number];
}

/** What one reward part says of one completion. `value` is 0 unless `status` is "ok" or "unparsed". */
export interface RewardPartResult {
  value: number;
  status: RewardStatus;
  /** Short note for samples.jsonl: the parsed answer, or why it failed. */
  note?: string;
  /** Of parts that compare boxes. */
  boxes?: ComparedBoxes;
}

/** Everything a reward may look at; rewards are pure functions of it. */
export interface RewardInput {
  completion: string;
  finishReason: FinishReason;
  /** Number of completion tokens, the end token included. */
  tokens: number;
  /** The rendered prompt's text: some formats open a tag there. */
  promptText: string;
  answer: string;
  fields: Readonly<Record<string, unknown>>;
  /**
   * Ids without the end token: those sampled, and those of the row's target, or of its answer where it has no target (null where
   * the tokenizer cannot write that). Absent for texts that were not sampled.
   */
  ids?: { completion: ArrayLike<number>; reference: ArrayLike<number> | null };
  /**
   * Of several turns with an environment. `completion`, `tokens` and `ids` are then of the policy's own turns, each on a line of
   * its own.
   */
  episode?: Pick<Episode, "end" | "note" | "turns">;
}

export interface ScoredCompletion extends Completion {
  /** Weighted sum of the parts. */
  reward: number;
  /** The worst status among the parts. */
  status: RewardStatus;
  parts: Readonly<Record<string, RewardPartResult>>;
  /** Did the completion answer correctly? What `accuracy` averages. */
  correct: boolean;
  /** Did it think before it answered? null where think tags are unknown. */
  thinks: boolean | null;
}

/** Text in, ids out, and back. */
export interface Tokenizer {
  /** Rows of the vocabulary the tokenizer knows (largest id + 1). */
  readonly size: number;
  /** Ids below `size` that no token has; absent: none. */
  readonly gaps?: readonly number[];
  readonly bosId: number | null;
  /** Any of these ends a completion. */
  readonly eosIds: readonly number[];
  readonly padId: number;
  /** @param addSpecialTokens run the post-processor (bos); false for a rendered chat template */
  encode(text: string, options: { addSpecialTokens: boolean }): number[];
  decode(ids: ArrayLike<number>, options?: { skipSpecialTokens?: boolean }): string;
  /** Renders messages with the model's template. @throws when the model has none */
  renderChat(
    messages: readonly ChatMessage[],
    options: { addGenerationPrompt: boolean; tools?: readonly unknown[] },
  ): string;
  /**
   * The messages as the template writes them, and where in that text (UTF-16 units, end excluded) its `{% generation %}` blocks
   * lie; null or absent where it marks none.
   */
  renderMarked?(
    messages: readonly ChatMessage[],
    options: { tools?: readonly unknown[] },
  ): { text: string; spans: [number, number][] } | null;
  readonly hasChatTemplate: boolean;
  /** How pictures are read; absent: the model sees none. */
  readonly pictures?: PictureProcessor;
  /**
   * Ids that end an assistant's message after these messages, as the chat template writes them; null or without such
   * a template: the tokenizer's eos_token. Empty: there is none. Absent: the first of `eosIds`.
   */
  turnEnd?(messages: readonly ChatMessage[] | null): readonly number[];
}

/** Batched decoding with a key-value cache; the sampler is the caller's. */
export interface GenerationSession {
  /** Next-token logits of every live row, row-major [rows, V]. The array is reused by the next call. */
  readonly logits: Float32Array;
  readonly rows: number;
  /** Appends one token to every row and computes the next logits. @param tokens [rows] */
  step(tokens: Int32Array): Promise<void>;
  /** Keeps these rows, in this order, and frees the rest. */
  keep(rows: readonly number[]): void;
  dispose(): void;
}

/** How a policy that samples inside its own program does it, row by row; rows of one prompt are consecutive. */
export interface SamplingRequest {
  /** Of each prompt; absent: none has any. */
  pictures?: readonly (PromptPictures | null)[];
  /** Rows per prompt. */
  repeats: number;
  maxNewTokens: number;
  /** 0 is greedy. */
  temperature: number;
  top_p: number;
  top_k: number;
  min_p: number;
  eosIds: readonly number[];
  /** Draw of a row's token number `token`, uniform in [0, 1). */
  uniform(row: number, token: number): number;
  /** What a row's token must be, or must not be; only asked for token < `constrainedTokens`. */
  constraint(row: number, token: number): { force: number } | { ban: number } | undefined;
  constrainedTokens: number;
  /** 1 for ids that are never drawn, as if their logits were -Infinity; null or absent: none. [V] */
  undrawn?: Uint8Array | null;
  /** Has the row ended for a reason that only the host sees? Asked between programs. */
  ended(row: number, tokens: readonly number[]): boolean;
}

/** One row's tokens up to its end, or more: what follows an end that only the host sees is the caller's to cut. */
export interface SampledRow {
  tokens: number[];
  /** Under softmax(logits / temperature) over all ids, before truncation; nats. */
  logprobs: number[];
  /** Of that distribution, nats. */
  entropies: number[];
}

/** How a session of decoding begins. */
export interface GenerationOptions {
  /** Rows per prompt. */
  repeats: number;
  /** The most `step` calls there will be. */
  maxNewTokens: number;
  /** Of each prompt; absent: none has any. */
  pictures?: readonly (PromptPictures | null)[];
}

/** What a sampler needs of a policy. */
export interface GenerativePolicy {
  readonly vocabSize: number;
  /**
   * Prefill, decoding and sampling as one program, where the backend compiles programs: null elsewhere. The draws are
   * those of `sampleToken`, but for rounding where two tokens meet.
   */
  readonly sampleRows?:
    | ((prompts: readonly Int32Array[], request: SamplingRequest) => Promise<SampledRow[]>)
    | null;
  /**
   * Starts decoding. Each prompt is prefilled once and its cache shared by `repeats` consecutive rows.
   * @param prompts P id lists, none empty
   */
  startGeneration(prompts: readonly Int32Array[], options: GenerationOptions): Promise<GenerationSession>;
}

/** Where prompts come from. `at` is a pure function of its index. */
export interface PromptSource {
  /** For messages and provenance: the file, or the task's name. */
  readonly name: string;
  /** null: endless. */
  readonly size: number | null;
  /** @param index 0..size-1 */
  at(index: number): Prompt;
}

/** What JSON holds. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json | undefined };

/** A value that checkpoints save and a resumed stage finds again. Plain JSON, finite numbers. */
export interface Cell<T> {
  value: T;
}

/** Where samplers, shapings and callbacks keep what they change from step to step. */
export interface Cells {
  /** @param initial where nothing was saved under this name */
  cell<T>(name: string, initial: T): Cell<T>;
}

/** What became of one group, for whatever decides by it what comes next. */
export interface GroupOutcome {
  promptId: string;
  /** Mean reward of its completions, before shaping. */
  reward: number;
  /** Share of its completions that are right. */
  accuracy: number;
  /** In the update; false where dynamic sampling left it out. */
  used: boolean;
  /** Of its completions, each the mean over its tokens; empty where the group is in no update. */
  advantages: readonly number[];
}

/** Called after every `every`-th step of a stage with the groups of that step. */
export interface PeriodicCallback {
  every: number;
  call(step: number, outcomes: readonly GroupOutcome[]): void;
}
