/** What an environment says, as ids that follow the policy's own: encoded once, and nothing that was sampled is encoded again. */
import { DataError } from "../lib/errors.ts";
import type { ChatMessage, Tokenizer } from "../types.ts";

/** A turn that is over. */
export interface TurnBefore {
  messages: readonly ChatMessage[];
  tools: readonly unknown[] | undefined;
  /** Its last id. */
  last: number;
}

/**
 * Ids of new messages after an assistant's turn, up to where its next one begins. With a chat template: what stands behind a
 * sentinel in the assistant's place, so that it does not matter how the template would write what came before. The end of the
 * assistant's message counts with them where the turn was cut before it. Without a template: the messages' texts, one after another.
 * @throws DataError where the template does not write an assistant's text, or refuses the messages
 */
export function observationIds(
  tokenizer: Tokenizer,
  before: TurnBefore,
  messages: readonly ChatMessage[],
): number[] {
  const ids = encoded(tokenizer, before, messages);
  const { pictures } = tokenizer;
  if (pictures !== undefined && ids.includes(pictures.imageTokenId)) {
    throw new DataError("an environment's messages hold the token of a picture, and observations show none");
  }
  return ids;
}

function encoded(tokenizer: Tokenizer, before: TurnBefore, messages: readonly ChatMessage[]): number[] {
  if (!tokenizer.hasChatTemplate) {
    return messages.flatMap(({ content }) =>
      tokenizer.encode(content as string, { addSpecialTokens: false }),
    );
  }
  const sentinel = sentinelFor([...before.messages, ...messages], before.tools);
  let text: string;
  try {
    text = tokenizer.renderChat([...before.messages, { role: "assistant", content: sentinel }, ...messages], {
      addGenerationPrompt: true,
      ...(before.tools === undefined ? {} : { tools: before.tools }),
    });
  } catch (error) {
    throw new DataError(`the chat template refuses the environment's messages: ${(error as Error).message}`, {
      cause: error,
    });
  }
  // a template that writes it twice shows the whole turn at the latter place
  const at = text.lastIndexOf(sentinel);
  if (at < 0) {
    throw new DataError(
      "the chat template leaves out an assistant's text that has a message behind it: nothing says what follows a turn",
    );
  }
  const ids = tokenizer.encode(text.slice(at + sentinel.length), { addSpecialTokens: false });
  const isEnded = tokenizer.eosIds.includes(before.last) && ids[0] === before.last;
  return isEnded ? ids.slice(1) : ids;
}

/** Occurs in none of the messages; digits, which templates leave as they are, and never overlapping itself. */
function sentinelFor(messages: readonly ChatMessage[], tools: readonly unknown[] | undefined): string {
  const all = JSON.stringify([messages, tools ?? []]);
  for (let n = 0; ; n++) {
    const digits = `9${"0".repeat(8 + n)}1`;
    if (!all.includes(digits)) return digits;
  }
}
