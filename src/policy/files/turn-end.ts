/** Which tokens end an assistant's message: found by rendering one with the model's chat template. */
import type { ChatMessage } from "../../types.ts";

/** Stands for an assistant's words; no template changes it. */
const PROBE = "rlptprobe";

export interface TurnEndContext {
  render(messages: readonly ChatMessage[]): string;
  encode(text: string): number[];
  /** Texts of the control tokens. */
  controls: readonly string[];
}

/**
 * What the template writes after an assistant's message, up to and with the first control token: `<|im_end|>`,
 * `<|eot_id|>`, ` </s>`. What follows that token (a line end) is never generated.
 * @returns ids; null where the template writes no control token there, or cannot render these messages
 */
export function templateTurnEnd(
  messages: readonly ChatMessage[],
  { render, encode, controls }: TurnEndContext,
): number[] | null {
  let text: string;
  try {
    text = render([...messages, { role: "assistant", content: PROBE }]);
  } catch {
    return null; // a template may ask for turns that alternate, or for a system message
  }
  const at = text.lastIndexOf(PROBE);
  if (at < 0) return null;
  const behind = text.slice(at + PROBE.length);
  let end: { at: number; control: string } | null = null;
  for (const control of controls) {
    const found = control === "" ? -1 : behind.indexOf(control);
    if (found < 0) continue;
    const longer = end !== null && found === end.at && control.length > end.control.length;
    if (end === null || found < end.at || longer) end = { at: found, control };
  }
  if (end === null) return null;
  const ids = encode(behind.slice(0, end.at + end.control.length));
  if (end.at === 0) return ids;
  // what stands before it follows a word, which the tokenizer may write otherwise than the start of a text
  const word = encode(PROBE);
  const whole = encode(PROBE + behind.slice(0, end.at + end.control.length));
  return word.every((id, i) => whole[i] === id) ? whole.slice(word.length) : ids;
}
