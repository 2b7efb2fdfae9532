/**
 * Calls of tools in a text, in the forms that open models write: JSON inside <tool_call> (Hermes, Qwen2.5, Qwen3), and
 * <function=name> with <parameter=key> inside it (Qwen3-Coder). What is not closed or cannot be read is a call with an error.
 */
import type { ToolCall } from "../types.ts";

const OPEN = "<tool_call>";
const CLOSE = "</tool_call>";

/** @returns calls in their order; empty where there are none */
export function toolCallsOf(text: string): ToolCall[] {
  const calls: ToolCall[] = [];
  for (let at = text.indexOf(OPEN); at >= 0; ) {
    const begin = at + OPEN.length;
    const end = text.indexOf(CLOSE, begin);
    if (end < 0) {
      calls.push(malformed(`${OPEN} is not closed`));
      break;
    }
    const body = text.slice(begin, end).trim();
    calls.push(body.startsWith("<function=") ? fromTags(body) : fromJson(body));
    at = text.indexOf(OPEN, end + CLOSE.length);
  }
  return calls;
}

const malformed = (error: string): ToolCall => ({ name: "", arguments: {}, error });

function fromJson(body: string): ToolCall {
  let said: unknown;
  try {
    said = JSON.parse(body);
  } catch (error) {
    return malformed(`not JSON: ${(error as Error).message}`);
  }
  if (!isRecord(said) || typeof said.name !== "string") return malformed("no name");
  const given = said.arguments ?? said.parameters ?? {};
  if (!isRecord(given)) return { ...malformed("arguments are no object"), name: said.name };
  return { name: said.name, arguments: given };
}

function fromTags(body: string): ToolCall {
  const head = /^<function=([^>\s]+)>/.exec(body);
  const close = body.lastIndexOf("</function>");
  if (head === null || close < head[0].length) return malformed("<function=name> is not closed");
  const given: Record<string, unknown> = {};
  let rest = body.slice(head[0].length, close);
  for (;;) {
    const begin = /<parameter=([^>\s]+)>/.exec(rest);
    if (begin === null) break;
    const from = begin.index + begin[0].length;
    const end = rest.indexOf("</parameter>", from);
    if (end < 0) return { ...malformed(`<parameter=${begin[1]}> is not closed`), name: head[1]! };
    given[begin[1]!] = rest.slice(from, end).replace(/^\n/, "").replace(/\n$/, "");
    rest = rest.slice(end + "</parameter>".length);
  }
  return { name: head[1]!, arguments: given };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
