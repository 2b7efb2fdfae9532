/** Chat templates: Jinja as model authors write it, on @huggingface/jinja, with its gaps to Python's closed. */
import { Environment, Interpreter, Template } from "@huggingface/jinja";
import { ModelFileError } from "../../lib/errors.ts";
import type { ChatMessage, ContentPart } from "../../types.ts";
import { isObject, type JsonObject } from "./json.ts";

/** What strftime_now() sees, so that a template that writes today's date gives the same bytes every day. */
export const TEMPLATE_DATE = "2024-07-26";

export interface ChatTemplate {
  /** @param variables what the template may read beside the messages, such as enable_thinking */
  render(
    messages: readonly ChatMessage[],
    options: { addGenerationPrompt: boolean; variables?: Readonly<Record<string, unknown>> },
  ): string;
}

const MONTHS = "January February March April May June July August September October November December".split(
  " ",
);
const DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");

/** Python's strftime for a date at midnight, in the C locale. */
export function formatDate(date: string, format: string): string {
  const [year, month, day] = date.split("-").map(Number) as [number, number, number];
  const weekday = DAYS[new Date(Date.UTC(year, month - 1, day)).getUTCDay()]!;
  const pad = (n: number): string => String(n).padStart(2, "0");
  const parts: Readonly<Record<string, string>> = {
    "%Y": String(year),
    "%y": pad(year % 100),
    "%m": pad(month),
    "%-m": String(month),
    "%B": MONTHS[month - 1]!,
    "%b": MONTHS[month - 1]!.slice(0, 3),
    "%d": pad(day),
    "%-d": String(day),
    "%A": weekday,
    "%a": weekday.slice(0, 3),
    "%F": date,
    "%H": "00",
    "%M": "00",
    "%S": "00",
    "%%": "%",
  };
  return format.replace(/%-?./g, (directive) => {
    const text = parts[directive];
    if (text === undefined) throw new Error(`strftime_now: ${directive} is not supported`);
    return text;
  });
}

const STRIPPED = new Set(["strip", "lstrip", "rstrip"]);
const STRIP_FUNCTION = "__strip";

/** str.strip(characters) and its one-sided forms, by code point. */
function stripCharacters(text: string, characters: string, method: string): string {
  const set = new Set(characters);
  const points = [...text];
  let start = 0;
  let end = points.length;
  if (method !== "rstrip") while (start < end && set.has(points[start]!)) start++;
  if (method !== "lstrip") while (end > start && set.has(points[end - 1]!)) end--;
  return points.slice(start, end).join("");
}

/**
 * The package ignores the argument of x.strip("\n") and strips all white space. Such calls become calls of a
 * function of ours, in the parsed template.
 */
function rewriteStripCalls(node: unknown): void {
  if (Array.isArray(node)) {
    for (const child of node) rewriteStripCalls(child);
    return;
  }
  if (node instanceof Map) {
    for (const [key, value] of node) {
      rewriteStripCalls(key);
      rewriteStripCalls(value);
    }
    return;
  }
  if (typeof node !== "object" || node === null) return;
  const record = node as JsonObject;
  for (const child of Object.values(record)) rewriteStripCalls(child);
  const callee = record["callee"];
  const args = record["args"];
  if (record["type"] !== "CallExpression" || !isObject(callee) || !Array.isArray(args) || args.length !== 1)
    return;
  const property = callee["property"];
  if (callee["type"] !== "MemberExpression" || callee["computed"] === true || !isObject(property)) return;
  const method = property["value"];
  if (typeof method !== "string" || !STRIPPED.has(method)) return;
  record["callee"] = { type: "Identifier", value: STRIP_FUNCTION };
  record["args"] = [callee["object"], args[0], { type: "StringLiteral", value: method }];
}

/** Text parts become one string; images stay parts, for templates that place them. */
function renderedContent(
  content: string | readonly ContentPart[],
  placesImages: boolean,
  where: string,
): unknown {
  if (typeof content === "string") return content;
  if (content.every((part) => part.type === "text")) return content.map((part) => part.text).join("");
  if (!placesImages) {
    throw new ModelFileError(
      `${where} holds an image, but the model's chat template places none: use a vision model`,
    );
  }
  return content.map((part) => (part.type === "text" ? { ...part } : { type: "image" }));
}

