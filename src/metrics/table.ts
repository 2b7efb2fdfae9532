/**
 * The columns of metrics.csv: one table, from which columns, values, docs/metrics.md, the lines and panel of a terminal
 * and the figures of a report are made. A new metric is one row of one of its lists.
 */
import { closest, distance } from "fastest-levenshtein";
import { RlptError } from "../lib/errors.ts";
import { declaredMetrics } from "./declared.ts";
import type { Metric, MetricDefinition } from "./define.ts";
import { episodeMetrics } from "./episodes.ts";
import type { StepFacts } from "./facts.ts";
import { alarmMetrics, loopMetrics, samplingRate, supervisedMetrics } from "./loop.ts";
import { modeMetrics } from "./modes.ts";
import { preferenceMetrics } from "./preference.ts";
import { rolloutMetrics } from "./rollout.ts";
import { optimizerMetrics, policyMetrics } from "./update.ts";

/** Columns that every stage has, in this order, before its own; the log writes them itself. */
export const leadingColumns = ["step", "stage"] as const;

const leading: readonly MetricDefinition[] = [
  {
    name: "step",
    unit: "count",
    formula: "steps done since the run began, over all stages",
    note: "the first step is 1",
  },
  { name: "stage", unit: "name", formula: "the recipe's stage that made the step", note: "" },
];

/** Metrics of a step that samples: those before what its shaping says of itself, and those after it. */
export const sampledBefore: readonly Metric<StepFacts>[] = [
  ...rolloutMetrics,
  ...modeMetrics,
  ...episodeMetrics,
];
export const sampledAfter: readonly Metric<StepFacts>[] = [...policyMetrics, samplingRate];

/** Letters as in src/types.ts: P prompts in a step, G completions of each, B = P*G. */
export const metricDefinitions: readonly MetricDefinition[] = [
  ...new Map(
    [
      ...leading,
      ...sampledBefore,
      ...declaredMetrics,
      ...policyMetrics,
      ...supervisedMetrics,
      ...preferenceMetrics,
      ...alarmMetrics,
      ...optimizerMetrics,
      ...loopMetrics,
    ].map((metric): [string, MetricDefinition] => [metric.name, metric]),
  ).values(),
];

/** Metrics that are shown in a panel or as a figure, in the order of their places. */
function placed<Key extends "panel" | "curve">(
  key: Key,
): (MetricDefinition & Record<Key, NonNullable<MetricDefinition[Key]>>)[] {
  return metricDefinitions
    .flatMap((metric) => {
      const display = metric[key];
      return display === undefined ? [] : [{ ...metric, [key]: display }];
    })
    .sort((a, b) => a[key]!.place - b[key]!.place) as ReturnType<typeof placed<Key>>;
}

/** What a line of progress shows, in the table's order. */
export const lineMetrics = metricDefinitions.filter(({ line }) => line === true);
export const panelMetrics = placed("panel");
export const curveMetrics = placed("curve");

export function labelOf({ label, name }: MetricDefinition): string {
  return label ?? name;
}

/** How a value is written for people: the metric's own format, else four significant digits. */
export function formatMetric({ format }: MetricDefinition, value: number): string {
  return format === undefined ? String(Number(value.toPrecision(4))) : format(value);
}

/** Time columns are the only ones in which two runs with one seed differ. */
export function isTimeColumn(name: string): boolean {
  return name.startsWith("time/");
}

const escapePattern = (text: string): string => text.replace(/[.*+?^$()|[\]\\]/g, "\\$&");
const patterns = metricDefinitions
  .filter(({ name }) => name.includes("{"))
  .map((definition) => ({
    definition,
    pattern: new RegExp(
      `^${escapePattern(definition.name)
        .replace("{slice}", ".+")
        .replace(/\{\w+\}/g, "[^/{}]+")}$`,
      "s",
    ),
  }));
const byName = new Map(metricDefinitions.map((definition) => [definition.name, definition]));

/**
 * The definition behind a column name; a placeholder matches one part of the name.
 * @throws RlptError naming the nearest metric when there is none
 */
export function metricDefinition(name: string): MetricDefinition {
  // a slice is a value of the user's data, and may hold a slash or braces
  const found = name.startsWith("slice/{slice}")
    ? undefined
    : ((name.includes("{") ? undefined : byName.get(name)) ??
      patterns.find(({ pattern }) => pattern.test(name))?.definition);
  if (found !== undefined) return found;
  const nearest = closest(
    name,
    metricDefinitions.map((definition) => definition.name),
  );
  const hint = distance(name, nearest) <= 6 ? `; did you mean ${nearest}?` : ".";
  throw new RlptError(`metric ${name} is not defined${hint} Every column needs a row in src/metrics.`);
}
