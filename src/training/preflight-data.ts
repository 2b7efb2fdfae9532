/** Every row of a stage's data, as the run will read it: templates rendered, tokens counted, gold answers graded. */
import { existsSync } from "node:fs";
import { displayPath } from "../config/paths.ts";
import type { Recipe } from "../config/schema.ts";
import { type FileDataset, RowFaultsError, readFileDataset } from "../data/file-dataset.ts";
import { openSource } from "../data/source.ts";
import { DataError, RlptError } from "../lib/errors.ts";
import type { RewardSpec } from "../rewards/options.ts";
import { createScorer } from "../rewards/score.ts";
import { promptText } from "../rollouts/encode.ts";
import { opensThinking } from "../rollouts/modes.ts";
import type { Prompt, Tokenizer } from "../types.ts";
import type { Findings } from "./preflight.ts";
import type { ModelFacts } from "./preflight-model.ts";
import { type DataPart, excess, fitRows, learnsTargets, rowLimits } from "./stage-data.ts";

/** Problems of a task that are made up: as many as show every level and mode. */
const DRAWN_ROWS = 64;
/** Rows that are named for one reason. */
const NAMED_ROWS = 3;

interface Rows {
  prompts: readonly Prompt[];
  /** Line of each in its file; null for tasks. */
  lines: readonly number[] | null;
  /** All there are; null: endless. */
  size: number | null;
  /** How messages name the file, or the task. */
  name: string;
}

/** @param facts null where the model is not here: lengths and templates are then left out */
export async function checkData(
  stage: number,
  recipe: Recipe,
  facts: ModelFacts | null,
  findings: Findings,
  {
    absentIsNoFault = false,
    parts = ["train", "eval"],
  }: { absentIsNoFault?: boolean; parts?: readonly DataPart[] | undefined } = {},
): Promise<void> {
  for (const part of parts) {
    if (recipe.data[part] === undefined) continue;
    const rows = await readRows(stage, recipe, part, findings, absentIsNoFault);
    if (rows === null) continue;
    const kept = facts === null ? rows : checkTokens(stage, recipe, part, rows, facts, findings);
    if (part === "train" && !learnsTargets(recipe)) {
      checkEnough(stage, recipe, kept, findings);
      if (facts !== null) checkModes(stage, recipe, rows, facts.tokenizer, findings);
    }
    if (rows.lines !== null) await checkAnswers(recipe, part, rows, findings);
  }
}

async function readRows(
  stage: number,
  recipe: Recipe,
  part: DataPart,
  findings: Findings,
  absentIsNoFault: boolean,
): Promise<Rows | null> {
  const options = recipe.data[part]!;
  const at = ["data", part];
  try {
    if (options.kind !== "file") {
      const source = await openSource(options, recipe.seed, part, () => {});
      const count = Math.min(source.size ?? DRAWN_ROWS, DRAWN_ROWS);
      const prompts = Array.from({ length: count }, (_, index) => source.at(index));
      return { prompts, lines: null, size: source.size, name: source.name };
    }
    const name = displayPath(options.path);
    if (!existsSync(options.path)) {
      if (absentIsNoFault && options.get !== undefined) {
        findings.warn(`${name}: this data is not there yet; ${options.get}`);
        return null;
      }
      const fix = options.get ?? "give the path of a data file";
      findings.fault(stage, [...at, "path"], { value: name, reason: "this data is not there yet", fix });
      return null;
    }
    const { prompts, lines, skipped }: FileDataset = await readFileDataset(options);
    const limit = part === "eval" ? recipe.eval?.limit : undefined;
    const first = skipped[0];
    if (first !== undefined) {
      findings.warn(
        `${name}: ${skipped.length} rows are left out; the first, line ${first.line}, ${first.reason}`,
      );
    }
    return { prompts: prompts.slice(0, limit), lines, size: prompts.length, name };
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    if (error instanceof RowFaultsError && options.kind === "file") {
      const fix =
        error.faults.length === error.rows
          ? "no row fits: check prompt, answer, id and slices against the columns"
          : "mend the rows, or set on_bad_row: skip";
      reportRows(stage, part, displayPath(options.path), error.faults, fix, findings);
    } else {
      const reason = error.message.replace(/\.$/, "");
      findings.fault(stage, options.kind === "file" ? [...at, "path"] : at, {
        reason,
        fix: "use other data, or mend it",
      });
    }
    return null;
  }
}

/** One line for each of the first rows with a reason, and how many more have it. */
function reportRows(
  stage: number,
  part: DataPart,
  name: string,
  faults: readonly { line: number; reason: string }[],
  fix: string,
  findings: Findings,
): void {
  const byReason = new Map<string, { line: number; reason: string }[]>();
  for (const fault of faults) {
    // numbers and quoted texts differ from row to row; the reason is the same
    const kind = fault.reason.replace(/\d+|"[^"]*"/g, "#");
    byReason.set(kind, [...(byReason.get(kind) ?? []), fault]);
  }
  for (const same of byReason.values()) {
    for (const [index, { line, reason }] of same.slice(0, NAMED_ROWS).entries()) {
      const more = same.length - NAMED_ROWS;
      const others =
        index === NAMED_ROWS - 1 && more > 0 ? `; ${more.toLocaleString("en")} more rows likewise` : "";
      findings.fault(stage, ["data", part], {
        reason: `${/^(has|is|cannot) /.test(reason) ? "this row" : "in this row,"} ${reason}${others}`,
        fix,
        origin: { file: name, line },
      });
    }
  }
}

