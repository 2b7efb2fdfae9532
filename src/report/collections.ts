/** What folders of selections (LIMR) and of sweeps (AdaCoT) show: the pictures of their papers. */
import { existsSync, readdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { type Figure, number, percent, type Section } from "./document.ts";
import { dominated } from "./pareto.ts";
import type { Line, Mark, Plotter } from "./plots.ts";
import { numberCell, type Row, readTable, readText } from "./read-run.ts";

interface SelectionFile {
  pool: number;
  selected: number;
  without_score: number;
  threshold: number | null;
  settings: Record<string, unknown>;
  mean_curve?: (number | null)[];
  slices?: Record<string, { pool: number; selected: number }>;
}

/** Histogram of LIM scores with the threshold, curves of kept and dropped prompts, and what was selected. */
export function selectionSections(directory: string, plot: Plotter): Section[] {
  const facts = readText(join(directory, "selection.json"), (text) => JSON.parse(text) as SelectionFile);
  const scores = readTable(join(directory, "scores.csv"));
  const bins = readTable(join(directory, "histogram.csv")).rows.map((row) => ({
    low: Number(row["low"]),
    high: Number(row["high"]),
    count: Number(row["count"]),
  }));
  const kept = scores.rows.filter(({ selected }) => selected === "1" || selected === "true");
  const dropped = scores.rows.filter((row) => !kept.includes(row));
  const epochs = scores.columns.filter((name) => name.startsWith("epoch_"));
  const curve = (rows: readonly Row[]) =>
    epochs.flatMap((name, i) => {
      const values = rows.flatMap((row) => numberCell(row, name) ?? []);
      return values.length === 0
        ? []
        : [{ x: i + 1, y: values.reduce((sum, v) => sum + v, 0) / values.length }];
    });
  const lines: Line[] = [
    { name: `kept (${kept.length})`, points: curve(kept), colour: 0, dots: true },
    { name: `dropped (${dropped.length})`, points: curve(dropped), colour: 1, dots: true },
    { name: "all", points: curve(scores.rows), colour: 7, dots: true },
  ].filter(({ points }) => points.length > 0);
  const lowestKept = Math.min(...kept.flatMap((row) => numberCell(row, "score") ?? []));
  const figures: Figure[] = [
    {
      title: "Scores",
      unit: "prompts",
      svg: plot.histogram({
        bins,
        rule: Number.isFinite(lowestKept) ? lowestKept : null,
        xLabel: "score",
        yLabel: "prompts",
      }),
      legend: [],
      caption: Number.isFinite(lowestKept)
        ? `Line: the lowest score that was kept, ${number(lowestKept)}.`
        : "Nothing was kept.",
    },
  ];
  if (lines.length > 0) {
    figures.push({
      title: "Curves of kept and dropped prompts",
      unit: "mean of the signal by epoch",
      svg: plot.lines({ lines, yLabel: "mean of the signal", xLabel: "epoch" }),
      legend: lines.map(({ name, colour }) => ({ name, colour: `var(--c${colour})` })),
      caption: "scores.csv, gaps filled as the scores do.",
    });
  }
  const slices = Object.entries(facts.slices ?? {})
    .sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }))
    .map(([name, { pool, selected }]) => [name, String(pool), String(selected), percent(selected / pool)]);
  const name = basename(resolve(directory));
  return [
    {
      id: `selection-${safeId(name)}`,
      title: `Selection ${name}: ${facts.selected} of ${facts.pool} prompts`,
      blocks: [
        { kind: "figures", figures },
        ...(slices.length === 0
          ? []
          : [
              {
                kind: "table",
                table: { header: ["slice", "pool", "kept", "share"], rows: slices, text: [0] },
              } as const,
            ]),
      ],
    },
  ];
}

