/** `rlpt label`: needs_thinking for every row of a file, by a model behind an OpenAI-compatible endpoint. */
import { createHash } from "node:crypto";
import { appendFileSync, closeSync, existsSync, openSync, readFileSync, truncateSync } from "node:fs";
import { chatUrl, complete, RefusedError, retrying, TryAgain } from "../lib/chat-endpoint.ts";
import { ConfigError, DataError, describeSystemError, RlptError } from "../lib/errors.ts";
import { labelMessages, readVerdict } from "../recipes/adacot-labels.ts";

export interface LabelRequest {
  /** JSON lines, an object each. */
  input: string;
  output: string;
  /** Base URL up to /v1, or the full .../chat/completions. */
  endpoint: string;
  model: string;
  /** Column of the last user turn. */
  promptColumn: string;
  systemColumn: string;
  historyColumn: string;
  /** Column that is written. */
  labelColumn: string;
  /** Sent as bearer token when given. */
  apiKey?: string;
  /** Requests at a time. */
  concurrency: number;
  /** Tries of a request beyond the first, for overload, server errors and unreadable verdicts. */
  retries: number;
  /** Wait before the first of them, doubled each time, milliseconds. */
  retryMs: number;
  timeoutMs: number;
  note: (text: string) => void;
}

export interface LabelResult {
  rows: number;
  /** Rows that were labelled before this call. */
  kept: number;
  /** Rows with the text of an earlier one: not asked again. */
  repeated: number;
  needs: number;
}

/**
 * Labels line by line, in order; the output holds the first rows at any moment, so that a killed call goes on
 * where it stopped. @throws DataError, ConfigError, RlptError
 */
export async function labelFile(request: LabelRequest): Promise<LabelResult> {
  const rows = readRows(request.input, request.promptColumn);
  const verdicts = new Map<string, Promise<boolean>>(); // by the asked text
  const keyOf = (row: Record<string, unknown>) =>
    createHash("sha256")
      .update(JSON.stringify(messagesOf(row, request)))
      .digest("hex");
  const done = readDone(request, rows);
  for (const [i, needs] of done.entries()) verdicts.set(keyOf(rows[i]!), Promise.resolve(needs));
  if (done.length > 0) request.note(`${request.output}: ${done.length} rows are labelled already`);

  const labels = [...done];
  let repeated = 0;
  let next = done.length;
  let written = done.length;
  const ready = new Map<number, boolean>();
  let failure: unknown = null;
  const work = async (): Promise<void> => {
    while (failure === null && next < rows.length) {
      const index = next++;
      const key = keyOf(rows[index]!);
      let verdict = verdicts.get(key);
      if (verdict === undefined) {
        verdict = ask(rows[index]!, index, request);
        verdicts.set(key, verdict);
      } else repeated++;
      try {
        ready.set(index, await verdict);
      } catch (error) {
        failure ??= error;
        return;
      }
      // rows are written in their order, each when those before it are there
      while (ready.has(written)) {
        const needs = ready.get(written)!;
        ready.delete(written);
        appendFileSync(
          request.output,
          `${JSON.stringify({ ...rows[written], [request.labelColumn]: needs })}\n`,
        );
        labels[written++] = needs;
        if (written % 100 === 0) request.note(`${written} of ${rows.length} rows`);
      }
    }
  };
  await Promise.all(Array.from({ length: request.concurrency }, work));
  if (failure !== null) {
    const reason = failure instanceof Error ? failure.message : String(failure);
    throw new RlptError(
      `${reason}\n${written} of ${rows.length} rows are in ${request.output}; the same command goes on there`,
      { cause: failure },
    );
  }
  return { rows: rows.length, kept: done.length, repeated, needs: labels.filter(Boolean).length };
}

function readRows(path: string, column: string): Record<string, unknown>[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new ConfigError(`${path}: ${describeSystemError(error)}`, { cause: error });
  }
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  if (lines.length === 0) throw new DataError(`${path}: holds no row`);
  return lines.map((line, i) => {
    const row = parseObject(line);
    if (row === null) throw new DataError(`${path}:${i + 1}: is no JSON object; one is needed on every line`);
    if (typeof row[column] !== "string" || row[column].trim() === "") {
      const there = Object.keys(row).join(", ");
      throw new DataError(
        `${path}:${i + 1}: column ${column} holds no text (there are ${there}); name it with --prompt`,
      );
    }
    return row;
  });
}

function parseObject(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line);
    return value !== null && typeof value === "object" && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

/** Labels of the rows that the output holds already; a torn last line is cut off. */
function readDone(
  { output, labelColumn }: LabelRequest,
  rows: readonly Record<string, unknown>[],
): boolean[] {
  if (!existsSync(output)) {
    try {
      closeSync(openSync(output, "wx"));
    } catch (error) {
      throw new ConfigError(`${output}: ${describeSystemError(error)}`, { cause: error });
    }
    return [];
  }
  const bytes = readFileSync(output);
  const whole = bytes.lastIndexOf(10) + 1;
  if (whole < bytes.length) truncateSync(output, whole);
  const lines = bytes.subarray(0, whole).toString("utf8").split("\n").slice(0, -1);
  return lines.map((line, i) => {
    const { [labelColumn]: label, ...rest } = parseObject(line) ?? {};
    const { [labelColumn]: _, ...expected } = rows[i] ?? {};
    if (typeof label !== "boolean" || JSON.stringify(rest) !== JSON.stringify(expected)) {
      throw new DataError(
        `${output}:${i + 1}: is not row ${i + 1} of the input with a label; remove the file, or give another --out`,
      );
    }
    return label;
  });
}

function messagesOf(row: Record<string, unknown>, request: LabelRequest) {
  const text = (column: string) => {
    const value = row[column];
    return value === undefined || value === null
      ? ""
      : typeof value === "string"
        ? value
        : JSON.stringify(value);
  };
  return labelMessages({
    system: text(request.systemColumn),
    history: text(request.historyColumn),
    prompt: text(request.promptColumn),
  });
}

async function ask(row: Record<string, unknown>, index: number, request: LabelRequest): Promise<boolean> {
  const { endpoint, model, apiKey, retries, retryMs, timeoutMs } = request;
  const body = { model, messages: messagesOf(row, request), temperature: 0, max_tokens: 32 };
  const where = `row ${index + 1}, ${chatUrl(endpoint)}`;
  const once = async (): Promise<boolean> => {
    const { text } = await complete({ endpoint, body, apiKey, timeoutMs });
    const verdict = readVerdict(text);
    if (verdict === null)
      throw new TryAgain(`the model's answer is no verdict: ${JSON.stringify(text.slice(0, 120))}`);
    return verdict;
  };
  try {
    return await retrying(once, { retries, retryMs, where });
  } catch (error) {
    if (error instanceof RefusedError) throw new RlptError(`${where}: ${error.message}`, { cause: error });
    throw error;
  }
}
