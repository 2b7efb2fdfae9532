import type { ChatMessage, Picture, Prompt } from "../types.ts";

/** The pictures of what the policy reads, in order; of a conversation that is learnt those of all its turns. */
export function picturesOf({ input, conversation }: Pick<Prompt, "input" | "conversation">): Picture[] {
  if (conversation !== undefined) return messagePictures(conversation.messages);
  return input.kind === "text" ? [...(input.pictures ?? [])] : messagePictures(input.messages);
}

function messagePictures(messages: readonly ChatMessage[]): Picture[] {
  return messages.flatMap(({ content }) =>
    typeof content === "string"
      ? []
      : content.flatMap((part) => (part.type === "image" ? [part.picture] : [])),
  );
}
