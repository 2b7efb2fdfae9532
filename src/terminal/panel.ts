/** What a run looks like on a terminal: a few lines of text, from numbers. Pure. */
import cliProgress from "cli-progress";
import type { MetricValues } from "../metrics/define.ts";
import { formatMetric, labelOf, panelMetrics } from "../metrics/table.ts";
import { percent } from "../metrics/values.ts";
import { cutToWidth, visibleWidth } from "./layout.ts";

/** Colours, or nothing. */
export interface PanelStyle {
  bold(text: string): string;
  dim(text: string): string;
  good(text: string): string;
  bad(text: string): string;
  accent(text: string): string;
}

const same = (text: string): string => text;
export const plainStyle: PanelStyle = { bold: same, dim: same, good: same, bad: same, accent: same };

export interface PanelState {
  title: string;
  /** The recipe's stages, with their planned steps; empty where they are not known. */
  stages: readonly string[];
  stage: string;
  /** Steps of the run, and the stage's last one. */
  step: number;
  first: number;
  last: number;
  /** Steps a second; 0 while unknown. */
  rate: number;
  /** Seconds; null while unknown. */
  left: number | null;
  metrics: MetricValues;
  /** Values of each metric, one a step, oldest first. */
  history: ReadonlyMap<string, readonly number[]>;
  evaluation: { step: number; accuracy: number; low: number | null; high: number | null } | null;
  /** What is said beside the progress: "waiting", say; "" is nothing. */
  remark: string;
}

export interface PanelLook {
  /** Columns; lines are never longer. */
  width: number;
  /** Block characters; else ASCII. */
  unicode: boolean;
  style: PanelStyle;
}

/** Metrics whose course is drawn: what `history` should hold. */
export const courses: readonly string[] = panelMetrics
  .filter(({ panel }) => panel.course)
  .map(({ name }) => name);

interface Piece {
  text: string;
  style?: (text: string) => string;
}

/** @returns lines without line breaks, each at most `width` columns wide */
export function renderPanel(state: PanelState, look: PanelLook): string[] {
  const { style } = look;
  const number = state.stages.indexOf(state.stage) + 1;
  const place = state.stages.length > 1 && number > 0 ? `stage ${number} of ${state.stages.length}: ` : "";
  const lines: Piece[][] = [
    [
      { text: state.title, style: style.bold },
      { text: `  ${place}${state.stage}` },
      ...(state.remark === "" ? [] : [{ text: `  ${state.remark}`, style: style.accent }]),
    ],
    progressLine(state, look),
    ...cellLines(state, look),
    ...evaluationLine(state, look),
    alarmLine(state, look),
  ];
  return lines.map((pieces) => joined(pieces, look));
}

/** The first line, while there is nothing else to show: a model is loaded, say. */
export function renderTitle(title: string, phase: string, look: PanelLook): string {
  return joined(
    [
      { text: title, style: look.style.bold },
      { text: `${title === "" ? "" : "  "}${phase}`, style: look.style.accent },
    ],
    look,
  );
}

function progressLine(
  { step, first, last, rate, left: seconds }: PanelState,
  { width, unicode, style }: PanelLook,
): Piece[] {
  const speed = rate >= 1 ? `${rate.toFixed(1)} steps/s` : `${(1 / rate).toFixed(1)} s/step`;
  const left = step >= last ? "done" : `${seconds === null ? "?" : formatDuration(seconds)} left`;
  const count = `${step}/${last}`;
  const all = rate === 0 ? count : `${count}  ${speed}  ${left}`;
  const space = (text: string) => Math.min(60, width - visibleWidth(text) - 3);
  // the speed gives way first
  const words = space(all) < 6 && rate > 0 ? `${count}  ${left}` : all;
  const room = space(words);
  if (room < 6) return [{ text: words }];
  const share = last <= first ? 1 : Math.min(1, Math.max(0, (step - first) / (last - first)));
  const [done, rest] = bar(share, room, unicode);
  return [{ text: done, style: style.accent }, { text: rest, style: style.dim }, { text: `  ${words}` }];
}

/** The two parts of a bar, apart so that each gets a colour of its own. */
export function bar(share: number, size: number, unicode: boolean): [string, string] {
  const [full, empty] = unicode ? ["━", "─"] : ["=", "."];
  const apart = "\0";
  const drawn = cliProgress.Format.BarFormat(share, {
    barsize: size,
    barCompleteString: full.repeat(size),
    barIncompleteString: empty.repeat(size),
    barGlue: apart,
  });
  const [done = "", rest = ""] = drawn.split(apart);
  return [done, rest];
}

