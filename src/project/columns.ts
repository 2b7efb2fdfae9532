/** Which columns of a table are the prompt and the gold answer: by their names, else by how long their texts are. */
import { templateColumns } from "../data/template.ts";
import { ConfigError } from "../lib/errors.ts";

/** Names in the order in which they are believed; case and punctuation do not count. */
const PROMPT = [
  ...["question", "prompt", "problem", "query", "instruction", "input", "task", "text", "sentence"],
  ...["message", "request", "source", "x"],
];
const ANSWER = [
  ...[
    "answer",
    "final answer",
    "gold",
    "gold answer",
    "expected answer",
    "expected",
    "ground truth",
    "label",
  ],
  ...["target", "solution", "output", "response", "result", "completion", "reply", "y"],
];
/** What a question is asked about: stands before it. */
const CONTEXT = ["body", "context", "passage", "background", "premise"];
/** What evaluations are split by, where it has few values. */
const SLICE = [
  ...["level", "difficulty", "type", "kind", "topic", "subject", "category", "operation", "operations"],
  ...["domain", "language", "task"],
];
const MOST_SLICES = 20;
/** GSM8K ends a worked solution with this and the answer. */
export const HASHES = "####";

export interface Columns {
  /** Template. */
  prompt: string;
  /** Template. */
  answer: string;
  /** The part of the answer's text that is the answer; null: all of it. */
  answerPattern: string | null;
  slices: string[];
  /** How each was found, for people. */
  why: { prompt: string; answer: string; slices: string };
}

type Row = Readonly<Record<string, unknown>>;

/**
 * @param rows of the table, those that could be read
 * @param given what the user says: a column, or a template such as "{body} {question}"
 * @throws ConfigError with the columns there are, where they do not tell
 */
export function guessColumns(
  file: string,
  rows: readonly Row[],
  given: { prompt?: string | undefined; answer?: string | undefined },
): Columns {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const told = (flag: string, text: string | undefined): string | null => {
    if (text === undefined) return null;
    const template = columns.includes(text) ? `{${text}}` : text;
    const read = templateColumns(template);
    const missing = read.find((column) => !columns.includes(column) && !column.includes("."));
    if (read.length > 0 && missing === undefined) return template;
    throw new ConfigError(
      `${flag} ${text}: ${file} has no such column; it has ${columns.join(", ")}. Give one, or a template such as "{${columns[0]}}".`,
    );
  };
  const prompt = told("--prompt", given.prompt);
  const answer = told("--answer", given.answer);
  // braces in a name cannot stand in a template
  const usable = columns.filter((column) => !/[{}]/.test(column) && filled(rows, column));
  const taken = new Set([...templateColumns(prompt ?? ""), ...templateColumns(answer ?? "")]);
  const free = usable.filter((column) => !taken.has(column));
  const answerColumn = answer === null ? byName(free, ANSWER) : null;
  const promptColumn =
    prompt === null
      ? byName(
          free.filter((column) => column !== answerColumn),
          PROMPT,
        )
      : null;
  const found = {
    prompt: prompt ?? (promptColumn === null ? null : withContext(promptColumn, free)),
    answer: answer ?? (answerColumn === null ? null : `{${answerColumn}}`),
  };
  const why = {
    prompt: prompt === null ? "by its name" : "as you say",
    answer: answer === null ? "by its name" : "as you say",
  };
  if (found.prompt === null || found.answer === null) {
    const rest = free.filter((column) => column !== answerColumn && column !== promptColumn);
    const byLength = [...rest].sort((a, b) => meanLength(rows, b) - meanLength(rows, a));
    const wanted = (found.prompt === null ? 1 : 0) + (found.answer === null ? 1 : 0);
    if (rest.length !== wanted) throw new ConfigError(undecided(file, rows, columns, found));
    if (found.prompt === null) {
      found.prompt = `{${byLength.shift()!}}`;
      why.prompt = wanted === 1 ? "the only column left" : "the column with the longer texts";
    }
    if (found.answer === null) {
      found.answer = `{${byLength.shift()!}}`;
      why.answer = wanted === 1 ? "the only column left" : "the column with the shorter texts";
    }
  }
  const both = new Set([...templateColumns(found.prompt), ...templateColumns(found.answer)]);
  const slices = usable.filter((column) => !both.has(column) && isSlice(rows, column)).slice(0, 2);
  const hashes = endsInHashes(rows, found.answer);
  return {
    prompt: found.prompt,
    answer: found.answer,
    answerPattern: hashes ? `${HASHES}\\s*(.+)$` : null,
    slices,
    why: {
      ...why,
      answer: hashes ? `${why.answer}; what stands behind ${HASHES}` : why.answer,
      slices: "few values: evaluations are split by them",
    },
  };
}

const plain = (name: string): string =>
  name
    .replace(/([a-z])([A-Z])/g, "$1 $2")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, " ")
    .trim();

function byName(columns: readonly string[], names: readonly string[]): string | null {
  for (const name of names) {
    const found = columns.find((column) => plain(column) === name);
    if (found !== undefined) return found;
  }
  return null;
}

function withContext(prompt: string, columns: readonly string[]): string {
  const context = byName(columns, CONTEXT);
  return context === null || plain(prompt) !== "question" ? `{${prompt}}` : `{${context}}\n{${prompt}}`;
}

function text(row: Row, column: string): string | null {
  const value = row[column];
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean"
    ? String(value)
    : null;
}

/** Nine rows of ten have a text or a number there. */
function filled(rows: readonly Row[], column: string): boolean {
  const count = rows.filter((row) => (text(row, column) ?? "").trim() !== "").length;
  return count > 0 && count >= 0.9 * rows.length;
}

function meanLength(rows: readonly Row[], column: string): number {
  return rows.reduce((sum, row) => sum + (text(row, column) ?? "").length, 0) / rows.length;
}

function isSlice(rows: readonly Row[], column: string): boolean {
  if (!SLICE.includes(plain(column))) return false;
  const values = rows.map((row) => text(row, column));
  const distinct = new Set(values);
  return !values.includes(null) && distinct.size > 1 && distinct.size <= MOST_SLICES;
}

function endsInHashes(rows: readonly Row[], template: string): boolean {
  const [column, ...others] = templateColumns(template);
  if (column === undefined || others.length > 0 || template !== `{${column}}`) return false;
  return rows.length > 0 && rows.every((row) => /####\s*\S.*$/.test((text(row, column) ?? "").slice(-200)));
}

function undecided(
  file: string,
  rows: readonly Row[],
  columns: readonly string[],
  found: { prompt: string | null; answer: string | null },
): string {
  const missing = [
    ...(found.prompt === null ? ["--prompt COLUMN"] : []),
    ...(found.answer === null ? ["--answer COLUMN"] : []),
  ];
  const shown = columns.slice(0, 20).map((column) => {
    const value = JSON.stringify(rows[0]?.[column] ?? null);
    return `  ${column}  ${value.length > 60 ? `${value.slice(0, 57)}...` : value}`;
  });
  const what =
    missing.length === 2
      ? "the prompt and the answer"
      : found.prompt === null
        ? "the prompt"
        : "the answer (rewards compare with it)";
  return [
    `${file}: its columns do not tell which is ${what}. Say ${missing.join(" and ")}.`,
    "They are, with the first row's values:",
    ...shown,
  ].join("\n");
}
