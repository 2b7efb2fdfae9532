/** What an environment returned, checked: anything else is an error of its episode. */
import type { ChatMessage, EnvironmentStart, EnvironmentStep, Json } from "../types.ts";

const ROLES = ["system", "user", "assistant", "tool"] as const;

/** @throws Error saying what is wrong */
export function checkStart(said: unknown): EnvironmentStart {
  const { messages, tools } = Array.isArray(said)
    ? { messages: said, tools: undefined }
    : record(said, "reset");
  const read = checkMessages(messages, "reset()");
  if (read.length === 0) throw new Error("reset() returned no message");
  if (tools === undefined) return { messages: read };
  if (!Array.isArray(tools)) throw new Error("reset() returned tools that are no list");
  return { messages: read, tools };
}

/** @throws Error saying what is wrong */
export function checkStep(said: unknown): EnvironmentStep {
  const { messages = [], reward = 0, done, info } = record(said, "step");
  if (typeof reward !== "number" || !Number.isFinite(reward)) {
    throw new Error(`step() returned reward ${String(reward)}, which is no finite number`);
  }
  if (typeof done !== "boolean") throw new Error(`step() returned done ${String(done)}; use true or false`);
  const read = checkMessages(messages, "step()");
  return { messages: read, reward, done, ...(info === undefined ? {} : { info: info as Json }) };
}

function record(said: unknown, of: string): Record<string, unknown> {
  if (typeof said === "object" && said !== null && !Array.isArray(said))
    return said as Record<string, unknown>;
  const what = said === null ? "null" : Array.isArray(said) ? "a list" : typeof said;
  const wanted = of === "reset" ? "messages or { messages, tools }" : "{ messages, reward, done }";
  throw new Error(`${of}() returned ${what}, not ${wanted}`);
}

function checkMessages(said: unknown, of: string): ChatMessage[] {
  if (!Array.isArray(said)) throw new Error(`${of} returned messages that are no list`);
  return said.map((one: unknown, i): ChatMessage => {
    const { role, content, extra, ...more } = (one ?? {}) as Record<string, unknown>;
    if (!ROLES.includes(role as (typeof ROLES)[number])) {
      throw new Error(`${of}: messages[${i}].role is ${JSON.stringify(role)}; use ${ROLES.join(", ")}`);
    }
    if (typeof content !== "string") throw new Error(`${of}: messages[${i}].content is no text`);
    const others = { ...(extra as Record<string, unknown> | undefined), ...more };
    return {
      role: role as ChatMessage["role"],
      content,
      ...(Object.keys(others).length === 0 ? {} : { extra: others }),
    };
  });
}
