/** Conversations of a row: messages as chat templates take them, and where prompts end in them. */
import type { ChatMessage, ContentPart } from "../types.ts";
import { lookUp, RowFault } from "./columns.ts";

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
 * The messages of a column.
 * @throws RowFault naming column and turn
 */
export function messagesOf(fields: Readonly<Record<string, unknown>>, column: string): ChatMessage[] {
  const value = listOf(fields, column);
  const messages = value.map((turn, index) => messageOf(turn, `turn ${index + 1} of column ${column}`));
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

function messageOf(turn: unknown, where: string): ChatMessage {
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
  if (Array.isArray(text) && text.every(isPart)) return { role: known, content: text, ...more };
  throw new RowFault(
    `${where} has no text: its content is ${text === null ? "null" : `a ${Array.isArray(text) ? "list" : typeof text}`}`,
  );
}

const isPart = (part: unknown): part is ContentPart =>
  typeof part === "object" &&
  part !== null &&
  (part as ContentPart).type === "text" &&
  typeof (part as { text: unknown }).text === "string";

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
