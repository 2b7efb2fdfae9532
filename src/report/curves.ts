/** The figures of a report: which columns of which runs, drawn how. */
import { curveMetrics } from "../metrics/table.ts";
import { plotNames } from "./arms.ts";
import type { Figure } from "./document.ts";
import { number, percent } from "./document.ts";
import { colourOf, type Line, orderedColour, type Plotter } from "./plots.ts";
import type { RunFiles } from "./read-run.ts";
import {
  accuracyPoints,
  column,
  evaluationSteps,
  type Point,
  sliceKinds,
  smooth,
  smoothingWindow,
  stageStarts,
  thin,
} from "./series.ts";

const POINTS = 300;
/** A curve that never leaves this is float noise about 0 and gets no figure. */
const NOISE = 1e-7;

/** A column that gets a figure where a run measures it. */
interface Curve {
  column: string;
  title: string;
  unit: string;
  /** The values are shares of one. */
  share?: boolean;
}

/** Held-out accuracy with intervals, large: what a run is about. */
export function accuracyFigure(runs: readonly RunFiles[], plot: Plotter): Figure | null {
  const names = plotNames(runs);
  const lines = runs
    .map((run, i): Line => ({ ...names[i]!, points: accuracyPoints(run.evaluations, "all"), dots: true }))
    .filter(({ points }) => points.length > 0);
  if (lines.length === 0) return null;
  const drawing = { lines, yLabel: "accuracy", share: true, stages: sharedStages(runs) };
  return {
    title: "Held-out accuracy",
    unit: "share of completions",
    svg: plot.lines({ ...drawing, wide: true }),
    narrow: plot.lines(drawing),
    legend: legend(lines),
    caption: `Every evaluation of eval.csv, slice "all", not smoothed; bands are 95% intervals. ${lastValues(lines, percent)}`,
  };
}

/** A figure a column, all runs in each. */
export function learningFigures(runs: readonly RunFiles[], plot: Plotter): Figure[] {
  const figures = curveMetrics.flatMap(
    ({ name, curve }) => metricFigure(runs, { column: name, ...curve }, plot) ?? [],
  );
  const length = { column: "tokens_mean", title: "Held-out length", unit: "tokens a completion" };
  const mode = { column: "thinking", title: "Held-out thinking", unit: "share of completions", share: true };
  const held = evaluationFigure(runs, length, plot);
  const thinking = evaluationFigure(runs, mode, plot);
  return [...figures, ...(held === null ? [] : [held]), ...(thinking === null ? [] : [thinking])];
}

/** Parts of the reward: all in one figure for one run, a figure a part for several. */
export function rewardPartFigures(runs: readonly RunFiles[], plot: Plotter): Figure[] {
  const prefix = "reward/part/";
  const names = [
    ...new Set(runs.flatMap((run) => run.metricColumns.filter((name) => name.startsWith(prefix)))),
  ];
  if (runs.length > 1) {
    return names.flatMap(
      (name) =>
        metricFigure(
          runs,
          {
            column: name,
            title: `Reward part ${name.slice(prefix.length)}`,
            unit: "mean before its weight",
          },
          plot,
        ) ?? [],
    );
  }
  const run = runs[0]!;
  const raw = names
    .map(
      (name, i): Line => ({ name: name.slice(prefix.length), points: column(run.metrics, name), colour: i }),
    )
    .filter(({ points }) => points.length > 0);
  if (raw.length === 0) return [];
  const { lines, note, window } = smoothed(raw, false);
  return [
    {
      title: "Reward parts",
      unit: "mean before the weight",
      svg: plot.lines({ lines, yLabel: "mean before the weight", stages: stageStarts(run.metrics) }),
      legend: legend(raw),
      caption: `${note} ${lastValues(raw, number, window > 1)}`,
    },
  ];
}

/**
 * Groups that give no gradient, by the first cause that holds: all truncated, all unparsed, all wrong, all
 * right, equal rewards otherwise. Only shares of metrics.csv are known, so causes that include each other are
 * taken apart as far as shares allow: each is at most what is left of the dead.
 */
export function deadGroups(run: RunFiles): { name: string; points: Point[] }[] {
  const names = ["all truncated", "all unparsed", "all wrong", "all right", "equal rewards otherwise"];
  const series = names.map((name) => ({ name, points: [] as Point[] }));
  const wrong = column(run.metrics, "group/all_wrong");
  const at = (name: string) => new Map(column(run.metrics, name).map(({ x, y }) => [x, y]));
  // advantages are computed from rewards after shaping; runs of older versions counted those before it
  const equality = run.metricColumns.includes("group/equal_shaped") ? "equal_shaped" : "equal_rewards";
  const [right, equal, cut, unparsed] = ["all_right", equality, "all_truncated", "all_unparsed"].map((name) =>
    at(`group/${name}`),
  ) as [Map<number, number>, Map<number, number>, Map<number, number>, Map<number, number>];
  for (const { x, y } of wrong) {
    // truncated and unparsed groups are wrong as a rule; what is not is counted by its own cause only
    const truncated = Math.min(cut.get(x) ?? 0, y);
    const unread = Math.min(unparsed.get(x) ?? 0, y - truncated);
    // a group whose rewards differ, by a length part or by shaping, is not dead whatever its answers are
    let dead = equal.get(x) ?? 0;
    for (const [i, cause] of [truncated, unread, y - truncated - unread, right.get(x) ?? 0].entries()) {
      const value = Math.min(cause, dead);
      series[i]!.points.push({ x, y: value });
      dead -= value;
    }
    series[4]!.points.push({ x, y: dead });
  }
  return series.filter(({ points }) => points.some(({ y }) => y > 0));
}

