/** Prompts from files: a row of JSONL, JSON, CSV or Parquet becomes a Prompt by templates. */
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { DataError } from "../lib/errors.ts";
import { filesBelow, isPattern, matchingFiles } from "../lib/find-files.ts";
import type { HubOptions } from "../lib/hub/repository.ts";
import { isFolder } from "../lib/regular-file.ts";
import type { Prompt } from "../types.ts";
import { compileAnswerPattern } from "./answer-pattern.ts";
import { RowFault } from "./columns.ts";
import { isEvalPart } from "./eval-part.ts";
import { dataPaths, type FileOptions, formatOf, isHubPath } from "./file-options.ts";
import { rowFilter } from "./filter.ts";
import { PromptIds } from "./prompt-ids.ts";
import { KEPT_FAULTS, type Place, type PlacedFault, type RowFaults, RowFaultsError } from "./row-faults.ts";
import { classesOf, toPrompts, withChoices, withMap } from "./row-prompt.ts";
import type { TableRow } from "./table-file.ts";
import { openTable, tableFormat } from "./tables/open-table.ts";
import type { Budget, Table } from "./tables/table.ts";

export interface FileDataset {
  readonly size: number;
  /** In the files' order. A dataset that is too large to be held reads the row anew. */
  at(index: number): Prompt;
  /** Where each prompt's row begins. */
  placeOf(index: number): Place;
  /** Columns of each prompt's row as the file has them, bytes of pictures too. */
  fieldsOf(index: number): Record<string, unknown>;
  /** Under `on_bad_row: skip`. */
  readonly skipped: RowFaults;
  /** Rows that `filter` left out. */
  readonly filtered: number;
  readonly files: readonly Pick<Table, "path" | "bytes" | "sha256">[];
  /** Are all prompts in memory? */
  readonly held: boolean;
}

/** Megabytes of text whose rows are held in memory; what exceeds them is read again for each prompt. */
const HELD_MEGABYTES = 64;

/**
 * Files that options name: themselves, those of folders, and those that match patterns.
 * @throws DataError where a path leads to none, or a folder to several formats
 */
export async function datasetFiles(
  options: Pick<FileOptions, "path" | "format" | "hub">,
  { baseDir = ".", hub = {} }: { baseDir?: string; hub?: HubOptions } = {},
): Promise<string[]> {
  const files: string[] = [];
  for (const named of dataPaths(options)) {
    if (isHubPath(named)) {
      // loaded only when there is something to fetch
      const { hubDatasetFiles } = await import("./hub-dataset.ts");
      files.push(...(await hubDatasetFiles(named, options.hub, options.format, hub)));
      continue;
    }
    const path = resolve(baseDir, named);
    if (isPattern(path)) {
      const found = matchingFiles(path);
      if (found.length === 0) throw new DataError(`${path}: no file matches this pattern.`);
      files.push(...found);
    } else if (!isFolder(path)) files.push(path);
    else files.push(...filesOfFolder(path, options.format));
  }
  return [...new Set(files)];
}

/** Data files of a folder; JSON arrays only where there is nothing else, since tools leave notes of theirs in JSON. */
function filesOfFolder(folder: string, format: FileOptions["format"]): string[] {
  const byFormat = new Map<string, string[]>();
  for (const path of filesBelow(folder)) {
    const found = formatOf(path);
    if (found !== null) byFormat.set(found, [...(byFormat.get(found) ?? []), path]);
  }
  if (format !== undefined && byFormat.has(format)) return byFormat.get(format)!;
  if (byFormat.size > 1) byFormat.delete("json");
  if (byFormat.size === 1) return [...byFormat.values()][0]!;
  throw new DataError(
    byFormat.size === 0
      ? `${folder}: the folder holds no .jsonl, .json, .csv or .parquet file.`
      : `${folder}: the folder holds files of several formats (${[...byFormat.keys()].join(", ")}). Set format, or name the files by a pattern such as ${folder}/*.jsonl.`,
  );
}