/** Label, value and course of each metric of the panel that the stage has, in columns. */
function cellLines({ metrics, history }: PanelState, { width, unicode, style }: PanelLook): Piece[][] {
  const cells = panelMetrics.flatMap((metric) => {
    const value = metrics[metric.name];
    if (typeof value !== "number" || !Number.isFinite(value)) return [];
    const { name, panel } = metric;
    return [
      {
        name,
        label: labelOf(metric),
        shown: (panel.format ?? ((one: number) => formatMetric(metric, one)))(value),
        course: panel.course,
      },
    ];
  });
  const columns = width >= 108 ? 3 : width >= 64 ? 2 : 1;
  const cellWidth = Math.floor((width - 2 * (columns - 1)) / columns);
  const rows = Math.ceil(cells.length / columns);
  return Array.from({ length: rows }, (_, row) =>
    cells
      .filter((_, i) => Math.floor(i / columns) === row)
      .flatMap(({ name, label, shown, course }, column) => {
        const text = `${label.padEnd(9)}${shown.padStart(9)}`;
        const room = Math.min(24, cellWidth - text.length - 2);
        const drawn = course && room >= 6 ? sparkline(history.get(name) ?? [], room, unicode) : "";
        const rest = cellWidth - text.length - 2 - drawn.length;
        return [
          ...(column === 0 ? [] : [{ text: "  " }]),
          { text: label.padEnd(9), style: style.dim },
          { text: shown.padStart(9) },
          { text: `  ${drawn}`, style: style.accent },
          { text: " ".repeat(Math.max(0, rest)) },
        ];
      }),
  );
}

function evaluationLine({ evaluation }: PanelState, { style }: PanelLook): Piece[][] {
  if (evaluation === null) return [];
  const { step, accuracy, low, high } = evaluation;
  const interval = low === null || high === null ? "" : ` [${percent(low)}, ${percent(high)}]`;
  return [
    [
      { text: "held-out ".padEnd(9), style: style.dim },
      { text: percent(accuracy).padStart(9), style: style.bold },
      { text: `${interval} at step ${step}` },
    ],
  ];
}

function alarmLine({ metrics }: PanelState, { style }: PanelLook): Piece[] {
  const label = { text: "alarms   ", style: style.dim };
  if (typeof metrics["alarms"] !== "number") return [label, { text: "-", style: style.dim }];
  const names = Object.entries(metrics)
    .filter(([name, value]) => name.startsWith("alarm/") && value === 1)
    .map(([name]) => name.slice("alarm/".length).replaceAll("_", " "));
  return names.length === 0
    ? [label, { text: "none", style: style.good }]
    : [label, { text: names.join(", "), style: style.bad }];
}

/** The course of a series in so many characters; each is the mean of its share of the steps. */
export function sparkline(values: readonly number[], width: number, unicode: boolean): string {
  if (values.length === 0) return "";
  const count = Math.min(width, values.length);
  const means = Array.from({ length: count }, (_, i) => {
    const from = Math.floor((i * values.length) / count);
    const to = Math.max(from + 1, Math.floor(((i + 1) * values.length) / count));
    return values.slice(from, to).reduce((sum, value) => sum + value, 0) / (to - from);
  });
  const levels = unicode ? "▁▂▃▄▅▆▇█" : "_.-=^";
  const low = Math.min(...means);
  const high = Math.max(...means);
  return means
    .map((value) => {
      const share = high === low ? 0.5 : (value - low) / (high - low);
      return levels[Math.min(levels.length - 1, Math.floor(share * levels.length))];
    })
    .join("");
}

/** Styled pieces as one line of at most `width` columns. */
function joined(pieces: readonly Piece[], { width, unicode }: PanelLook): string {
  let room = width;
  let line = "";
  for (const { text, style } of pieces) {
    if (room <= 0) break;
    const shown = cutToWidth(text, room, unicode ? "…" : "~");
    room -= visibleWidth(shown);
    line += style === undefined || shown.trim() === "" ? shown : style(shown);
  }
  return line.trimEnd();
}

/** 75 -> "1m15s", 7500 -> "2h05m". @param seconds >= 0 */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  const whole = Math.round(seconds);
  const two = (value: number): string => String(value).padStart(2, "0");
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  return `${Math.floor(whole / 3600)}h${two(Math.floor((whole % 3600) / 60))}m`;
}