export function deadGroupFigures(runs: readonly RunFiles[], plot: Plotter): Figure[] {
  return runs.flatMap((run) => {
    const series = deadGroups(run);
    if (series.length === 0) return [];
    const colours: Record<string, number> = {
      "all truncated": 4,
      "all unparsed": 3,
      "all wrong": 1,
      "all right": 2,
      "equal rewards otherwise": 7,
    };
    const lines = series.map(({ name, points }): Line => ({ name, points, colour: colours[name]! }));
    const window = smoothingWindow(lines[0]!.points.length);
    return [
      {
        title: runs.length > 1 ? run.label : "Groups without a difference",
        unit: "share of groups",
        svg: plot.stack({
          lines: lines.map((line) => ({ ...line, points: thin(smooth(line.points, window), POINTS) })),
          yLabel: "share of groups",
          stages: stageStarts(run.metrics),
        }),
        legend: legend(lines),
        caption: `${smoothingNote(window)} ${lastValues(lines, percent, window > 1)}`,
      },
    ];
  });
}

/** Accuracy, thinking and tokens of each slice over time; and the slices at each stage's end, as bars. */
export function sliceFigures(run: RunFiles, kind: string, several: boolean, plot: Plotter): Figure[] {
  const names = sliceKinds(run.evaluations).get(kind) ?? [];
  const prefix = several ? `${run.label}: ` : "";
  const ends = stageEnds(run);
  const ordered = names.every((name) => /=-?[\d.]+$/.test(name));
  return (
    [
      { column: "accuracy", title: "Accuracy", unit: "share of completions", share: true },
      { column: "thinking", title: "Thinking", unit: "share of completions", share: true },
      { column: "tokens_mean", title: "Length", unit: "tokens a completion", share: false },
    ] as const
  ).flatMap(({ column: name, title, unit, share }) => {
    const points = (slice: string) =>
      column(
        run.evaluations.filter((row) => row["slice"] === slice),
        name,
      );
    const filled = names.filter((slice) => points(slice).length > 0);
    // a mode that never changes is no picture
    if (filled.length === 0 || (name === "thinking" && constant(filled.flatMap(points)))) return [];
    const figures: Figure[] = [];
    if (evaluationSteps(run.evaluations).length > 1) {
      const lines = filled.map(
        (slice, i): Line => ({ name: slice, points: points(slice), colour: i, dots: true }),
      );
      figures.push({
        title: `${prefix}${title} by ${kind}, over training`,
        unit,
        svg: plot.lines({ lines, yLabel: title, share, stages: stageStarts(run.metrics) }),
        legend: legend(lines),
        caption: `Evaluations, not smoothed. ${lastValues(lines, share ? percent : number)}`,
      });
    }
    const bars = ends.flatMap(({ name: series, step }) =>
      filled.flatMap((slice) => {
        const found = points(slice).find(({ x }) => x === step);
        const interval = accuracyPoints(run.evaluations, slice).find(({ x }) => x === step);
        return found === undefined
          ? []
          : [
              {
                group: slice.slice(kind.length + 1),
                series,
                value: found.y,
                ...(name === "accuracy" && interval?.low !== undefined
                  ? { low: interval.low, high: interval.high! }
                  : {}),
              },
            ];
      }),
    );
    figures.push({
      title: `${prefix}${title} by ${kind}, ${ends.length > 2 ? "stage by stage" : "before and after"}`,
      unit,
      svg: plot.bars({ bars, series: ends.map((end) => end.name), yLabel: title, share, ordered: true }),
      legend: ends.map((end, i) => ({ name: end.name, colour: orderedColour(i, ends.length) })),
      caption: `${kind} from left to right${ordered ? ", easy to hard" : ""}${name === "accuracy" ? "; lines are 95% intervals" : ""}.`,
    });
    return figures;
  });
}

