/** From the rows of a run's files to what trackers are told. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isTimeColumn } from "../metrics/table.ts";
import { type Cell, readCsvTable } from "../run/append-log.ts";
import { readProvenance } from "../run/provenance.ts";
import { readRecipe } from "../run/run-directory.ts";
import type { SampleRecord } from "../run/samples.ts";
import type { TrackedRow, TrackedText, Tracker } from "./tracker.ts";

/** Steps between tables of samples. */
const SAMPLES_EVERY = 10;
const SHOWN_SAMPLES = 8;
const SHOWN_CHARACTERS = 1_000;

/** Seconds since 1970 at which a run began; 0 where its provenance can't be read. */
export function beganAt(runDir: string): number {
  return Date.parse(readProvenance(runDir, { damaged: "null" })?.started ?? "") / 1000 || 0;
}

/** A row of metrics.csv. @param began seconds since 1970 */
export function metricsRow(step: number, values: Readonly<Record<string, Cell>>, began: number): TrackedRow {
  const [scalars, measured] = [new Map<string, number>(), new Map<string, number>()];
  for (const [name, cell] of Object.entries(values)) {
    const value = numberOf(cell);
    if (value !== null && name !== "step") (isTimeColumn(name) ? measured : scalars).set(name, value);
  }
  return { step, wallTime: began + (numberOf(values["time/elapsed_s"]) ?? 0), scalars, measured };
}

/** Counts and bounds of an evaluation are no curves. */
const NO_CURVE = new Set([
  "step",
  "stage",
  "dataset",
  "slice",
  "interval",
  "prompts",
  "completions",
  "correct",
  "k",
]);

/** Rows of eval.csv, of one step: eval/accuracy for all, eval/level=1/accuracy for a slice. */
export function evaluationRow(rows: readonly Readonly<Record<string, Cell>>[], wallTime: number): TrackedRow {
  const scalars = new Map<string, number>();
  for (const row of rows) {
    const slice = row["slice"] === "all" ? "" : `${String(row["slice"])}/`;
    for (const [name, cell] of Object.entries(row)) {
      const value = NO_CURVE.has(name) ? null : numberOf(cell);
      if (value !== null) scalars.set(`eval/${slice}${name}`, value);
    }
  }
  return { step: Number(rows[0]!["step"]), wallTime, scalars, measured: new Map() };
}

/** Some completions of every tenth step as a table; null for the steps between. */
export function samplesText(records: readonly SampleRecord[], wallTime: number): TrackedText | null {
  const step = records[0]?.step;
  if (step === undefined || (step !== 1 && step % SAMPLES_EVERY !== 0)) return null;
  const rows = records
    .slice(0, SHOWN_SAMPLES)
    .map(
      ({ prompt, completion, reward, correct }) =>
        `| ${tableCell(prompt)} | ${tableCell(completion)} | ${Number(reward.toPrecision(4))} | ${correct ? "yes" : "no"} |`,
    );
  const text = ["| prompt | completion | reward | correct |", "| --- | --- | --- | --- |", ...rows].join(
    "\n",
  );
  return { step, wallTime, name: "samples", text };
}

export function recipeText(yaml: string, began: number): TrackedText {
  return { step: 0, wallTime: began, name: "recipe", text: yaml.replace(/^/gm, "    ") };
}

/** Nothing of a completion is markup. */
function tableCell(text: string): string {
  const cut = text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}...` : text;
  return cut
    .replace(/[&<>|\\`*_{}[\]()#!~$-]/g, (mark) => `&#${mark.charCodeAt(0)};`)
    .replace(/\r?\n/g, "<br>");
}

function numberOf(cell: Cell): number | null {
  if (cell === "" || cell === null || cell === undefined || typeof cell === "boolean") return null;
  const value = Number(cell);
  return Number.isFinite(value) ? value : null;
}

/**
 * Tells a tracker everything that a run's files hold, in the order in which it was written.
 * @returns steps with metrics
 * @throws CheckpointError where there is no run
 */
export function tellRun(runDir: string, tracker: Tracker): number {
  const began = beganAt(runDir);
  tracker.text(recipeText(readRecipe(runDir), began));
  const table = (name: string) =>
    existsSync(join(runDir, name)) ? readCsvTable(join(runDir, name)).rows : [];
  const metrics = table("metrics.csv").map((row) => metricsRow(Number(row["step"]), row, began));
  const evaluations = byStepOf(table("eval.csv"));
  const samples = byStepOf(sampleRecords(join(runDir, "samples.jsonl")));
  const byStep = new Map(metrics.map((row) => [row.step, row]));
  const steps = [...new Set([...evaluations.keys(), ...byStep.keys(), ...samples.keys()])];
  let wallTime = began;
  for (const step of steps.sort((a, b) => a - b)) {
    wallTime = byStep.get(step)?.wallTime ?? wallTime;
    const evaluated = evaluations.get(step);
    if (evaluated !== undefined) tracker.row(evaluationRow(evaluated, wallTime));
    const row = byStep.get(step);
    if (row !== undefined) tracker.row(row);
    const text = samplesText(samples.get(step) ?? [], wallTime);
    if (text !== null) tracker.text(text);
  }
  return metrics.length;
}

function byStepOf<Row extends { step?: unknown }>(rows: readonly Row[]): Map<number, Row[]> {
  const out = new Map<number, Row[]>();
  for (const row of rows) {
    const step = Number(row.step);
    const there = out.get(step);
    if (there === undefined) out.set(step, [row]);
    else there.push(row);
  }
  return out;
}

/** A torn last line is left out. */
function sampleRecords(path: string): SampleRecord[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    .flatMap((line) => {
      try {
        return [JSON.parse(line) as SampleRecord];
      } catch {
        return [];
      }
    });
}
