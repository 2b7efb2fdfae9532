/** A row of a table becomes a prompt by templates. */
import { createHash } from "node:crypto";
import { createRng } from "../lib/rng.ts";
import type { ChatMessage, Prompt } from "../types.ts";
import type { AnswerPattern } from "./answer-pattern.ts";
import { choiceListSize, drawChoices } from "./choices.ts";
import { columnText, lookUp, RowFault } from "./columns.ts";
import { learntPart, listOf, messagesOf, promptEnds, turnText } from "./conversation.ts";
import type { FileOptions } from "./file-options.ts";
import type { TableRow } from "./table-file.ts";
import { fillTemplate } from "./template.ts";

/** Hash of several texts, unambiguous at their borders. @returns 16 hexadecimal digits */
export function contentId(...parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}

/** The prompts of a row: one, but for conversations of which several beginnings are asked. @throws RowFault */
export function toPrompts(
  fields: Record<string, unknown>,
  options: FileOptions,
  pattern: AnswerPattern | null,
): Prompt[] {
  const { messages: asked } = options;
  if (asked === undefined) return [toPrompt(fields, options, pattern)];
  const read = messagesOf(fields, asked.column);
  const hasSystem = options.system === undefined || read.some(({ role }) => role === "system");
  const all: ChatMessage[] = hasSystem ? read : [{ role: "system", content: options.system! }, ...read];
  if (asked.learn !== undefined) {
    const messages = learntPart(all, asked.column);
    const conversation = { messages, learn: asked.learn };
    return [{ ...toPrompt(fields, options, pattern, messages.slice(0, -1), messages), conversation }];
  }
  const ends = promptEnds(all, asked.column, asked.prompts);
  return ends.map((end, turn) => {
    const next = all[end];
    const withReply = next?.role === "assistant" ? { ...fields, reply: turnText(next) } : fields;
    const prompt = toPrompt(withReply, options, pattern, all.slice(0, end));
    return turn === 0 || options.id === undefined ? prompt : { ...prompt, id: `${prompt.id}#${turn + 1}` };
  });
}

/**
 * @param messages of a conversation, in the place of the prompt's template
 * @param identity what the prompt's id is made of, where that is more
 * @throws RowFault
 */
function toPrompt(
  fields: Record<string, unknown>,
  options: FileOptions,
  pattern: AnswerPattern | null,
  messages: readonly ChatMessage[] | null = null,
  identity: readonly ChatMessage[] | null = messages,
): Prompt {
  const fill = (template: string): string =>
    fillTemplate(template, (column) =>
      column === "choices" && options.choices !== undefined
        ? (fields["choices"] as string[]).join(", ")
        : columnText(fields, column),
    );
  const text = messages === null ? fill(options.prompt) : JSON.stringify(identity);
  if (text.trim() === "") throw new RowFault("its prompt is empty");
  let answer = "";
  if (options.answer !== null) {
    try {
      answer = fill(options.answer).trim();
    } catch (error) {
      if (!(error instanceof RowFault) || !error.message.startsWith("has no column")) throw error;
      // what is learnt needs no gold answer
      if (options.messages?.learn !== undefined)
        return toPrompt(fields, { ...options, answer: null }, pattern, messages, identity);
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
      ? contentId(text, answer, target ?? "", ...(pair === undefined ? [] : [pair.chosen, pair.rejected]))
      : columnText(fields, options.id);
  if (id === "") throw new RowFault(`its id (column ${options.id}) is empty`);
  return {
    id,
    input: options.chat
      ? {
          kind: "chat",
          messages: messages ?? chatOf(options.system, text),
          ...(options.tools === undefined ? {} : { tools: listOf(fields, options.tools) }),
        }
      : { kind: "text", text },
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

function chatOf(system: string | undefined, text: string): ChatMessage[] {
  const user: ChatMessage = { role: "user", content: text };
  return system === undefined ? [user] : [{ role: "system", content: system }, user];
}

const tail = (text: string): string => (text.length <= 60 ? text : `...${text.slice(-57)}`);