/** The first evaluation, and the last of each stage. */
export function stageEnds(run: RunFiles): { name: string; step: number }[] {
  const steps = evaluationSteps(run.evaluations);
  if (steps.length === 0) return [];
  const starts = stageStarts(run.metrics);
  const ends = starts.flatMap(({ step, stage }, i) => {
    const inside = steps.filter(
      (one) => one > step && one <= (starts[i + 1]?.step ?? Number.POSITIVE_INFINITY),
    );
    const last = inside.at(-1);
    if (last === undefined) return [];
    return [{ name: starts.length > 1 ? `after ${stage}` : `step ${last}`, step: last }];
  });
  const first = steps[0]!;
  return ends.some(({ step }) => step === first)
    ? ends
    : [{ name: first === 0 ? "before training" : `step ${first}`, step: first }, ...ends];
}

function metricFigure(
  runs: readonly RunFiles[],
  { column: name, title, unit, share = false }: Curve,
  plot: Plotter,
): Figure | null {
  const names = plotNames(runs);
  const raw = runs
    .map((run, i): Line => ({ ...names[i]!, points: column(run.metrics, name) }))
    .filter(({ points }) => points.some(({ y }) => Math.abs(y) > NOISE));
  const still = name === "optim/lr" || name === "completion/thinking";
  if (raw.length === 0 || (still && constant(raw.flatMap(({ points }) => points)))) return null;
  const { lines, note, window } = smoothed(raw, runs.length <= 2, name !== "optim/lr");
  return {
    title,
    unit,
    svg: plot.lines({ lines, yLabel: unit, share, stages: sharedStages(runs) }),
    legend: legend(raw),
    caption: `${name}. ${note} ${lastValues(raw, share ? percent : number, window > 1)}`,
  };
}

function evaluationFigure(
  runs: readonly RunFiles[],
  { column: name, title, unit, share = false }: Curve,
  plot: Plotter,
): Figure | null {
  const names = plotNames(runs);
  const lines = runs
    .map(
      (run, i): Line => ({
        ...names[i]!,
        points: column(
          run.evaluations.filter((row) => row["slice"] === "all"),
          name,
        ),
        dots: true,
      }),
    )
    .filter(({ points }) => points.length > 0);
  if (lines.length === 0 || (name === "thinking" && constant(lines.flatMap(({ points }) => points))))
    return null;
  return {
    title,
    unit,
    svg: plot.lines({ lines, yLabel: unit, share, stages: sharedStages(runs) }),
    legend: legend(lines),
    caption: `${name} of eval.csv, not smoothed. ${lastValues(lines, share ? percent : number)}`,
  };
}

const constant = (points: readonly Point[]): boolean => points.every(({ y }) => y === points[0]!.y);

function smoothed(raw: readonly Line[], withRaw: boolean, noisy = true) {
  const window = noisy ? Math.max(...raw.map(({ points }) => smoothingWindow(points.length))) : 1;
  const longest = Math.max(...raw.map(({ points }) => points.length));
  const lines = raw.flatMap((line) => {
    const soft = { ...line, points: thin(smooth(line.points, window), POINTS) };
    return window > 1 && withRaw
      ? [{ ...line, points: thin(line.points, POINTS), faint: true }, soft]
      : [soft];
  });
  const thinned =
    longest > POINTS
      ? ` Drawn as means of ${Math.ceil(longest / POINTS)} steps, as there are ${longest}.`
      : "";
  return {
    lines,
    window,
    note: smoothingNote(window) + (window > 1 && withRaw ? " Faint: as measured." : "") + thinned,
  };
}

const smoothingNote = (window: number): string =>
  window === 1
    ? "Every step, not smoothed."
    : `Line: centred mean of ${window} steps, at both ends a line fitted to up to ${2 * window - 1}.`;

/** Stage names only where all runs have the same. */
function sharedStages(runs: readonly RunFiles[]): { step: number; stage: string }[] {
  const all = runs.map((run) => stageStarts(run.metrics));
  return all.every((one) => JSON.stringify(one) === JSON.stringify(all[0])) ? all[0]! : [];
}

/** The lines of each name: where there are many runs, those of an arm share one. */
function byName(lines: readonly Line[]): Map<string, Line[]> {
  const groups = new Map<string, Line[]>();
  for (const line of lines) groups.set(line.name, [...(groups.get(line.name) ?? []), line]);
  return groups;
}

function legend(lines: readonly Line[]): Figure["legend"] {
  if (lines.length < 2) return [];
  return [...byName(lines)].map(([name, [line]]) => ({ name, colour: colourOf(line!.colour) }));
}

/** @param beside the drawn lines are smoothed, and end beside these values */
function lastValues(lines: readonly Line[], show: (value: number) => string, beside = false): string {
  const last = beside ? "Last, as measured" : "Last";
  if (lines.length === 1) {
    const { x, y } = lines[0]!.points.at(-1)!;
    return `${last}: ${show(y)} at step ${x}.`;
  }
  const texts = [...byName(lines)].map(([name, group]) => {
    const mean = group.reduce((sum, { points }) => sum + points.at(-1)!.y, 0) / group.length;
    return `${name} ${show(mean)}${group.length > 1 ? ` (mean of ${group.length})` : ""}`;
  });
  return `${last}: ${texts.join(", ")}.`;
}
