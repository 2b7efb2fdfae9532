/** From the rows of a run's files to what trackers are told. */
import { isTimeColumn } from "../metrics/table.ts";
import type { Cell } from "../run/append-log.ts";
import { readProvenance } from "../run/provenance.ts";
import type { SampleRecord } from "../run/samples.ts";
import type { TrackedRow, TrackedText } from "./tracker.ts";

/** Steps between tables of samples. */
const SAMPLES_EVERY = 10;
const SHOWN_SAMPLES = 8;
const SHOWN_CHARACTERS = 1_000;

/** Seconds since 1970 at which a run began; 0 where its provenance can't be read. */
export function beganAt(runDir: string): number {
  return Date.parse(readProvenance(runDir, { damaged: "null" })?.started ?? "") / 1000 || 0;
}

/**
 * When a step ended, seconds since 1970: the start of the process that made it, and its time/elapsed_s.
 * @param elapsed seconds since that process began to train
 */
export type RunClock = (step: number, elapsed: number) => number;

export function runClock(runDir: string): RunClock {
  const resumes = readProvenance(runDir, { damaged: "null" })?.resumes ?? [];
  const began = beganAt(runDir);
  return (step, elapsed) => {
    const resume = resumes.findLast(({ from_step }) => from_step < step);
    return (resume === undefined ? began : Date.parse(resume.time) / 1000 || began) + elapsed;
  };
}

/** A row of metrics.csv. */
export function metricsRow(
  step: number,
  values: Readonly<Record<string, Cell>>,
  clock: RunClock,
): TrackedRow {
  const [scalars, measured] = [new Map<string, number>(), new Map<string, number>()];
  for (const [name, cell] of Object.entries(values)) {
    const value = numberOf(cell);
    if (value !== null && name !== "step") (isTimeColumn(name) ? measured : scalars).set(name, value);
  }
  return { step, wallTime: clock(step, numberOf(values["time/elapsed_s"]) ?? 0), scalars, measured };
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

/** Some completions of every tenth step; none of the steps between. */
export function shownSamples(records: readonly SampleRecord[]): readonly SampleRecord[] {
  const step = records[0]?.step;
  if (step === undefined || (step !== 1 && step % SAMPLES_EVERY !== 0)) return [];
  return records.slice(0, SHOWN_SAMPLES);
}

/** Head of what trackers show of a completion. */
export function shownText(text: string): string {
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}...` : text;
}

/** The shown samples of a step as a table; null where there are none. */
export function samplesText(records: readonly SampleRecord[], wallTime: number): TrackedText | null {
  const shown = shownSamples(records);
  if (shown.length === 0) return null;
  const { step } = shown[0]!;
  const rows = shown.map(
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
  return shownText(text)
    .replace(/[&<>|\\`*_{}[\]()#!~$-]/g, (mark) => `&#${mark.charCodeAt(0)};`)
    .replace(/\r?\n/g, "<br>");
}

function numberOf(cell: Cell): number | null {
  if (cell === "" || cell === null || cell === undefined || typeof cell === "boolean") return null;
  const value = Number(cell);
  return Number.isFinite(value) ? value : null;
}
