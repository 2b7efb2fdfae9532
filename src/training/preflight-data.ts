/** Every row of a stage's data, as the run will read it: templates rendered, tokens counted, gold answers graded. */
import { existsSync } from "node:fs";
import { displayPath } from "../config/paths.ts";
import type { Recipe } from "../config/schema.ts";
import { type DatasetOptions, isPictures, leafSets } from "../data/dataset-options.ts";
import { openFileDataset } from "../data/file-dataset.ts";
import { dataPaths, isHubPath } from "../data/file-options.ts";
import { type Place, type PlacedFault, RowFaultsError } from "../data/row-faults.ts";
import { openSource } from "../data/source.ts";
import { DataError, RlptError } from "../lib/errors.ts";
import { isPattern } from "../lib/find-files.ts";
import type { HubOptions } from "../lib/hub/repository.ts";
import type { RewardSpec } from "../rewards/options.ts";
import { createScorer } from "../rewards/score.ts";
import { promptText } from "../rollouts/encode.ts";
import { opensThinking } from "../rollouts/modes.ts";
import type { Prompt, RewardInput, Tokenizer } from "../types.ts";
import { resetPrompts } from "./episodes.ts";
import type { Findings } from "./preflight.ts";
import type { ModelFacts } from "./preflight-model.ts";
import { pictureOverlap } from "./preflight-pictures.ts";
import { type DataPart, excess, fitRows, learnsTargets, rowLimits } from "./stage-data.ts";

/** Problems of a task that are made up: as many as show every level and mode. */
const DRAWN_ROWS = 64;
/** Of labelled pictures, whose prompts differ by their lists of candidates; all of them were looked for. */
const PICTURE_ROWS = 2000;
/** Rows that are named for one reason. */
const NAMED_ROWS = 3;
/** Rows of a dataset that is too large for memory whose tokens are counted: the first, and others evenly spread. */
const SAMPLED_ROWS = 20_000;

/** What is looked at of a dataset. */
interface Rows {
  count: number;
  at(index: number): Prompt;
  /** Where a row lies in its file; null for tasks. */
  placeOf: ((index: number) => Place) | null;
  /** All there are; null: endless. */
  size: number | null;
  /** How messages name the file, or the task. */
  name: string;
}

export interface DataChecks {
  /** A data file that says how to get it need not be here yet. */
  absentIsNoFault?: boolean;
  /** How datasets on the Hub are fetched; with `offline` only its cache is looked at. */
  hub?: HubOptions;
  /** Which are looked at; all when absent. */
  parts?: readonly DataPart[];
}

/** A dataset of a stage, and the key path at which it stands. */
interface Part {
  stage: number;
  recipe: Recipe;
  part: DataPart;
  at: readonly (string | number)[];
  options: DatasetOptions;
}

/** @param facts null where the model is not here: lengths and templates are then left out */
export async function checkData(
  stage: number,
  recipe: Recipe,
  facts: ModelFacts | null,
  findings: Findings,
  { absentIsNoFault = false, hub = {}, parts = ["train", "eval"] }: DataChecks = {},
): Promise<void> {
  let total = 0;
  const overlap = pictureOverlap();
  for (const { part, at, set: options } of leafSets(recipe.data)) {
    if (!parts.includes(part)) continue;
    const place: Part = { stage, recipe, part, at, options };
    const read = await readRows(place, findings, { absentIsNoFault, hub });
    const rows = read === null || facts === null ? read : await resetRows(place, read, facts, findings);
    if (rows === null) continue;
    overlap.look(part, options, rows);
    const size = facts === null ? rows.size : checkTokens(place, rows, facts, findings);
    if (part === "train" && !learnsTargets(recipe)) {
      if (checkEnough(place, rows, size, findings)) total += size ?? Number.POSITIVE_INFINITY;
      if (facts !== null) checkModes(place, rows, facts.tokenizer, findings);
    }
    if (rows.placeOf !== null) await checkAnswers(place, rows, findings);
  }
  overlap.report(findings);
  const needed = recipe.rollout.prompts_per_step;
  if (total === 0 || total >= needed) return;
  findings.fault(stage, ["data", "train", "sources"], {
    reason: `they have ${total} rows together, and a step draws ${needed} different prompts (rollout.prompts_per_step)`,
    fix: "use more rows, or fewer prompts a step",
  });
}

