/**
 * Modes at the decision token: the first token after `<think>`, where a policy closes the block at once
 * (an answer without thinking) or begins to think.
 */
import { DataError } from "../lib/errors.ts";
import type { Tokenizer } from "../types.ts";
import type { TokenConstraint } from "./sample-token.ts";

const OPEN = "<think>";
const CLOSE = "</think>";

/** How many completions of each group are made to decide one way, the first ones. */
export interface ForcedModes {
  direct: number;
  thinking: number;
  /** Ids of `</think>`. [1 or more] */
  close: readonly number[];
}

/** Does the prompt end inside a think block, so that the completion's first token decides? */
export function opensThinking(promptText: string): boolean {
  const open = promptText.lastIndexOf(OPEN);
  return open >= 0 && open > promptText.lastIndexOf(CLOSE);
}

/**
 * Index of the decision token: the first token that starts at or after the end of `<think>`, found by
 * character offset, since a tokenizer may merge `>` with what follows; 0 where the prompt opened the block.
 * AdaCoT (arXiv:2505.11896), selective loss masking: k_decision.
 * @param text the tokens, decoded
 * @returns null where there is no decision: no think block, or nothing after `<think>`
 */
export function decisionToken(
  tokenizer: Tokenizer,
  promptText: string,
  tokens: Int32Array,
  text: string,
): number | null {
  if (opensThinking(promptText)) return tokens.length > 0 ? 0 : null;
  const at = text.indexOf(OPEN);
  if (at < 0) return null;
  const end = at + OPEN.length;
  for (let k = 1; k < tokens.length; k++) {
    if (tokenizer.decode(tokens.subarray(0, k)).length >= end) return k;
  }
  return null;
}

/** @throws DataError when a prompt leaves the decision to a later token */
export function forcedModes(
  tokenizer: Tokenizer,
  { direct, thinking }: { direct: number; thinking: number },
  prompts: readonly { id: string; text: string }[],
): ForcedModes {
  const other = prompts.find(({ text }) => !opensThinking(text));
  if (other !== undefined) {
    throw new DataError(
      `prompt ${other.id} does not end inside ${OPEN}, so its completion's first token decides nothing: ` +
        `open the block in the prompt (data.train.template, or the chat template), or remove rollout.mode_samples`,
    );
  }
  return { direct, thinking, close: tokenizer.encode(CLOSE, { addSpecialTokens: false }) };
}

/** What token `t` of the group's completion number `place` must be; undefined: the policy's own draw. */
export function modeConstraint(
  { direct, thinking, close }: ForcedModes,
  place: number,
  t: number,
): TokenConstraint | undefined {
  if (place < direct) return t < close.length ? { force: close[t]! } : undefined;
  return place < direct + thinking && t === 0 ? { ban: close[0]! } : undefined;
}
