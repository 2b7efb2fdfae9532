/** Conversations of a row: messages as chat templates take them, and where prompts end in them. */
import type { ChatMessage, ContentPart } from "../types.ts";
import { lookUp, RowFault } from "./columns.ts";
import { type PicturePlace, pictureOf } from "./own-pictures/picture-value.ts";
import { unplaced } from "./own-pictures/placing.ts";

/** Names of roles; ShareGPT's, and what tools call their turns. */
const ROLES: Readonly<Record<string, ChatMessage["role"]>> = {
  system: "system",
  developer: "system",
  user: "user",
  human: "user",
  assistant: "assistant",
  gpt: "assistant",
  model: "assistant",
  tool: "tool",
  function: "tool",
  observation: "tool",
};

/**
 * The messages of a column. A picture that a part does not name is `unplaced`.
 * @throws RowFault naming column and turn
 */
export function messagesOf(
  fields: Readonly<Record<string, unknown>>,
  column: string,
  place: PicturePlace,
): ChatMessage[] {
  const value = listOf(fields, column);
  const messages = value.map((turn, index) =>
    messageOf(turn, `turn ${index + 1} of column ${column}`, place),
  );
  const first = messages.findIndex(({ role }) => role === "user");
  if (first < 0) throw new RowFault(`column ${column} has no user turn`);
  return messages;
}

/** A column that holds a list, or JSON text of one. @throws RowFault */
export function listOf(fields: Readonly<Record<string, unknown>>, column: string): unknown[] {
  const value = lookUp(fields, column);
  if (value === undefined) {
    throw new RowFault(
      `has no column ${column}; it has ${Object.keys(fields).slice(0, 12).join(", ") || "none"}`,
    );
  }
  let list = value;
  if (typeof value === "string") {
    try {
      list = JSON.parse(value);
    } catch {
      throw new RowFault(`column ${column} is text that is no JSON list`);
    }
  }
  if (!Array.isArray(list))
    throw new RowFault(`column ${column} is ${list === null ? "null" : `a ${typeof list}`}, not a list`);
  return list;
}

function messageOf(turn: unknown, where: string, place: PicturePlace): ChatMessage {
  if (typeof turn !== "object" || turn === null || Array.isArray(turn))
    throw new RowFault(`${where} is no object with role and content`);
  const { role, from, content, value, ...others } = turn as Record<string, unknown>;
  const said = role ?? from;
  const known = typeof said === "string" && Object.hasOwn(ROLES, said) ? ROLES[said]! : null;
  if (known === null)
    throw new RowFault(
      `${where} has the role ${JSON.stringify(said) ?? "nothing"}; use ${Object.keys(ROLES).join(", ")}`,
    );
  const text = content ?? value ?? null;
  // tables give every turn the same keys
  const extra = Object.fromEntries(
    Object.entries(others).filter(([, each]) => each !== null && each !== undefined),
  );
  const more = Object.keys(extra).length === 0 ? {} : { extra };
  if (typeof text === "string") return { role: known, content: text, ...more };
  if (text === null && known === "assistant" && extra["tool_calls"] !== undefined)
    return { role: known, content: "", ...more };
  if (Array.isArray(text) && text.length > 0) {
    const parts = text.every(isText)
      ? text
      : text.map((part, index) => partOf(part, `${where}, part ${index + 1}`, place));
    if (known === "assistant" && parts.some(({ type }) => type === "image"))
      throw new RowFault(`${where} is the assistant's and holds a picture; models write text alone`);
    return { role: known, content: parts, ...more };
  }
  throw new RowFault(
    `${where} has no text: its content is ${text === null ? "null" : `${Array.isArray(text) ? "an empty list" : `a ${typeof text}`}`}`,
  );
}

const isText = (part: unknown): part is ContentPart & { type: "text" } =>
  typeof part === "object" &&
  part !== null &&
  (part as ContentPart).type === "text" &&
  typeof (part as { text: unknown }).text === "string";

/** A part as OpenAI's interface, transformers and TRL write them; tables give every part the same keys. */
function partOf(part: unknown, where: string, place: PicturePlace): ContentPart {
  if (isText(part)) return { type: "text", text: part.text };
  if (typeof part !== "object" || part === null) throw new RowFault(`${where} is no object with a type`);
  const { type, image_url: address, image, path, url } = part as Record<string, unknown>;
  if (type !== "image" && type !== "image_url")
    throw new RowFault(
      `${where} has the type ${JSON.stringify(type) ?? "nothing"}; use text, image or image_url`,
    );
  const named = (address as { url?: unknown } | null | undefined)?.url ?? address;
  const source = image ?? path ?? url ?? named ?? null;
  if (source === null) return unplaced;
  return { type: "image", picture: pictureOf(source, where, place) };
}

/**
 * Ends of prompts in a conversation, as numbers of messages.
 * @throws RowFault where there is none
 */
export function promptEnds(
  messages: readonly ChatMessage[],
  column: string,
  prompts: "end" | "last_user" | "each_user",
): number[] {
  if (prompts === "end") {
    const { role } = messages.at(-1)!;
    if (role === "user" || role === "tool") return [messages.length];
    throw new RowFault(
      `column ${column} ends with the ${role}, so nothing is asked; set messages.prompts: last_user or each_user, or messages.learn for supervised training`,
    );
  }
  const ends = messages.flatMap(({ role }, index) => (role === "user" ? [index + 1] : []));
  return prompts === "last_user" ? ends.slice(-1) : ends;
}

/** The conversation up to its last assistant turn. @throws RowFault without one */
export function learntPart(messages: readonly ChatMessage[], column: string): ChatMessage[] {
  const last = messages.findLastIndex(({ role }) => role === "assistant");
  if (last < 0) throw new RowFault(`column ${column} has no assistant turn to learn`);
  return messages.slice(0, last + 1);
}

/** The text of a turn. */
export function turnText({ content }: ChatMessage): string {
  return typeof content === "string"
    ? content
    : content.map((part) => (part.type === "text" ? part.text : "")).join("");
}
