/** `rlpt new`: a table of the user's becomes a folder with a config that runs and a reward with cases. */
import { existsSync, mkdirSync, readdirSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { loadRecipe } from "../config/load.ts";
import { findPath, looksLikePath } from "../config/paths.ts";
import { composeTemplate } from "../config/prompt.ts";
import { isEvalPart } from "../data/eval-part.ts";
import { openFileDataset } from "../data/file-dataset.ts";
import { answerColumnShown, fileOptions } from "../data/file-options.ts";
import type { RowFaults } from "../data/row-faults.ts";
import type { TableFormat } from "../data/table-file.ts";
import { openTable, tableFormat } from "../data/tables/open-table.ts";
import type { Table } from "../data/tables/table.ts";
import { ConfigError, DataError, describeSystemError, RlptError } from "../lib/errors.ts";
import { promptText } from "../rollouts/encode.ts";
import { Preflight } from "../training/preflight.ts";
import { inspectModel, type ModelFacts } from "../training/preflight-model.ts";
import { openStageSource } from "../training/stage-data.ts";
import type { Prompt, Tokenizer } from "../types.ts";
import { type Columns, guessColumns, HASHES } from "./columns.ts";
import { configText, type Draft, promptTemplate, type Start, targetTemplate } from "./config-text.ts";
import { type AnswerForm, rewardText } from "./reward-text.ts";

export interface NewProjectRequest {
  /** Folder to be made. */
  folder: string;
  data: string;
  format?: TableFormat;
  /** Columns or templates. */
  prompt?: string;
  answer?: string;
  /** Folder, .gguf file or Hub id. */
  model?: string;
}

export interface NewProject {
  config: string;
  reward: string;
  columns: Columns;
  /** What is trained, in words. */
  model: string;
  rows: { train: number; eval: number };
  /** Rows as the policy reads them. */
  shown: { text: string; tokens: number | null; answer: string }[];
  /** What people should know. */
  notes: string[];
}

interface Rows {
  prompts: readonly Prompt[];
  skipped: RowFaults;
}

const FEWEST_ROWS = 8;
/** Columns are guessed from so many rows. */
const LOOKED_AT = 2000;
const HELD_TEXT = 64 << 20;
const SHOWN_ROWS = 3;
/** The miniature reads so many characters of a prompt, and answers with so many. */
const LONGEST_PROMPT = 256;
const LONGEST_ANSWER = 512;
/** What an answer stands behind: the first that no answer holds itself. */
const MARKERS = ["Answer:", "Final answer:", "=>"];
const MOST_CHARACTERS = 4096;
/** A model that comes with rlpt and works sums such as 3+8*5-9=; its context holds this much of a prompt. */
const SHIPPED = { path: "models/lab-small", opening: "<think>\n", longest: 72, maxNewTokens: 48 };
/** What the preflight says of rows that are left out or cut: told already. */
const TOLD = /rows are left out; the first|rows are too long and left out/;
/** Models from this width on are trained by adapters. */
const WIDE = 256;

/** @throws ConfigError where the folder is taken or columns do not tell, DataError where the data cannot be read */
export async function newProject(request: NewProjectRequest): Promise<NewProject> {
  const { folder, data, format } = request;
  checkFolder(folder);
  const name = projectName(folder);
  const table = await openTable(data, format ?? tableFormat(data), { bytes: HELD_TEXT });
  const fields = firstFields(table);
  if (fields.length === 0) throw new DataError(`${data}: it has no row that can be read`);
  const columns = guessColumns(data, fields, request);
  const shows = answerColumnShown(columns.prompt, { answer: columns.answer });
  if (shows !== null) {
    throw new ConfigError(`--prompt ${columns.prompt}: it shows {${shows}}, of which the answer is made`);
  }
  const notes: string[] = [];
  const read = await readRows(request, columns, null);
  if (read.prompts.length < FEWEST_ROWS) {
    throw new ConfigError(
      `${data}: ${read.prompts.length} of its ${table.size} rows can be used, and a run needs ${FEWEST_ROWS} or more`,
    );
  }
  const { start, facts } = await chooseStart(request, columns, read.prompts, notes);
  const form = answerForm(start, columns, read.prompts);
  const target = targetTemplate({ start, form, columns });
  const rows = await readRows(request, columns, target, promptTemplate({ start, form }));
  const evalShare = rows.prompts.length >= 1000 ? 0.1 : rows.prompts.length >= 100 ? 0.2 : 0.25;
  const draft: Draft = {
    name,
    file: join(folder, "config.yaml"),
    data: seenFrom(folder, data),
    format: format === undefined || format === formatOf(data) ? null : format,
    columns,
    form,
    start: start.kind === "characters" ? { ...start, characters: charactersOf(rows.prompts) } : start,
    skipsRows: rows.skipped.count > 0,
    rows: countParts(rows.prompts, evalShare),
    evalShare,
    ...sizes(start, rows.prompts, facts),
  };
  tell(draft, rows, table.size, notes);
  const answers = rows.prompts.map(({ answer }) => answer);
  const reward = join(folder, "reward.mjs");
  return write(
    folder,
    { [draft.file]: configText(draft), [reward]: rewardText(reward, form, answers) },
    async () => {
      const loaded = loadRecipe(draft.file);
      const hub = start.kind === "given" && findPath(start.path, folder) === null;
      const warnings = await new Preflight({ fetch: hub && facts !== null, weights: !hub }).check(loaded);
      const { recipe } = loaded.stages.at(-1)!;
      const known = hub ? facts : await inspectModel(recipe, { fetch: false, weights: false });
      const shown =
        known === null || known instanceof RlptError ? plainRows(rows) : await firstRows(recipe, known);
      return {
        config: draft.file,
        reward,
        columns,
        model: describeStart(draft),
        rows: draft.rows,
        shown,
        notes: [...notes, ...warnings.filter((text) => !TOLD.test(text))],
      };
    },
  );
}

function firstFields(table: Table): Record<string, unknown>[] {
  const rows = Array.from({ length: Math.min(table.size, LOOKED_AT) }, (_, index) => table.row(index));
  return rows.flatMap((row) => ("fields" in row ? [row.fields] : []));
}

/** @throws ConfigError */
function checkFolder(folder: string): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  if (folder === "" || /[\u0000-\u001f\u007f]/.test(folder))
    throw new ConfigError("the new folder needs a name that can be typed");
  if (!existsSync(folder)) return;
  let inside: string[];
  try {
    inside = readdirSync(folder);
  } catch (error) {
    throw new ConfigError(`${folder}: ${describeSystemError(error)}; give the name of a new folder`, {
      cause: error,
    });
  }
  if (inside.length > 0) {
    throw new ConfigError(
      `${folder}: there is something in it already, and nothing is overwritten. Give another name.`,
    );
  }
}