/** Accuracy against use of thought, point by point, with intervals and dominated points. */
export function sweepSections(directory: string, plot: Plotter): Section[] {
  const rows = readTable(join(directory, "pareto.csv")).rows;
  const seeds = [...new Set(rows.map(({ seed }) => seed ?? ""))];
  const averaged = seeds.includes("mean");
  const shown = averaged ? rows.filter(({ seed }) => seed === "mean") : rows;
  const label = (row: Row) =>
    `${row["point"]}${row["when"] === "start" ? " (start)" : ""}${averaged || seeds.length < 2 ? "" : ` s${row["seed"]}`}`;
  const points = shown.map((row) => ({ trigger: Number(row["trigger"]), score: Number(row["score"]) }));
  const lost = dominated(points);
  const marks = shown.map((row, i): Mark => {
    const own = rows.filter(
      (one) => one["point"] === row["point"] && one["when"] === row["when"] && one["seed"] !== "mean",
    );
    const spread = (name: string): [number, number] => {
      const values = own.map((one) => Number(one[name]));
      return [Math.min(...values), Math.max(...values)];
    };
    const interval = averaged ? spread("score") : evaluationInterval(directory, row);
    const across = averaged ? spread("trigger") : null;
    return {
      x: points[i]!.trigger,
      y: points[i]!.score,
      name: label(row),
      hollow: lost[i]!,
      ...(interval === null ? {} : { low: interval[0], high: interval[1] }),
      ...(across === null ? {} : { xLow: across[0], xHigh: across[1] }),
    };
  });
  const front = marks.filter(({ hollow }) => !hollow).sort((a, b) => a.x - b.x);
  const known = [
    "point",
    "seed",
    "when",
    "step",
    "score",
    "trigger",
    "tokens",
    "precision",
    "recall",
    "f1",
    "dominated",
    "hypervolume",
  ];
  const settings = Object.keys(rows[0] ?? {}).filter((name) => !known.includes(name));
  const name = basename(resolve(directory));
  const drawing = { marks, front, xLabel: "share of completions that think", yLabel: "score" };
  const bars = averaged
    ? "Bars: smallest and largest of the seeds."
    : marks.some(({ low }) => low !== undefined)
      ? "Bars: 95% intervals of the score over prompts."
      : "No intervals: the trials' eval.csv were not found.";
  return [
    {
      id: `sweep-${safeId(name)}`,
      title: `Sweep ${name}`,
      blocks: [
        {
          kind: "figures",
          figures: [
            {
              title: "Score against use of thought",
              unit: "score by share of completions that think",
              svg: plot.scatter({ ...drawing, wide: true }),
              narrow: plot.scatter(drawing),
              legend: [],
              caption: `${averaged ? "Means over seeds. " : ""}Filled: not dominated; hollow: another point thinks no more and scores no less. ${bars}`,
            },
          ],
        },
        {
          kind: "table",
          table: {
            header: ["point", ...settings, "score", "thinking", "tokens", "F1", "front"],
            rows: shown.map((row, i) => [
              label(row),
              ...settings.map((key) => row[key] ?? ""),
              number(numberCell(row, "score")),
              percent(numberCell(row, "trigger")),
              number(numberCell(row, "tokens")),
              number(numberCell(row, "f1")),
              lost[i] ? "" : "yes",
            ]),
            text: [0],
          },
        },
      ],
    },
  ];
}

/** Of a trial's accuracy, where its run lies in the sweep's folder and the score is its accuracy. */
function evaluationInterval(directory: string, row: Row): [number, number] | null {
  const trial = `${row["point"]}-s${row["seed"]}`;
  if (!existsSync(directory) || !readdirSync(directory).includes(trial)) return null;
  const all = readTable(join(directory, trial, "eval.csv")).rows.filter(({ slice }) => slice === "all");
  const found = row["when"] === "start" ? all[0] : all.at(-1);
  if (found === undefined || Number(found["accuracy"]) !== Number(row["score"])) return null;
  const [low, high] = [numberCell(found, "accuracy_low"), numberCell(found, "accuracy_high")];
  return low === null || high === null ? null : [low, high];
}

const safeId = (name: string): string => name.replaceAll(/[^\w-]/g, "-");
