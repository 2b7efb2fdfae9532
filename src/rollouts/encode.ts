import { ConfigError, DataError } from "../lib/errors.ts";
import { picturesOf } from "../pictures/shown.ts";
import type { Prompt, PromptPictures, Tokenizer } from "../types.ts";
import { encodeConversation } from "./conversation.ts";
import { expanded, type Look, lookAt, placed } from "./pictures.ts";

/** A prompt as the policy takes it. */
export interface PromptIds {
  tokens: Int32Array; // [S]
  pictures: PromptPictures | null;
}

/**
 * A prompt's ids: plain text with the tokenizer's special tokens, messages through the chat template
 * (which writes them itself, so none are added); and its pictures, decoded and cut into what the model's tower reads.
 * @param look "size": the ids alone, for which nothing is decoded
 * @throws DataError when it is empty or longer than `maxTokens`, or a picture cannot be read; a prompt is never cut
 */
export function encodePrompt(
  tokenizer: Tokenizer,
  prompt: Prompt,
  maxTokens: number,
  look: Look = "pixels",
): PromptIds {
  const { id, input } = prompt;
  const seen = lookAt(picturesOf({ input }), tokenizer, id, look);
  const tokens = idsOf(tokenizer, prompt, expanded(promptText(tokenizer, prompt), seen, id), maxTokens);
  return { tokens, pictures: placed(tokens, seen, id) };
}

function idsOf(tokenizer: Tokenizer, prompt: Prompt, text: string, maxTokens: number): Int32Array {
  const ids = tokenizer.encode(text, { addSpecialTokens: prompt.input.kind === "text" });
  if (ids.length === 0) throw new DataError(`prompt ${prompt.id} is empty after tokenization`);
  if (ids.length > maxTokens) {
    throw new DataError(
      `prompt ${prompt.id} has ${ids.length} tokens, the limit is ${maxTokens}: raise rollout.max_prompt_tokens, lower rollout.max_new_tokens, or drop the row`,
    );
  }
  return Int32Array.from(ids);
}

/**
 * A target's ids with its end: what the chat template writes after an assistant's message, else the tokenizer's
 * eos_token.
 * @param endToken text of the token that ends it instead; null: none
 * @throws ConfigError when it is no single token, or none at which this model's completions end
 */
export function encodeTarget(
  tokenizer: Tokenizer,
  prompt: Prompt,
  target: string,
  endToken?: string | null,
): number[] {
  const ids = tokenizer.encode(target, { addSpecialTokens: false });
  if (endToken === null) return ids;
  if (endToken !== undefined) return [...ids, endTokenId(tokenizer, endToken)];
  const messages = prompt.input.kind === "chat" ? prompt.input.messages : null;
  return [...ids, ...(tokenizer.turnEnd?.(messages) ?? tokenizer.eosIds.slice(0, 1))];
}

/** A row of supervised training; its tokens in order are prompt, then completion. */
export interface Example {
  prompt: Int32Array; // [S]
  pictures: PromptPictures | null;
  completion: number[]; // [T]
  /** Which tokens of the completion carry loss; absent: all. [T] */
  learnt?: boolean[];
}

/**
 * A prompt with its target, or a conversation: its prompt is then what stands before the first token that is learnt.
 * @throws DataError where there is no text to learn, or the prompt is longer than `maxPromptTokens`
 */
export function encodeExample(
  tokenizer: Tokenizer,
  prompt: Prompt,
  maxPromptTokens: number,
  endToken?: string | null,
  look: Look = "pixels",
): Example {
  if (prompt.conversation === undefined) {
    if (prompt.target === undefined) throw new DataError(`prompt ${prompt.id} has no target`);
    const { tokens, pictures } = encodePrompt(tokenizer, prompt, maxPromptTokens, look);
    return {
      prompt: tokens,
      pictures,
      completion: encodeTarget(tokenizer, prompt, prompt.target, endToken),
    };
  }
  const { ids, learnt, pictures } = encodeConversation(tokenizer, prompt, look);
  const first = learnt.indexOf(true);
  if (first < 1) throw new DataError(`prompt ${prompt.id} has no token to learn`);
  // nothing follows the last token that is learnt
  const last = learnt.lastIndexOf(true);
  return {
    prompt: Int32Array.from(ids.slice(0, first)),
    pictures,
    completion: ids.slice(first, last + 1),
    learnt: learnt.slice(first, last + 1),
  };
}

function endTokenId(tokenizer: Tokenizer, text: string): number {
  const ids = tokenizer.encode(text, { addSpecialTokens: false });
  const fault = `algorithm.end_token: ${JSON.stringify(text)}`;
  if (ids.length !== 1) {
    throw new ConfigError(`${fault} is ${ids.length} tokens of this tokenizer; name a single one`);
  }
  if (!tokenizer.eosIds.includes(ids[0]!)) {
    const ends = tokenizer.eosIds.map((id) => JSON.stringify(tokenizer.decode([id]))).join(", ");
    throw new ConfigError(
      `${fault} does not end this model's completions, which end at ${ends || "nothing"}; name one of these, or add ${ids[0]} to eos_token_id in its generation_config.json`,
    );
  }
  return ids[0]!;
}

/** What the policy reads, as text. */
export function promptText(tokenizer: Tokenizer, prompt: Prompt): string {
  return prompt.input.kind === "text"
    ? prompt.input.text
    : tokenizer.renderChat(prompt.input.messages, {
        addGenerationPrompt: true,
        ...(prompt.input.tools === undefined ? {} : { tools: prompt.input.tools }),
      });
}
