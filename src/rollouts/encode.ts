import { DataError } from "../lib/errors.ts";
import type { Prompt, Tokenizer } from "../types.ts";

/**
 * A prompt's ids: plain text with the tokenizer's special tokens, messages through the chat template
 * (which writes them itself, so none are added).
 * @throws DataError when it is empty or longer than `maxTokens`; a prompt is never cut
 */
export function encodePrompt(tokenizer: Tokenizer, prompt: Prompt, maxTokens: number): Int32Array {
  const ids = tokenizer.encode(promptText(tokenizer, prompt), {
    addSpecialTokens: prompt.input.kind === "text",
  });
  if (ids.length === 0) throw new DataError(`prompt ${prompt.id} is empty after tokenization`);
  if (ids.length > maxTokens) {
    throw new DataError(
      `prompt ${prompt.id} has ${ids.length} tokens, the limit is ${maxTokens}: raise rollout.max_prompt_tokens, lower rollout.max_new_tokens, or drop the row`,
    );
  }
  return Int32Array.from(ids);
}

/** What the policy reads, as text. */
export function promptText(tokenizer: Tokenizer, prompt: Prompt): string {
  return prompt.input.kind === "text"
    ? prompt.input.text
    : tokenizer.renderChat(prompt.input.messages, { addGenerationPrompt: true });
}
