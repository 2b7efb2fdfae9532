import type { ChatMessage, Picture, Prompt } from "../../types.ts";

/** The pictures of what the policy reads, in order; of a conversation that is learnt those of all its turns. */
export function picturesOfPrompt({ input, conversation }: Pick<Prompt, "input" | "conversation">): Picture[] {
  if (conversation !== undefined) return conversation.messages.flatMap(inMessage);
  return input.kind === "text" ? [...(input.pictures ?? [])] : input.messages.flatMap(inMessage);
}

function inMessage({ content }: ChatMessage): Picture[] {
  if (typeof content === "string") return [];
  return content.flatMap((part) => (part.type === "image" ? [part.picture] : []));
}
