/** Chat templates: what a model's Jinja gets to read, and where it is found among the model's files. */
import { ModelFileError } from "../../lib/errors.ts";
import type { ChatMessage, ContentPart } from "../../types.ts";
import { compileJinja, type JinjaTemplate } from "./jinja.ts";
import { isObject, type JsonObject, parseJsonObject } from "./json.ts";

/** What strftime_now() sees, so that a template that writes today's date gives the same bytes every day. */
export const TEMPLATE_DATE = "2024-07-26";

/** Characters; the longest of a public model has some 20,000. */
const LONGEST_TEMPLATE = 1_000_000;

export interface ChatTemplate {
  /** @param variables what the template may read beside the messages, such as enable_thinking */
  render(messages: readonly ChatMessage[], options: RenderOptions): string;
  /** Its `{% generation %}` blocks in the text; null: it has none. */
  renderMarked: ((messages: readonly ChatMessage[], options: RenderOptions) => MarkedText) | null;
}

export interface RenderOptions {
  addGenerationPrompt: boolean;
  variables?: Readonly<Record<string, unknown>>;
  /** Functions that the model may call, as JSON schemas. */
  tools?: readonly unknown[];
}

export interface MarkedText {
  text: string;
  /** Beginnings and ends (excluded), UTF-16 units. */
  spans: [number, number][];
}

/** Stand for the beginning and the end of a generation block; no text holds them. */
const BEGIN = "\uf8f0rlpt\uf8f1";
const END = "\uf8f1rlpt\uf8f0";
const TAG = /\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}/g;

/** Blocks that print a mark in the places of the tags, which take the white space around them as the tags did. */
function marked(source: string): string {
  return source.replace(
    TAG,
    (_, left: string, end: string | undefined, right: string) =>
      `{%${left} set rlpt_mark = 1 %}{{ "${end === undefined ? BEGIN : END}" }}{% set rlpt_mark = 1 ${right}%}`,
  );
}

/** Takes the marks out of a text. */
function unmarked(rendered: string): MarkedText {
  const spans: [number, number][] = [];
  let text = "";
  for (const piece of rendered.split(BEGIN)) {
    const [inside, ...behind] = piece.split(END);
    if (behind.length > 0) spans.push([text.length, text.length + inside!.length]);
    text += [inside, ...behind].join("");
  }
  return { text, spans };
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
      `${where} holds an image, but the model's chat template places none or only its language part is read: use a vision model`,
    );
  }
  return content.map((part) => (part.type === "text" ? { ...part } : { type: "image" }));
}

const ROLES = new Set(["system", "user", "assistant", "tool"]);

function checkedMessages(
  messages: readonly ChatMessage[],
  placesImages: boolean,
  path: string,
): JsonObject[] {
  return messages.map((message, i) => {
    const where = `${path}: message ${i}`;
    if (!ROLES.has(message.role)) {
      throw new ModelFileError(
        `${where} has role ${JSON.stringify(message.role)}; use system, user, assistant or tool`,
      );
    }
    if (typeof message.content !== "string" && !Array.isArray(message.content)) {
      throw new ModelFileError(`${where} (${message.role}) has no content`);
    }
    return {
      role: message.role,
      content: renderedContent(message.content, placesImages, where),
      ...message.extra,
    };
  });
}

/**
 * @param path where the template came from, for messages
 * @param constants bos_token, eos_token and the like
 * @param date what strftime_now() says, YYYY-MM-DD
 * @param seesPictures false: of a model's language part alone; messages that hold a picture are refused
 * @throws ModelFileError when the template cannot be parsed; render throws the same when it fails
 */
export function compileChatTemplate(
  source: string,
  path: string,
  constants: Readonly<Record<string, unknown>> = {},
  date: string = TEMPLATE_DATE,
  seesPictures = true,
): ChatTemplate {
  if (source.length > LONGEST_TEMPLATE) {
    throw new ModelFileError(
      `${path}: chat template has ${source.length} characters; at most ${LONGEST_TEMPLATE} are read`,
    );
  }
  let template: JinjaTemplate;
  let withMarks: JinjaTemplate | null;
  try {
    template = compileJinja(source);
    withMarks = source.search(TAG) < 0 ? null : compileJinja(marked(source));
  } catch (cause) {
    throw new ModelFileError(`${path}: chat template cannot be read: ${(cause as Error).message}`, { cause });
  }
  const placesImages = seesPictures && /image/.test(source);
  const render = (
    chosen: JinjaTemplate,
    messages: readonly ChatMessage[],
    { addGenerationPrompt, variables = {}, tools }: RenderOptions,
  ): string => {
    let raised: string | undefined;
    const globals: Record<string, unknown> = {
      strftime_now: (format: string) => formatDate(date, format),
      raise_exception: (message: string) => {
        raised = message;
        throw new Error(message);
      },
      // transformers hands both to every template
      tools: tools ?? null,
      documents: null,
      ...constants,
      ...variables,
      messages: checkedMessages(messages, placesImages, path),
      add_generation_prompt: addGenerationPrompt,
    };
    try {
      return chosen.render(globals);
    } catch (cause) {
      const reason = raised === undefined ? "cannot render these messages" : "refuses these messages";
      throw new ModelFileError(`${path}: chat template ${reason}: ${(cause as Error).message}`, { cause });
    }
  };
  return {
    render: (messages, options) => render(template, messages, options),
    renderMarked:
      withMarks === null ? null : (messages, options) => unmarked(render(withMarks, messages, options)),
  };
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
    const named = value.filter(isObject);
    const chosen = named.find((entry) => entry["name"] === "default");
    if (typeof chosen?.["template"] === "string") return chosen["template"];
    const names = named.map((entry) => JSON.stringify(entry["name"])).join(", ");
    throw new ModelFileError(
      `${path}: tokenizer_config.json's chat_template is a list without a template called "default" (it has ${names || "none"}): put the one to use into chat_template.jinja`,
    );
  }
  const json = files.get("chat_template.json");
  if (!json) return null;
  const template = parseJsonObject(json, `${path}: chat_template.json`)["chat_template"];
  if (typeof template !== "string")
    throw new ModelFileError(`${path}: chat_template.json has no chat_template`);
  return template;
}