/** Renders and encodes every row. @returns those that `on_long` leaves */
function checkTokens(
  stage: number,
  recipe: Recipe,
  part: DataPart,
  rows: Rows,
  { tokenizer, positions }: ModelFacts,
  findings: Findings,
): Rows {
  const options = recipe.data[part]!;
  const limits = rowLimits(recipe, part, positions);
  const broken: { line: number; reason: string }[] = [];
  const long: { line: number; reason: string }[] = [];
  const whole: number[] = [];
  for (const [index, prompt] of rows.prompts.entries()) {
    const line = rows.lines?.[index] ?? 0;
    try {
      const over = excess(tokenizer, prompt, limits);
      if (over === null) whole.push(index);
      else
        long.push({
          line,
          reason: `has ${over.tokens.toLocaleString("en")} tokens${over.what === "example" ? " with its target" : ""}, the limit is ${over.limit}`,
        });
    } catch (error) {
      if (!(error instanceof RlptError)) throw error;
      broken.push({ line, reason: `cannot be encoded: ${error.message}` });
    }
  }
  if (options.kind !== "file") {
    const first = broken[0] ?? long[0];
    if (first !== undefined) {
      const reason = `a problem of ${rows.name} ${first.reason}`;
      findings.fault(stage, ["data", part], {
        reason,
        fix: "use a model that reads this task, or raise the limits",
      });
    }
    return rows;
  }
  const fix =
    learnsTargets(recipe) && part === "train"
      ? "raise algorithm.row_length"
      : "raise rollout.max_prompt_tokens, lower max_new_tokens";
  if (broken.length > 0) {
    reportRows(
      stage,
      part,
      rows.name,
      broken,
      "mend the row, or use a model whose tokenizer reads it",
      findings,
    );
    return rows;
  }
  if (long.length === 0) return rows;
  if (options.on_long === undefined || options.on_long === "error") {
    reportRows(stage, part, rows.name, long, `${fix}, or set on_long: skip or truncate`, findings);
    return rows;
  }
  const { prompts, skipped, cut } = fitRows(rows.prompts, options.on_long, tokenizer, limits);
  const where = [...skipped, ...cut].slice(0, NAMED_ROWS).map((index) => rows.lines![index]);
  findings.warn(
    `${rows.name}: ${skipped.length} rows are too long and left out, the beginning of ${cut.length} is cut off (on_long: ${options.on_long}); lines ${where.join(", ")}${long.length > NAMED_ROWS ? ", ..." : ""}`,
  );
  if (prompts.length === 0) {
    findings.fault(stage, ["data", part, "on_long"], {
      value: options.on_long,
      reason: "no row is left",
      fix,
    });
  }
  return { ...rows, prompts, size: prompts.length };
}

/** Fewer rows than a step draws would be drawn several times in it, and sample the same prompt's group again. */
function checkEnough(stage: number, recipe: Recipe, rows: Rows, findings: Findings): void {
  const options = recipe.data.train;
  const needed = recipe.rollout.prompts_per_step;
  if (options.kind !== "file" || rows.size === null || rows.size >= needed) return;
  const reason = `it has ${rows.size} rows, and a step draws ${needed} different prompts (rollout.prompts_per_step)`;
  // a sample that shows the format, where the data itself has to be got
  if (options.get !== undefined) {
    findings.warn(`${rows.name}: ${reason}; ${options.get}`);
    return;
  }
  findings.fault(stage, ["data", "train", "path"], {
    value: rows.name,
    reason,
    fix: "use more rows, or fewer prompts a step",
  });
}

function checkModes(
  stage: number,
  recipe: Recipe,
  rows: Rows,
  tokenizer: Tokenizer,
  findings: Findings,
): void {
  if (recipe.rollout.mode_samples === undefined) return;
  const index = rows.prompts.findIndex((prompt) => {
    try {
      return !opensThinking(promptText(tokenizer, prompt));
    } catch {
      return false; // said by checkTokens
    }
  });
  if (index < 0) return;
  const which = rows.lines === null ? `problem ${rows.prompts[index]!.id}` : `line ${rows.lines[index]}`;
  findings.fault(stage, ["rollout", "mode_samples"], {
    reason: `the prompt of ${which} of ${rows.name} does not end inside <think>, so a completion's first token decides nothing`,
    fix: "open the block in the prompt or the chat template, or remove mode_samples",
  });
}

/** Parts that read the gold answer by rules of ours. */
const READS_GOLD: readonly RewardSpec["kind"][] = ["exact", "number", "math", "mode-answer"];

/** Counts gold answers that a part cannot read: each of its completions would be an error. */
async function checkAnswers(recipe: Recipe, part: DataPart, rows: Rows, findings: Findings): Promise<void> {
  if (part === "train" && learnsTargets(recipe)) return;
  const tried = "<think>\n</think>\n\n<answer>\\boxed{1}</answer>";
  const inputs = rows.prompts.map(({ answer, fields }) => ({
    completion: tried,
    finishReason: "eos" as const,
    tokens: 1,
    promptText: "<think>\n",
    answer,
    fields,
  }));
  for (const spec of recipe.rewards) {
    if (!READS_GOLD.includes(spec.kind)) continue;
    const { requires: _, ...alone } = spec;
    const score = await createScorer([alone as RewardSpec], { maxErrorShare: 1 });
    try {
      const failed = (await score(inputs)).flatMap(({ status, parts }, index) =>
        status === "error" ? [{ index, note: Object.values(parts)[0]?.note ?? "" }] : [],
      );
      if (failed.length === 0) continue;
      const first = failed
        .slice(0, NAMED_ROWS)
        .map(({ index, note }) => `line ${rows.lines![index]}: ${note}`)
        .join("; ");
      findings.warn(
        `${rows.name}: reward ${spec.name ?? spec.kind} cannot read ${failed.length} of ${rows.prompts.length} gold answers; ${first}`,
      );
    } finally {
      await score.close();
    }
  }
}