/** Large datasets are gone through once, though several parts of a run open them. */
const opened = new Map<string, FileDataset>();
const REMEMBERED = 4;

/**
 * Opens a file dataset. Every row is checked, also those beyond `limit` and in the other part of a split.
 * @param baseDir where a relative path begins; the working directory when absent
 * @param heldBytes text of rows that may be in memory
 * @throws DataError when a file cannot be read, rows do not fit (the first 20, each with path:line), or
 *   no prompt is left
 */
export async function openFileDataset(
  options: FileOptions,
  {
    baseDir = ".",
    heldBytes = mostHeld(),
    hub = {},
  }: { baseDir?: string; heldBytes?: number; hub?: HubOptions } = {},
): Promise<FileDataset> {
  const files = await datasetFiles(options, { baseDir, hub });
  const key = JSON.stringify([options, heldBytes, files.map((path) => [path, stampOf(path)])]);
  const known = opened.get(key);
  if (known !== undefined) return known;
  const budget: Budget = { bytes: heldBytes };
  const tables: Table[] = [];
  for (const path of files) tables.push(await openTable(path, options.format ?? tableFormat(path), budget));
  const dataset = readPrompts(options, tables);
  if (!dataset.held) {
    opened.set(key, dataset);
    if (opened.size > REMEMBERED) opened.delete([...opened.keys()][0]!);
  }
  return dataset;
}

/** $RLPT_HELD_DATA_MB, else 64 MB. */
function mostHeld(): number {
  const named = Number(process.env["RLPT_HELD_DATA_MB"] ?? Number.NaN);
  return (named >= 0 ? named : HELD_MEGABYTES) * 2 ** 20;
}

function stampOf(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? "" : `${stat.size} ${stat.mtimeNs} ${stat.ino}`;
}

