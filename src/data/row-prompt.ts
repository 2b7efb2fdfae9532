/** A row of a table becomes a prompt by templates. */
import { createHash } from "node:crypto";
import { dirname, resolve } from "node:path";
import { createRng } from "../lib/rng.ts";
import type { ChatMessage, Prompt } from "../types.ts";
import type { AnswerPattern } from "./answer-pattern.ts";
import { choiceListSize, drawChoices } from "./choices.ts";
import { columnText, lookUp, noColumn, RowFault } from "./columns.ts";
import { learntPart, listOf, messagesOf, promptEnds, turnText } from "./conversation.ts";
import type { FileOptions } from "./file-options.ts";
import type { DataPicture } from "./own-pictures/file-picture.ts";
import { type PicturePlace, picturesOf } from "./own-pictures/picture-value.ts";
import {
  checkPlaceholders,
  identityOf,
  placed,
  placedInMessages,
  unplaced,
  withoutBytes,
} from "./own-pictures/placing.ts";
import type { Place } from "./row-faults.ts";
import type { TableRow } from "./table-file.ts";
import { fillTemplate } from "./template.ts";

/** Hash of several texts, unambiguous at their borders. @returns 16 hexadecimal digits */
export function contentId(...parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}

/** What stands for a picture in a text, where options do not say it. */
const MARKER = "<image>";

/**
 * The prompts of a row: one, but for conversations of which several beginnings are asked.
 * @param at where the row stands
 * @throws RowFault
 */
export function toPrompts(
  fields: Record<string, unknown>,
  options: FileOptions,
  pattern: AnswerPattern | null,
  at: Place,
): Prompt[] {
  const { messages: asked } = options;
  const place: PicturePlace = {
    root: {
      folder: resolve(options.pictures_root ?? dirname(at.path)),
      followLinks: options.follow_links ?? false,
      option: "pictures_root",
    },
    ...at,
  };
  if (asked === undefined) {
    const pictures = columnPictures(fields, options, place);
    const prompt = toPrompt(fields, options, pattern, pictures);
    return [pictures.length === 0 ? prompt : withoutBytesIn(prompt)];
  }
  const read = conversationOf(fields, options, place);
  const hasSystem = options.system === undefined || read.some(({ role }) => role === "system");
  const all: ChatMessage[] = hasSystem ? read : [{ role: "system", content: options.system! }, ...read];
  const hasPictures = read.some(
    ({ content }) => typeof content !== "string" && content.some(({ type }) => type === "image"),
  );
  const prompts = conversationPrompts(fields, options, pattern, all);
  return hasPictures ? prompts.map(withoutBytesIn) : prompts;
}

function withoutBytesIn(prompt: Prompt): Prompt {
  return { ...prompt, fields: withoutBytes(prompt.fields) as Prompt["fields"] };
}

function conversationPrompts(
  fields: Record<string, unknown>,
  options: FileOptions,
  pattern: AnswerPattern | null,
  all: readonly ChatMessage[],
): Prompt[] {
  const asked = options.messages!;
  if (asked.learn !== undefined) {
    const messages = learntPart(all, asked.column);
    const conversation = { messages, learn: asked.learn };
    return [{ ...toPrompt(fields, options, pattern, [], messages.slice(0, -1), messages), conversation }];
  }
  const ends = promptEnds(all, asked.column, asked.prompts);
  return ends.map((end, turn) => {
    const next = all[end];
    const withReply = next?.role === "assistant" ? { ...fields, reply: turnText(next) } : fields;
    const prompt = toPrompt(withReply, options, pattern, [], all.slice(0, end));
    return turn === 0 || options.id === undefined ? prompt : { ...prompt, id: `${prompt.id}#${turn + 1}` };
  });
}

/** Pictures of the row's columns. @throws RowFault */
function columnPictures(
  fields: Readonly<Record<string, unknown>>,
  { pictures = [], messages }: FileOptions,
  place: PicturePlace,
): DataPicture[] {
  return [pictures].flat().flatMap((column) => {
    const value = lookUp(fields, column);
    if (value === undefined) throw new RowFault(noColumn(fields, column));
    const isEmpty = value === null || (Array.isArray(value) && value.length === 0);
    // a conversation says itself where it has pictures
    return isEmpty && messages !== undefined ? [] : picturesOf(value, `column ${column}`, place);
  });
}

/** TRL's column beside messages whose parts do not name their pictures. */
const PICTURE_COLUMNS = ["images", "image"];

/** The messages of a row with their pictures. @throws RowFault */
function conversationOf(
  fields: Readonly<Record<string, unknown>>,
  options: FileOptions,
  place: PicturePlace,
): ChatMessage[] {
  const { column } = options.messages!;
  const messages = messagesOf(fields, column, place);
  if (options.pictures !== undefined) {
    const marker = options.picture_marker ?? MARKER;
    return placedInMessages(messages, columnPictures(fields, options, place), marker);
  }
  if (!messages.some(({ content }) => typeof content !== "string" && content.includes(unplaced)))
    return messages;
  const found = PICTURE_COLUMNS.find((name) => lookUp(fields, name) !== undefined);
  if (found === undefined)
    throw new RowFault(
      `column ${column} has an image part without image, path or url, and the row has no column images; name the column with pictures`,
    );
  return placedInMessages(messages, columnPictures(fields, { ...options, pictures: found }, place), null);
}