/** A run directory begins with it. */
function projectName(folder: string): string {
  const name = basename(resolve(folder))
    .replaceAll(/[^A-Za-z0-9._-]/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "");
  return name.slice(0, 100) || "run";
}

/** A path as a config in the folder names it: relative to it where it lies near, so that both can move. */
function seenFrom(folder: string, path: string): string {
  const near = relative(resolve(folder), resolve(path)).replaceAll("\\", "/");
  return near.startsWith("../../../") ? resolve(path) : near;
}

function formatOf(data: string): TableFormat | null {
  try {
    return tableFormat(data);
  } catch {
    return null;
  }
}

/** @param template of the config, around each row's prompt */
async function readRows(
  { data, format }: NewProjectRequest,
  { prompt, answer, answerPattern }: Columns,
  target: string | null,
  template = "{prompt}",
): Promise<Rows> {
  const options = fileOptions.parse({
    kind: "file",
    path: data,
    prompt: composeTemplate(template, prompt),
    answer,
    ...(format === undefined ? {} : { format }),
    ...(answerPattern === null ? {} : { answer_pattern: answerPattern }),
    ...(target === null ? {} : { target }),
    on_bad_row: "skip",
  });
  const dataset = await openFileDataset(options);
  const prompts = Array.from({ length: dataset.size }, (_, index) => dataset.at(index));
  return { prompts, skipped: dataset.skipped };
}

async function chooseStart(
  { folder, model }: NewProjectRequest,
  columns: Columns,
  prompts: readonly Prompt[],
  notes: string[],
): Promise<{ start: Start; facts: ModelFacts | null }> {
  if (model !== undefined) return givenStart(folder, model, columns, prompts, notes);
  const shipped = await inspectModel(recipeOf(SHIPPED.path), { fetch: false, weights: false });
  if (columns.answerPattern === null && shipped !== null && !(shipped instanceof RlptError)) {
    if (readsSums(shipped, prompts))
      return { start: { kind: "shipped", path: SHIPPED.path }, facts: shipped };
  }
  return { start: { kind: "characters", characters: [] }, facts: null };
}