/** The rows as an environment makes prompts of them, where there is one; null where it cannot. */
async function resetRows(
  { stage, recipe, part, at }: Part,
  rows: Rows,
  { tokenizer }: ModelFacts,
  findings: Findings,
): Promise<Rows | null> {
  if (recipe.environment === undefined || (part === "train" && learnsTargets(recipe))) return rows;
  try {
    const size = rows.size === null ? null : rows.count;
    const written = await resetPrompts(recipe, { name: rows.name, size, at: rows.at }, tokenizer);
    return { ...rows, at: written.at };
  } catch (error) {
    if (!(error instanceof RlptError)) throw error;
    const isData = rows.size === null;
    findings.fault(stage, isData ? at : ["environment", "kind"], {
      reason: error.message,
      fix: isData ? "use kind: episodes, or a file" : "mend the environment's reset, or the row",
    });
    return null;
  }
}

/** "a.jsonl and 2 more". */
function namesOf(paths: readonly string[]): string {
  return displayPath(paths[0]!) + (paths.length === 1 ? "" : ` and ${paths.length - 1} more`);
}

/** Says that a file or folder of the data is not there yet. */
function isAbsent({ stage, at, options }: Part, findings: Findings, isNoFault: boolean): boolean {
  if (options.kind !== "file" && !isPictures(options)) return false;
  const paths = options.kind === "file" ? dataPaths(options) : [options.path];
  const absent = paths.find((path) => !isHubPath(path) && !isPattern(path) && !existsSync(path));
  if (absent === undefined) return false;
  const name = displayPath(absent);
  if (isNoFault && options.get !== undefined) {
    findings.warn(`${name}: this data is not there yet; ${options.get}`);
    return true;
  }
  const fix =
    options.get ?? `give the path of a ${options.kind === "file" ? "data file" : "folder of pictures"}`;
  findings.fault(stage, [...at, "path"], { value: name, reason: "this data is not there yet", fix });
  return true;
}

async function readRows(
  place: Part,
  findings: Findings,
  { absentIsNoFault = false, hub = {} }: DataChecks,
): Promise<Rows | null> {
  const { stage, recipe, part, at, options } = place;
  try {
    if (isAbsent(place, findings, absentIsNoFault)) return null;
    if (options.kind !== "file") {
      const source = await openSource(options, recipe.seed, part, () => {});
      const count = Math.min(source.size ?? DRAWN_ROWS, isPictures(options) ? PICTURE_ROWS : DRAWN_ROWS);
      return { count, at: source.at, placeOf: null, size: source.size, name: source.name };
    }
    const dataset = await openFileDataset(options, { hub });
    const { skipped, size } = dataset;
    const name = namesOf(dataset.files.map(({ path }) => path));
    const [first] = skipped.first;
    if (first !== undefined) {
      findings.warn(
        `${name}: ${skipped.count} rows are left out; the first, line ${first.line}, ${first.reason}`,
      );
    }
    if (dataset.filtered > 0)
      findings.warn(`${name}: ${dataset.filtered.toLocaleString("en")} rows are left out by filter`);
    const limit = part === "eval" ? recipe.eval?.limit : undefined;
    const count = Math.min(size, limit ?? size);
    if (dataset.held || count <= SAMPLED_ROWS)
      return { count, at: dataset.at, placeOf: dataset.placeOf, size, name };
    findings.warn(
      `${name}: of its ${size.toLocaleString("en")} rows ${SAMPLED_ROWS.toLocaleString("en")}, evenly spread, were looked at for tokens and answers; every row was read`,
    );
    const indexOf = (index: number) => Math.floor((index * count) / SAMPLED_ROWS);
    return {
      count: SAMPLED_ROWS,
      at: (index) => dataset.at(indexOf(index)),
      placeOf: (index) => dataset.placeOf(indexOf(index)),
      size,
      name,
    };
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    // without leave to fetch only the cache was looked at
    if (
      hub.offline &&
      options.kind === "file" &&
      dataPaths(options).some(isHubPath) &&
      !(error instanceof RowFaultsError)
    ) {
      findings.warn(
        `${dataPaths(options).join(", ")}: not in the Hub's cache; its rows are looked at when it is fetched`,
      );
      return null;
    }
    if (error instanceof RowFaultsError) {
      const fix =
        error.faults.count === error.rows
          ? `no row fits: ${error.whenNone}`
          : "mend the rows, or set on_bad_row: skip";
      reportRows(place, error.faults.first, fix, findings, error.faults.count);
    } else {
      const reason = error.message.replace(/\.$/, "");
      findings.fault(stage, options.kind === "file" || isPictures(options) ? [...at, "path"] : at, {
        reason,
        fix: "use other data, or mend it",
      });
    }
    return null;
  }
}

