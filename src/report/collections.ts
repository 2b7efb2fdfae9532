/** What folders of selections (LIMR) and of sweeps (AdaCoT) show: the pictures of their papers. */
import { existsSync, readdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { type Figure, number, percent, type Section } from "./document.ts";
import { selectionShape } from "./json-shapes.ts";
import { dominated } from "./pareto.ts";
import type { Line, Mark, Plotter } from "./plots.ts";
import { numberCell, type Row, readShape, readTable } from "./read-run.ts";
import { sectionId } from "./section-id.ts";

/** Histogram of LIM scores with the threshold, curves of kept and dropped prompts, and what was selected. */
export function selectionSections(directory: string, plot: Plotter): Section[] {
  const facts = readShape(join(directory, "selection.json"), selectionShape);
  const scores = readTable(join(directory, "scores.csv"));
  const kept = scores.rows.filter(({ selected }) => selected === "1" || selected === "true");
  const dropped = scores.rows.filter((row) => !kept.includes(row));
  const epochs = scores.columns.filter((name) => name.startsWith("epoch_"));
  const meanOf = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
  const valuesOf = (rows: readonly Row[], name: string) => rows.flatMap((row) => numberCell(row, name) ?? []);
  const curve = (rows: readonly Row[]) =>
    epochs.flatMap((name, i) => {
      const values = valuesOf(rows, name);
      return values.length === 0 ? [] : [{ x: i + 1, y: meanOf(values) }];
    });
  // what was dropped was solved anyway, or was not to be learned: the two would cancel out in one mean
  const level = (row: Row) => meanOf(epochs.flatMap((name) => numberCell(row, name) ?? []));
  const poolLevel = meanOf(epochs.flatMap((name) => valuesOf(scores.rows, name)));
  const easy = dropped.filter((row) => level(row) >= poolLevel);
  const hard = dropped.filter((row) => level(row) < poolLevel);
  const lines: Line[] = [
    { name: `kept (${kept.length})`, points: curve(kept), colour: 0, dots: true },
    { name: `dropped, above the mean (${easy.length})`, points: curve(easy), colour: 2, dots: true },
    { name: `dropped, below the mean (${hard.length})`, points: curve(hard), colour: 1, dots: true },
    { name: `all (${scores.rows.length})`, points: curve(scores.rows), colour: 7, dots: true },
  ].filter(({ points }) => points.length > 0);
  const lowestKept = Math.min(...kept.flatMap((row) => numberCell(row, "score") ?? []));
  const { bins, outside, below, lowest } = scoreBins(kept, dropped);
  const captions = [
    Number.isFinite(lowestKept)
      ? `Dashed: the lowest score that was kept, ${number(lowestKept)}.`
      : "Nothing was kept.",
    ...(outside > 0
      ? [`The bar at the left holds ${outside} that lie below ${number(below)}, down to ${number(lowest)}.`]
      : []),
    ...(facts.without_score > 0 ? [`${facts.without_score} prompts have no score.`] : []),
  ];
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
      legend: [
        { name: `kept (${kept.length})`, colour: "var(--c0)" },
        { name: `dropped (${dropped.length})`, colour: "var(--c7)" },
      ],
      caption: captions.join(" "),
    },
  ];
  if (lines.length > 0) {
    figures.push({
      title: "Curves of kept and dropped prompts",
      unit: "mean of the signal by epoch",
      svg: plot.lines({ lines, yLabel: "mean of the signal", xLabel: "epoch" }),
      legend: lines.map(({ name, colour }) => ({ name, colour: `var(--c${colour})` })),
      caption: `scores.csv, gaps filled as the scores do. First to last epoch: ${lines
        .map(({ name, points }) => `${name}: ${number(points[0]!.y)} to ${number(points.at(-1)!.y)}`)
        .join(", ")}.`,
    });
  }
  const slices = Object.entries(facts.slices)
    .sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }))
    .map(([name, { pool, selected }]) => [name, String(pool), String(selected), percent(selected / pool)]);
  const name = basename(resolve(directory));
  return [
    {
      id: sectionId("selection", name),
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

/** Width of a bar. LIM scores of prompts that follow the mean curve lie between 0 and 1. */
const BIN = 0.05;
/** Left of this scores only say how far off a prompt is; the long tail would hide the rest. */
const TAIL = -0.5;

/** Prompts by score, kept ones below dropped ones; what lies left of the tail's border is one bar. */
function scoreBins(kept: readonly Row[], dropped: readonly Row[]) {
  const scored = (rows: readonly Row[]) => rows.flatMap((row) => numberCell(row, "score") ?? []);
  const everything = [...scored(kept), ...scored(dropped)];
  const outside = everything.filter((score) => score < TAIL);
  const bins = [
    { series: "kept", colour: 0, scores: scored(kept) },
    { series: "dropped", colour: 7, scores: scored(dropped) },
  ].flatMap(({ series, colour, scores }) => {
    const counts = new Map<number, number>();
    for (const score of scores) {
      // a rounding error must not move 0.15 into the bar before it
      const bin = score < TAIL ? Math.round(TAIL / BIN) - 1 : Math.floor(score / BIN + 1e-9);
      counts.set(bin, (counts.get(bin) ?? 0) + 1);
    }
    return [...counts].map(([bin, count]) => ({
      low: Number((bin * BIN).toFixed(2)),
      high: Number(((bin + 1) * BIN).toFixed(2)),
      count,
      series,
      colour,
    }));
  });
  return { bins, outside: outside.length, below: TAIL, lowest: Math.min(...outside) };
}

/** Accuracy against use of thought, point by point, with intervals and dominated points. */
export function sweepSections(directory: string, plot: Plotter): Section[] {
  const rows = readTable(join(directory, "pareto.csv")).rows.filter((row) =>
    ["trigger", "score"].every((name) => Number.isFinite(numberCell(row, name) ?? Number.NaN)),
  );
  const seeds = [...new Set(rows.map(({ seed }) => seed ?? ""))];
  const averaged = seeds.includes("mean");
  const shown = averaged ? rows.filter(({ seed }) => seed === "mean") : rows;
  const label = (row: Row) =>
    `${row["point"]}${row["when"] === "start" ? " (start)" : ""}${averaged || seeds.length < 2 ? "" : ` s${row["seed"]}`}`;
  const points = shown.map((row) => ({ trigger: Number(row["trigger"]), score: Number(row["score"]) }));
  const lost = dominated(points);
  const marks = shown.map((row, i): Mark => {
    const armRows = rows.filter(
      (one) => one["point"] === row["point"] && one["when"] === row["when"] && one["seed"] !== "mean",
    );
    const spread = (name: string): [number, number] => {
      const values = armRows.map((one) => Number(one[name]));
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
      id: sectionId("sweep", name),
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
            header: ["point", "score", "thinking", "tokens", "F1", "front", "settings"],
            rows: shown.map((row, i) => [
              label(row),
              number(numberCell(row, "score")),
              percent(numberCell(row, "trigger")),
              number(numberCell(row, "tokens")),
              number(numberCell(row, "f1")),
              lost[i] ? "" : "yes",
              settings.flatMap((key) => ((row[key] ?? "") === "" ? [] : [`${key}=${row[key]}`])).join(" "),
            ]),
            text: [0, 6],
          },
        },
      ],
    },
  ];
}

/** The interval of a trial's accuracy; null where its run does not lie in the sweep's folder or the score is no accuracy. */
function evaluationInterval(directory: string, row: Row): [number, number] | null {
  const trial = `${row["point"]}-s${row["seed"]}`;
  if (!existsSync(directory) || !readdirSync(directory).includes(trial)) return null;
  const all = readTable(join(directory, trial, "eval.csv")).rows.filter(({ slice }) => slice === "all");
  const found = row["when"] === "start" ? all[0] : all.at(-1);
  if (found === undefined || Number(found["accuracy"]) !== Number(row["score"])) return null;
  const [low, high] = [numberCell(found, "accuracy_low"), numberCell(found, "accuracy_high")];
  return low === null || high === null ? null : [low, high];
}