/** Does a model like those that come with rlpt read every row, and leave room for its work? */
function readsSums({ tokenizer }: ModelFacts, prompts: readonly Prompt[]): boolean {
  return prompts.every(
    ({ input, answer }) =>
      encodes(tokenizer, `${textOf(input)}${SHIPPED.opening}`, SHIPPED.longest) &&
      encodes(tokenizer, answer, SHIPPED.maxNewTokens),
  );
}

async function givenStart(
  folder: string,
  model: string,
  columns: Columns,
  prompts: readonly Prompt[],
  notes: string[],
): Promise<{ start: Start; facts: ModelFacts | null }> {
  const found = findPath(model, null);
  if (found === null && looksLikePath(model, null)) {
    throw new ConfigError(
      `--model ${model}: there is no such model. Give a folder, a .gguf file, or a Hub id org/name.`,
    );
  }
  const facts = await inspectModel(recipeOf(found ?? model), { fetch: true, weights: false });
  if (facts instanceof RlptError) {
    if (found !== null) throw new ConfigError(`--model ${model}: ${facts.message}`, { cause: facts });
    notes.push(
      `${model} could not be looked at, so rows are shown without its chat template: ${facts.message}`,
    );
  }
  const known = facts instanceof RlptError ? null : facts;
  // what is found from here is named from there; what comes with rlpt keeps its name
  const here = resolve(model);
  const path = found === here ? seenFrom(folder, model) : model;
  const start: Start = {
    kind: "given",
    path,
    chat: known?.tokenizer.hasChatTemplate ?? true,
    lora: known === null || known.hiddenSize >= WIDE,
  };
  if (known === null) return { start, facts: null };
  const form = answerForm(start, columns, prompts);
  const asked = composeTemplate(promptTemplate({ start, form }), textOf(prompts[0]!.input));
  if (encodes(known.tokenizer, asked, Number.POSITIVE_INFINITY)) return { start, facts: known };
  if (readsSums(known, prompts)) return { start: { kind: "shipped", path }, facts: known };
  throw new ConfigError(
    `--model ${model}: its tokenizer does not read these rows; it knows the vocabulary of its own task. Name a model of texts, or leave --model out.`,
  );
}

const recipeOf = (path: string): Parameters<typeof inspectModel>[0] => ({
  model: { path: findPath(path, null) ?? path, rematerialise: false },
  seed: 0,
});

function encodes(tokenizer: Tokenizer, text: string, most: number): boolean {
  try {
    return tokenizer.encode(text, { addSpecialTokens: true }).length <= most;
  } catch {
    return false;
  }
}

function textOf(input: Prompt["input"]): string {
  if (input.kind === "text") return input.text;
  const { content } = input.messages.at(-1)!;
  return typeof content === "string" ? content : "";
}

function answerForm(start: Start, { answerPattern }: Columns, prompts: readonly Prompt[]): AnswerForm {
  if (start.kind === "shipped") return { kind: "tags" };
  const lines = prompts.some(({ answer }) => answer.includes("\n"));
  const free = MARKERS.find((marker) => !prompts.some(({ answer }) => answer.includes(marker)));
  if (free === undefined)
    throw new ConfigError(`answers hold ${MARKERS.join(" and ")}: nothing is left to mark one with`);
  return { kind: "marker", marker: answerPattern === null ? free : HASHES, lines };
}

/** Every character that the miniature reads or says, in code point order. */
function charactersOf(prompts: readonly Prompt[]): string[] {
  const found = new Set<string>(["\n"]);
  for (const { input, target } of prompts) for (const one of `${textOf(input)}${target}`) found.add(one);
  if (found.size > MOST_CHARACTERS) {
    throw new ConfigError(
      `the data has ${found.size} different characters, too many for a miniature that knows each: name a model with --model`,
    );
  }
  return [...found].sort((a, b) => a.codePointAt(0)! - b.codePointAt(0)!);
}

function countParts(prompts: readonly Prompt[], evalShare: number): Draft["rows"] {
  const held = prompts.filter(({ id }) => isEvalPart(id, "", evalShare)).length;
  return { train: prompts.length - held, eval: held };
}