/** One line for each of the first rows with a reason, and how many more have it. */
function reportRows(
  { stage, at }: Part,
  faults: readonly PlacedFault[],
  fix: string,
  findings: Findings,
  all = faults.length,
): void {
  const byReason = new Map<string, PlacedFault[]>();
  for (const fault of faults) {
    // numbers and quoted texts differ from row to row; the reason is the same
    const kind = fault.reason.replace(/\d+|"[^"]*"/g, "#");
    const same = byReason.get(kind);
    if (same === undefined) byReason.set(kind, [fault]);
    else same.push(fault);
  }
  for (const same of byReason.values()) {
    const unkept = byReason.size === 1 ? all - faults.length : 0;
    for (const [index, { path, line, reason }] of same.slice(0, NAMED_ROWS).entries()) {
      const more = same.length + unkept - NAMED_ROWS;
      const others =
        index === NAMED_ROWS - 1 && more > 0 ? `; ${more.toLocaleString("en")} more rows likewise` : "";
      findings.fault(stage, at, {
        reason: `${/^(has|is|cannot) /.test(reason) ? "this row" : "in this row,"} ${reason}${others}`,
        fix,
        origin: { file: displayPath(path), line },
      });
    }
  }
}

/** Renders and encodes rows. @returns how many `on_long` leaves of all; null: endless */
function checkTokens(
  place: Part,
  rows: Rows,
  { tokenizer, positions }: ModelFacts,
  findings: Findings,
): number | null {
  const { stage, recipe, part, at, options } = place;
  const limits = rowLimits(recipe, part, positions);
  const broken: PlacedFault[] = [];
  const long: PlacedFault[] = [];
  for (let index = 0; index < rows.count; index++) {
    const where = () => rows.placeOf?.(index) ?? { path: rows.name, line: 0 };
    try {
      const over = excess(tokenizer, rows.at(index), limits);
      if (over === null) continue;
      long.push({
        ...where(),
        reason: `has ${over.tokens.toLocaleString("en")} tokens${over.what === "example" ? " with its target" : ""}, the limit is ${over.limit}`,
      });
    } catch (error) {
      if (!(error instanceof RlptError)) throw error;
      broken.push({ ...where(), reason: `cannot be encoded: ${error.message}` });
    }
  }
  if (options.kind !== "file") {
    const first = broken[0] ?? long[0];
    if (first !== undefined) {
      const reason = `a problem of ${rows.name} ${first.reason}`;
      findings.fault(stage, at, {
        reason,
        fix: "use a model that reads this task, or raise the limits",
      });
    }
    return rows.size;
  }
  const fix =
    learnsTargets(recipe) && part === "train"
      ? "raise algorithm.row_length"
      : "raise rollout.max_prompt_tokens, lower max_new_tokens";
  if (broken.length > 0) {
    reportRows(place, broken, "mend the row, or use a model whose tokenizer reads it", findings);
    return rows.size;
  }
  if (long.length === 0) return rows.size;
  if (options.on_long === undefined || options.on_long === "error") {
    reportRows(place, long, `${fix}, or set on_long: skip or truncate`, findings);
    return rows.size;
  }
  const fitted = fitRows({ size: rows.count, at: rows.at }, options.on_long, tokenizer, limits);
  const { skipped, cut } = fitted;
  const where = [...skipped, ...cut].slice(0, NAMED_ROWS).map((index) => rows.placeOf!(index).line);
  findings.warn(
    `${rows.name}: ${skipped.length} rows are too long and left out, the beginning of ${cut.length} is cut off (on_long: ${options.on_long}); lines ${where.join(", ")}${long.length > NAMED_ROWS ? ", ..." : ""}`,
  );
  if (fitted.size === 0) {
    findings.fault(stage, [...at, "on_long"], {
      value: options.on_long,
      reason: "no row is left",
      fix,
    });
  }
  return rows.count === rows.size ? fitted.size : rows.size;
}