/** Goes through all rows once: which are prompts, and which do not fit. */
function readPrompts(options: FileOptions, tables: readonly Table[]): FileDataset {
  const firsts: number[] = [];
  let rows = 0;
  for (const table of tables) {
    firsts.push(rows);
    rows += table.size;
  }
  const tableOf = (row: number): number => {
    let table = firsts.length - 1;
    while (firsts[table]! > row) table--;
    return table;
  };
  // what is left out by its own columns need not fit the templates of `map`
  const made = Object.keys(options.map ?? {});
  const isMade = ({ column }: { column: string }) =>
    made.some((name) => column === name || column.startsWith(`${name}.`));
  const { filter = [] } = options;
  const keepsRead = rowFilter(filter.filter((condition) => !isMade(condition)));
  const keepsMade = rowFilter(filter.filter(isMade));
  /** As the columns of `map` make it; null: `filter` leaves it out. */
  const rowAt = (index: number): TableRow | null => {
    const table = tableOf(index);
    const row = tables[table]!.row(index - firsts[table]!);
    if ("fault" in row) return row;
    try {
      if (!keepsRead(row.fields)) return null;
      const fields = withMap(row.fields, options);
      return keepsMade(fields) ? { line: row.line, fields } : null;
    } catch (error) {
      if (!(error instanceof RowFault)) throw error;
      return { line: row.line, fault: error.message };
    }
  };
  const pattern = options.answer_pattern === undefined ? null : compileAnswerPattern(options.answer_pattern);
  const classes = options.choices === undefined ? [] : classesOf(all(rows, rowAt), options);
  const promptsOf = (index: number, row = rowAt(index)): Prompt[] => {
    if (row === null) throw new Error("a row that was filtered out is asked for");
    if ("fault" in row) throw new RowFault(row.fault);
    const place = { path: tables[tableOf(index)]!.path, line: row.line };
    return toPrompts(withChoices(row.fields, classes, options), options, pattern, place);
  };
  /** A row that fitted when it was gone through: what it names may be gone by now. */
  const promptsAgain = (index: number): Prompt[] => {
    try {
      return promptsOf(index);
    } catch (error) {
      if (!(error instanceof RowFault)) throw error;
      const { path } = tables[tableOf(index)]!;
      throw new DataError(`${path}:${rowAt(index)!.line}: ${error.message}. It was changed while in use.`, {
        cause: error,
      });
    }
  };
  const held = tables.every((table) => table.held);
  const prompts: Prompt[] = [];
  /** Row of each prompt, before the split and after. */
  const fitting: number[] = [];
  const kept: number[] = [];
  /** Which prompt of its row each one is; null where rows are one prompt each. */
  const turns =
    options.messages?.prompts === "each_user" ? { fitting: [] as number[], kept: [] as number[] } : null;
  const ids = new PromptIds((place) => promptsAgain(fitting[place]!)[turns?.fitting[place] ?? 0]!.id);
  const first: PlacedFault[] = [];
  let count = 0;
  let filtered = 0;
  const { split, limit = Number.POSITIVE_INFINITY } = options;
  for (let index = 0; index < rows; index++) {
    const row = rowAt(index);
    if (row === null) {
      filtered++;
      continue;
    }
    const place = { path: tables[tableOf(index)]!.path, line: row.line };
    try {
      for (const [turn, prompt] of promptsOf(index, row).entries()) {
        const earlier = ids.add(prompt.id);
        if (earlier !== null) throw new RowFault(twice(prompt.id, options, place, fitting[earlier]!));
        fitting.push(index);
        turns?.fitting.push(turn);
        if (
          split !== undefined &&
          isEvalPart(prompt.id, split.salt, split.eval_share) !== (split.part === "eval")
        )
          continue;
        if (kept.length >= limit) continue;
        kept.push(index);
        turns?.kept.push(turn);
        if (held) prompts.push(prompt);
      }
    } catch (error) {
      if (!(error instanceof RowFault)) throw error;
      count++;
      if (first.length < KEPT_FAULTS) first.push({ ...place, reason: error.message });
    }
  }

  function twice(id: string, { id: column }: FileOptions, here: Place, earlier: number): string {
    const { path } = tables[tableOf(earlier)]!;
    const where = `line ${rowAt(earlier)!.line}${path === here.path ? "" : ` of ${path}`}`;
    return column === undefined
      ? `has the same prompt and answer as ${where}; remove one, or name an id column`
      : `has the id ${id} of ${where}`;
  }

  if (count > 0 && (options.on_bad_row === "error" || fitting.length === 0))
    throw new RowFaultsError({ first, count }, rows - filtered);
  if (kept.length === 0) throw new DataError(nothingLeft(options, tables, fitting.length, filtered));
  return {
    size: kept.length,
    at: (index) => (held ? prompts[index]! : promptsAgain(kept[index]!)[turns?.kept[index] ?? 0]!),
    placeOf: (index) => {
      const row = kept[index]!;
      return { path: tables[tableOf(row)]!.path, line: rowAt(row)!.line };
    },
    fieldsOf: (index) => {
      const table = tableOf(kept[index]!);
      return (tables[table]!.row(kept[index]! - firsts[table]!) as { fields: Record<string, unknown> })
        .fields;
    },
    skipped: { first, count },
    filtered,
    files: tables.map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 })),
    held,
  };
}

function* all(rows: number, rowAt: (row: number) => TableRow | null): Generator<TableRow> {
  for (let index = 0; index < rows; index++) {
    const row = rowAt(index);
    if (row !== null) yield row;
  }
}

function nothingLeft(
  { split }: FileOptions,
  tables: readonly Table[],
  rows: number,
  filtered: number,
): string {
  const what = tables[0]!.path + (tables.length === 1 ? "" : ` and ${tables.length - 1} more files`);
  if (rows === 0 && filtered > 0)
    return `${what}: none of its ${filtered} rows fulfils filter. Change the conditions, or use other data.`;
  return split === undefined || rows === 0
    ? `${what}: the dataset has no rows.`
    : `${what}: none of its ${rows} rows is in the ${split.part} part (eval_share ${split.eval_share}). ` +
        "Use another share or salt, or a bigger file.";
}