function sizes(
  start: Start,
  prompts: readonly Prompt[],
  facts: ModelFacts | null,
): Pick<Draft, "maxPromptTokens" | "maxNewTokens" | "positions"> {
  if (start.kind === "shipped")
    return { maxPromptTokens: null, maxNewTokens: SHIPPED.maxNewTokens, positions: 0 };
  if (start.kind === "given") {
    const most = facts === null ? 256 : Math.max(16, Math.min(256, Math.floor(facts.positions / 2)));
    return { maxPromptTokens: null, maxNewTokens: most, positions: 0 };
  }
  // a token a character, and one each for the beginning and the end
  const longest = Math.max(...prompts.map(({ input }) => [...textOf(input)].length)) + 1;
  const targets = prompts.map(({ target }) => [...(target ?? "")].length + 1);
  if (targets.filter((length) => length <= LONGEST_ANSWER).length < FEWEST_ROWS) {
    throw new ConfigError(
      `answers are longer than the ${LONGEST_ANSWER} characters that a miniature can learn: name a model with --model`,
    );
  }
  const target = Math.max(...targets);
  const cut = longest > LONGEST_PROMPT || target > LONGEST_ANSWER;
  const maxNewTokens = Math.min(LONGEST_ANSWER, Math.max(16, target + 4));
  return {
    maxPromptTokens: cut ? LONGEST_PROMPT : null,
    maxNewTokens,
    positions: 64 * Math.ceil((Math.min(longest, LONGEST_PROMPT) + maxNewTokens) / 64),
  };
}

function tell({ columns, start, maxPromptTokens }: Draft, rows: Rows, all: number, notes: string[]): void {
  const [first] = rows.skipped.first;
  if (first !== undefined) {
    notes.push(
      `${rows.skipped.count} of ${all} rows do not fit and are left out (on_bad_row: skip); the first, line ${first.line}, ${first.reason}`,
    );
  }
  const lengths = rows.prompts.map(({ answer }) => answer.length).sort((a, b) => a - b);
  const median = lengths[Math.floor(lengths.length / 2)]!;
  if (columns.answerPattern === null && median > 100) {
    notes.push(
      `answers are long texts (half of them above ${median} characters): hardly any completion will equal one, so write what counts as right into reward.mjs`,
    );
  }
  if (start.kind === "characters" && maxPromptTokens !== null) {
    notes.push(
      `the miniature reads the last ${LONGEST_PROMPT} characters of a prompt, and rows whose target does not fit are left out (on_long: truncate)`,
    );
  }
}

function describeStart({ start }: Draft): string {
  switch (start.kind) {
    case "given":
      return `${start.path}${start.lora ? ", by LoRA" : ", all weights"}`;
    case "shipped":
      return `${start.path}, a miniature that reads these prompts; --model names another`;
    case "characters":
      return `a miniature with random weights that knows the ${start.characters.length} characters of the file; --model names one that knows more`;
  }
}

async function firstRows(
  recipe: Parameters<typeof openStageSource>[0],
  { tokenizer, positions }: ModelFacts,
): Promise<NewProject["shown"]> {
  const source = await openStageSource(recipe, "train", tokenizer, positions, () => {});
  return Array.from({ length: Math.min(SHOWN_ROWS, source.size ?? SHOWN_ROWS) }, (_, index) => {
    const prompt = source.at(index);
    const text = promptText(tokenizer, prompt);
    const tokens = tokenizer.encode(text, { addSpecialTokens: prompt.input.kind === "text" }).length;
    return { text, tokens, answer: prompt.answer };
  });
}

/** Without the model's tokenizer. */
function plainRows({ prompts }: Rows): NewProject["shown"] {
  return prompts
    .slice(0, SHOWN_ROWS)
    .map(({ input, answer }) => ({ text: textOf(input), tokens: null, answer }));
}

/** Writes the files; they go away again where what follows fails. */
async function write<T>(folder: string, files: Record<string, string>, then: () => Promise<T>): Promise<T> {
  const existed = existsSync(folder);
  const written: string[] = [];
  try {
    mkdirSync(folder, { recursive: true });
    for (const [path, text] of Object.entries(files)) {
      writeFileSync(path, text, { flag: "wx" });
      written.push(path);
    }
  } catch (error) {
    undo(folder, written, existed);
    throw new ConfigError(`${folder}: cannot be written: ${describeSystemError(error)}`, { cause: error });
  }
  try {
    return await then();
  } catch (error) {
    undo(folder, written, existed);
    throw error;
  }
}

function undo(folder: string, written: readonly string[], existed: boolean): void {
  for (const path of written) rmSync(path, { force: true });
  if (existed) return;
  try {
    rmdirSync(folder);
  } catch {
    // somebody else has put something there
  }
}