/**
 * Fewer rows than a step draws would be drawn several times in it, and sample the same prompt's group again.
 * @returns whether the rows of several sources count together
 */
function checkEnough(
  { stage, recipe, at, options }: Part,
  { name }: Rows,
  size: number | null,
  findings: Findings,
): boolean {
  const { train } = recipe.data;
  const members = "sources" in train ? train.sources : [];
  const weights = members.reduce((sum, { weight }) => sum + (weight ?? 0), 0);
  if (members.length > 0 && weights === 0) return true;
  const { weight = weights } = options as { weight?: number };
  const share = weights === 0 ? 1 : weight / weights;
  const needed = Math.ceil(recipe.rollout.prompts_per_step * share - 1e-9);
  if ((options.kind !== "file" && !isPictures(options)) || size === null || size >= needed) return false;
  const reason = `it has ${size} rows, and a step draws ${needed} different prompts${share < 1 ? " of it" : ""} (rollout.prompts_per_step)`;
  // a sample that shows the format, where the data itself has to be got
  if (options.get !== undefined) {
    findings.warn(`${name}: ${reason}; ${options.get}`);
    return false;
  }
  findings.fault(stage, [...at, "path"], {
    value: name,
    reason,
    fix: "use more rows, or fewer prompts a step",
  });
  return false;
}

function checkModes({ stage, recipe }: Part, rows: Rows, tokenizer: Tokenizer, findings: Findings): void {
  if (recipe.rollout.mode_samples === undefined) return;
  for (let index = 0; index < rows.count; index++) {
    const prompt = rows.at(index);
    try {
      if (opensThinking(promptText(tokenizer, prompt))) continue;
    } catch {
      continue; // said by checkTokens
    }
    const which = rows.placeOf === null ? `problem ${prompt.id}` : `line ${rows.placeOf(index).line}`;
    findings.fault(stage, ["rollout", "mode_samples"], {
      reason: `the prompt of ${which} of ${rows.name} does not end inside <think>, so a completion's first token decides nothing`,
      fix: "open the block in the prompt or the chat template, or remove mode_samples",
    });
    return;
  }
}

/** Parts that read the gold answer by rules of ours. */
const READS_GOLD: readonly RewardSpec["kind"][] = ["exact", "number", "math", "mode-answer"];
/** Gold answers that are scored at once. */
const GRADED_ROWS = 1000;

/** Counts gold answers that a part cannot read: each of its completions would be an error. */
async function checkAnswers({ recipe, part }: Part, rows: Rows, findings: Findings): Promise<void> {
  if (part === "train" && learnsTargets(recipe)) return;
  const tried = "<think>\n</think>\n\n<answer>\\boxed{1}</answer>";
  const inputOf = ({ answer, fields }: Prompt): RewardInput => ({
    completion: tried,
    finishReason: "eos",
    tokens: 1,
    promptText: "<think>\n",
    answer,
    fields,
  });
  for (const spec of recipe.rewards) {
    if (!READS_GOLD.includes(spec.kind)) continue;
    const { requires: _, ...alone } = spec;
    const score = await createScorer([alone as RewardSpec], { maxErrorShare: 1 });
    const failed: { index: number; note: string }[] = [];
    try {
      for (let from = 0; from < rows.count; from += GRADED_ROWS) {
        const count = Math.min(GRADED_ROWS, rows.count - from);
        const inputs = Array.from({ length: count }, (_, i) => inputOf(rows.at(from + i)));
        for (const [i, { status, parts }] of (await score(inputs)).entries())
          if (status === "error") failed.push({ index: from + i, note: Object.values(parts)[0]?.note ?? "" });
      }
    } finally {
      await score.close();
    }
    if (failed.length === 0) continue;
    const first = failed
      .slice(0, NAMED_ROWS)
      .map(({ index, note }) => `line ${rows.placeOf!(index).line}: ${note}`)
      .join("; ");
    findings.warn(
      `${rows.name}: reward ${spec.name ?? spec.kind} cannot read ${failed.length} of ${rows.count} gold answers; ${first}`,
    );
  }
}