const ROLES = new Set(["system", "user", "assistant"]);

function checkedMessages(
  messages: readonly ChatMessage[],
  placesImages: boolean,
  path: string,
): JsonObject[] {
  return messages.map((message, i) => {
    const where = `${path}: message ${i}`;
    if (!ROLES.has(message.role)) {
      throw new ModelFileError(
        `${where} has role ${JSON.stringify(message.role)}; use system, user or assistant`,
      );
    }
    if (typeof message.content !== "string" && !Array.isArray(message.content)) {
      throw new ModelFileError(`${where} (${message.role}) has no content`);
    }
    return { role: message.role, content: renderedContent(message.content, placesImages, where) };
  });
}

/**
 * @param path where the template came from, for messages
 * @param constants bos_token, eos_token and the like
 * @param date what strftime_now() says, YYYY-MM-DD
 * @throws ModelFileError when the template cannot be parsed; render throws the same when it fails
 */
export function compileChatTemplate(
  source: string,
  path: string,
  constants: Readonly<Record<string, unknown>> = {},
  date: string = TEMPLATE_DATE,
): ChatTemplate {
  let template: Template;
  try {
    template = new Template(source);
    rewriteStripCalls(template.parsed);
  } catch (cause) {
    throw new ModelFileError(`${path}: chat template cannot be read: ${(cause as Error).message}`, { cause });
  }
  const placesImages = /image/.test(source);
  return {
    render: (messages, { addGenerationPrompt, variables = {} }) => {
      const environment = new Environment();
      for (const name of ["true", "True"]) environment.set(name, true);
      for (const name of ["false", "False"]) environment.set(name, false);
      for (const name of ["none", "None"]) environment.set(name, null);
      environment.set("range", range);
      environment.set("strftime_now", (format: string) => formatDate(date, format));
      environment.set(STRIP_FUNCTION, stripCharacters);
      let raised: string | undefined;
      environment.set("raise_exception", (message: string) => {
        raised = message;
        throw new Error(message);
      });
      const values: Record<string, unknown> = {
        ...constants,
        ...variables,
        messages: checkedMessages(messages, placesImages, path),
        add_generation_prompt: addGenerationPrompt,
      };
      for (const [name, value] of Object.entries(values))
        if (value !== undefined) environment.set(name, value);
      try {
        return (new Interpreter(environment).run(template.parsed) as { value: string }).value;
      } catch (cause) {
        const reason = raised === undefined ? "cannot render these messages" : "refuses these messages";
        throw new ModelFileError(`${path}: chat template ${reason}: ${(cause as Error).message}`, { cause });
      }
    },
  };
}

/** Python's range, as a list. */
function range(first: number, stop?: number, step = 1): number[] {
  if (step === 0) throw new Error("range() step is 0");
  const [start, end] = stop === undefined ? [0, first] : [first, stop];
  const values: number[] = [];
  for (let i = start; step > 0 ? i < end : i > end; i += step) values.push(i);
  return values;
}

/**
 * The template among a model's files: chat_template.jinja, then tokenizer_config.json's key (a string, or a list
 * with one called "default"), then chat_template.json. Null when there is none.
 */
export function findChatTemplate(
  files: ReadonlyMap<string, Uint8Array>,
  tokenizerConfig: Readonly<JsonObject>,
  path: string,
): string | null {
  const jinja = files.get("chat_template.jinja");
  if (jinja) return new TextDecoder().decode(jinja);
  const value = tokenizerConfig["chat_template"];
  if (typeof value === "string") return value;
  if (Array.isArray(value)) {
    const named = value.filter(isObject).find((entry) => entry["name"] === "default") ?? value[0];
    if (isObject(named) && typeof named["template"] === "string") return named["template"];
    throw new ModelFileError(`${path}: chat_template is a list without a template called "default"`);
  }
  const json = files.get("chat_template.json");
  if (!json) return null;
  const template = (JSON.parse(new TextDecoder().decode(json)) as JsonObject)["chat_template"];
  if (typeof template !== "string")
    throw new ModelFileError(`${path}: chat_template.json has no chat_template`);
  return template;
}