/**
 * @param pictures of its columns
 * @param messages of a conversation, in the place of the prompt's template
 * @param identity what the prompt's id is made of, where that is more
 * @throws RowFault
 */
function toPrompt(
  fields: Record<string, unknown>,
  options: FileOptions,
  pattern: AnswerPattern | null,
  pictures: readonly DataPicture[],
  messages: readonly ChatMessage[] | null = null,
  identity: readonly ChatMessage[] | null = messages,
): Prompt {
  const fill = (template: string): string =>
    fillTemplate(template, (column) =>
      column === "choices" && options.choices !== undefined
        ? (fields["choices"] as string[]).join(", ")
        : columnText(fields, column),
    );
  const text = messages === null ? fill(options.prompt) : JSON.stringify(identityOf(identity!));
  if (text.trim() === "") throw new RowFault("its prompt is empty");
  let answer = "";
  if (options.answer !== null) {
    try {
      answer = fill(options.answer).trim();
    } catch (error) {
      if (!(error instanceof RowFault) || !error.message.startsWith("has no column")) throw error;
      // what is learnt needs no gold answer
      if (options.messages?.learn !== undefined)
        return toPrompt(fields, { ...options, answer: null }, pattern, pictures, messages, identity);
      throw new RowFault(`${error.message} (for the answer; set answer: null if the data has none)`);
    }
    if (pattern !== null) {
      const found = pattern.find(answer);
      if (found === null)
        throw new RowFault(
          `answer_pattern ${options.answer_pattern} does not match its answer ${JSON.stringify(tail(answer))}`,
        );
      answer = found.trim();
    }
    if (answer === "") throw new RowFault("its answer is empty");
  }
  const target = options.target === null ? undefined : fill(options.target);
  if (target !== undefined && target.trim() === "") throw new RowFault("its target is empty");
  const pair =
    options.pair === undefined
      ? undefined
      : { chosen: fill(options.pair.chosen), rejected: fill(options.pair.rejected) };
  if (pair !== undefined && pair.chosen === pair.rejected)
    throw new RowFault("its chosen and its rejected text are the same, so that neither is preferred");
  const id =
    options.id === undefined
      ? contentId(
          ...[text, answer, target ?? "", ...(pair === undefined ? [] : [pair.chosen, pair.rejected])],
          ...pictures.map(({ key }) => key),
        )
      : columnText(fields, options.id);
  if (id === "") throw new RowFault(`its id (column ${options.id}) is empty`);
  const marker = options.picture_marker ?? MARKER;
  if (!options.chat && pictures.length > 0) checkPlaceholders(text, pictures, marker);
  return {
    id,
    input: options.chat
      ? {
          kind: "chat",
          messages: messages ?? chatOf(options.system, text, pictures, marker),
          ...(options.tools === undefined ? {} : { tools: listOf(fields, options.tools) }),
        }
      : { kind: "text", text, ...(pictures.length === 0 ? {} : { pictures }) },
    answer,
    ...(target === undefined ? {} : { target }),
    ...(pair === undefined ? {} : { pair }),
    slices: Object.fromEntries(options.slices.map((column) => [column, columnText(fields, column)])),
    fields,
  };
}

/** The row with the columns of `map`, all of them made of the row as it was read. @throws RowFault */
export function withMap(fields: Record<string, unknown>, { map }: FileOptions): Record<string, unknown> {
  if (map === undefined) return fields;
  const made = Object.entries(map).map(([name, template]) => {
    const [alone] = /^\{[^{}]+\}$/.exec(template) ?? [];
    const value = alone === undefined ? undefined : lookUp(fields, alone.slice(1, -1));
    return [name, value ?? fillTemplate(template, (column) => columnText(fields, column))] as const;
  });
  return { ...fields, ...Object.fromEntries(made) };
}

/** The row with a list of candidates of its own, a function of the row and the classes. @throws RowFault */
export function withChoices(
  fields: Record<string, unknown>,
  classes: readonly string[],
  options: FileOptions,
): Record<string, unknown> {
  if (options.choices === undefined) return fields;
  if (Object.hasOwn(fields, "choices")) {
    throw new RowFault("has a column choices already; rename it, or leave the choices option out");
  }
  const { column, share, seed } = options.choices;
  const key = options.id === undefined ? contentId(JSON.stringify(fields)) : columnText(fields, options.id);
  const count = choiceListSize(classes.length, share);
  const rng = createRng(seed).fork("choices", key);
  return { ...fields, choices: drawChoices(columnText(fields, column), classes, count, rng) };
}

/** Distinct values of the class column, sorted, so that lists do not depend on the rows' order. */
export function classesOf(rows: Iterable<TableRow>, options: FileOptions): string[] {
  if (options.choices === undefined) return [];
  const { column } = options.choices;
  const names = new Set<string>();
  for (const row of rows) {
    const value = "fault" in row ? undefined : lookUp(row.fields, column);
    if (value !== undefined && value !== null && typeof value !== "object") names.add(String(value));
  }
  return [...names].sort();
}

function chatOf(
  system: string | undefined,
  text: string,
  pictures: readonly DataPicture[],
  marker: string,
): ChatMessage[] {
  const content = pictures.length === 0 ? text : placed(text, pictures, marker);
  const user: ChatMessage = { role: "user", content };
  return system === undefined ? [user] : [{ role: "system", content: system }, user];
}

const tail = (text: string): string => (text.length <= 60 ? text : `...${text.slice(-57)}`);
