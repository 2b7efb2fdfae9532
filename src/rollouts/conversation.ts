/** A conversation as supervised training reads it: ids, and which of them are learnt. */
import { DataError } from "../lib/errors.ts";
import { picturesOf } from "../pictures/shown.ts";
import type { ChatMessage, Prompt, PromptPictures, Tokenizer } from "../types.ts";
import { expanded, type Look, lookAt, placed } from "./pictures.ts";

export interface LearntTokens {
  ids: number[]; // [S]
  /** Carries loss. [S] */
  learnt: boolean[];
  /** Of the whole conversation; `at` counts from its first token. */
  pictures: PromptPictures | null;
}

/**
 * Where the template marks what the assistant writes (`{% generation %}`), these tokens are learnt, as transformers'
 * `return_assistant_tokens_mask` has them: all that a block touches. Elsewhere a turn is what stands behind the rendered beginning
 * of the conversation, up to the token that ends it.
 * @throws DataError where the template drops a turn, writes one otherwise once more turns follow, or its tokens cannot be told apart
 */
export function encodeConversation(
  tokenizer: Tokenizer,
  prompt: Prompt,
  look: Look = "pixels",
): LearntTokens {
  const { messages, learn } = prompt.conversation!;
  const tools = prompt.input.kind === "chat" ? prompt.input.tools : undefined;
  const given = tools === undefined ? {} : { tools };
  const seen = lookAt(picturesOf(prompt), tokenizer, prompt.id, look);
  const inPlace = (text: string): string => expanded(text, seen, prompt.id, false);
  const render = (part: readonly ChatMessage[], addGenerationPrompt = false) =>
    inPlace(tokenizer.renderChat(part, { addGenerationPrompt, ...given }));
  const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
  const text = render(messages);
  refuseDropped(messages, text, render);
  const ids = encode(text);
  const pictures = placed(ids, seen, prompt.id);
  const learnt = ids.map(() => false);
  const turns = messages.flatMap(({ role }, index) => (role === "assistant" ? [index] : []));
  const wanted = learn === "last" ? turns.slice(-1) : turns;

  const marked = tokenizer.renderMarked?.(messages, given) ?? null;
  if (marked !== null) {
    if (inPlace(marked.text) !== text || marked.spans.length < turns.length)
      throw new DataError(
        `the chat template marks ${marked.spans.length} of ${turns.length} assistant turns by {% generation %}; mend it, or name another by model.chat_template`,
      );
    const spans = learn === "last" ? marked.spans.slice(-1) : marked.spans;
    for (const [start, end] of spans) {
      // a token that crosses a border belongs to the block
      const first = commonLength(encode(inPlace(marked.text.slice(0, start))), ids);
      const before = encode(inPlace(marked.text.slice(0, end)));
      const whole = commonLength(before, ids);
      for (let i = first; i < (whole === before.length ? whole : whole + 1); i++) learnt[i] = true;
    }
    return { ids, learnt, pictures };
  }

  for (const index of wanted) {
    const turn = `turn ${index + 1} (assistant)`;
    const beginning = render(messages.slice(0, index), true);
    const until = render(messages.slice(0, index + 1));
    if (!text.startsWith(beginning) || !text.startsWith(until)) {
      throw new DataError(
        `the chat template writes ${turn} otherwise when the conversation goes on than when it is answered; set messages.learn: last, or name a template with {% generation %} by model.chat_template`,
      );
    }
    const before = encode(beginning);
    if (commonLength(before, ids) < before.length) {
      throw new DataError(
        `the first token of ${turn} joins the template's text before it, so what is learnt has no beginning; name a template with {% generation %} by model.chat_template`,
      );
    }
    const end = turnEnd(tokenizer, messages.slice(0, index), ids, before.length, encode(until).length);
    for (let i = before.length; i < end; i++) learnt[i] = true;
  }
  return { ids, learnt, pictures };
}

/** The turn ends with the ids that the template writes after an assistant's message; without such, with the text. */
function turnEnd(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  ids: readonly number[],
  from: number,
  to: number,
): number {
  const end = tokenizer.turnEnd?.(messages) ?? tokenizer.eosIds.slice(0, 1);
  if (end.length === 0) return to;
  for (let at = to - end.length; at >= from; at--)
    if (end.every((id, i) => ids[at + i] === id)) return at + end.length;
  return to;
}

/** A turn without which the text is the same is one that the model never sees. */
function refuseDropped(
  messages: readonly ChatMessage[],
  text: string,
  render: (part: readonly ChatMessage[]) => string,
): void {
  // where all are found one after the other nothing was dropped, and most rows are done with that
  let from = 0;
  const inOrder = messages.every(({ content }) => {
    const words = typeof content === "string" ? content.trim() : "";
    const at = words === "" ? -1 : text.indexOf(words, from);
    from = at + words.length;
    return at >= 0;
  });
  if (inOrder) return;
  for (const [index, { role }] of messages.entries()) {
    let without: string;
    try {
      without = render(messages.filter((_, other) => other !== index));
    } catch {
      continue; // it needs the turn
    }
    if (without === text)
      throw new DataError(
        `the chat template drops turn ${index + 1} (${role}); leave it out, or name another template by model.chat_template`,
      );
  }
}

/** Ids that both begin with. */
function commonLength(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}
