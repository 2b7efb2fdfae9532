/** What a metric is, in one row: name, unit, formula, value, and how it is shown. */

/** Values of one step by metric name; null and undefined leave the cell blank. */
export type MetricValues = Readonly<Record<string, number | null | undefined>>;

/** What a stage measures: known before its first step, so that the columns are fixed. */
export interface Setting {
  /** Prompts of the training data; null: endless. */
  size: number | null;
  /** Names of the reward parts. */
  parts: readonly string[];
  /** Slices of the prompts, such as level=3. */
  slices: readonly string[];
  /** Alarms that can be raised. */
  alarms: readonly string[];
  measures: ReadonlySet<Measure>;
}

/** What not every stage has. */
export type Measure =
  | "reference"
  | "redrawing"
  | "critic"
  | "live"
  | "importance"
  | "selection"
  | "precision"
  | "compile"
  | "episodes"
  | "alarms";

/** How a metric is shown while a run goes on and in its report. Places order what is shown, low ones first. */
export interface Display {
  label?: string;
  format?: (value: number) => string;
  /** In the line of a step. */
  line?: true;
  /** In the panel, in a format of its own where it has room for one; `course`: with its course drawn. */
  panel?: { place: number; course?: true; format?: (value: number) => string };
  /** A figure of the report. `share`: the values are shares of one. */
  curve?: { place: number; title: string; unit: string; share?: true };
}

export interface MetricDefinition extends Display {
  /** Column name. `{x}` stands for one part of a path: a reward part, a slice, a mode. */
  name: string;
  unit: string;
  formula: string;
  /** What a bad value means, or how to read it. */
  note: string;
}

export interface Metric<Facts> extends MetricDefinition {
  /** Which stages have it; all when absent. */
  when?(setting: Setting): boolean;
  /** What `{x}` stands for. Neighbours with the same function alternate: all of the first name, then of the next. */
  names?(setting: Setting): readonly string[];
  /** @param x the name in the place of `{x}` */
  value(facts: Facts, x: string): number | null;
}

/** Columns of these metrics, in order. */
export function columnsOf<Facts>(metrics: readonly Metric<Facts>[], setting: Setting): string[] {
  return cells(metrics, setting).map(({ column }) => column);
}

/** A step's values of these metrics, by column. */
export function valuesOf<Facts>(
  metrics: readonly Metric<Facts>[],
  setting: Setting,
  facts: Facts,
): Record<string, number | null> {
  return Object.fromEntries(
    cells(metrics, setting).map(({ metric, column, x }) => [column, metric.value(facts, x)]),
  );
}

interface Cell<Facts> {
  metric: Metric<Facts>;
  column: string;
  x: string;
}

function cells<Facts>(metrics: readonly Metric<Facts>[], setting: Setting): Cell<Facts>[] {
  const found: Cell<Facts>[] = [];
  for (let i = 0; i < metrics.length; ) {
    const { names } = metrics[i]!;
    let end = i + 1;
    while (names !== undefined && metrics[end]?.names === names) end++;
    const family = metrics.slice(i, end).filter(({ when }) => when === undefined || when(setting));
    for (const x of names === undefined ? [""] : names(setting)) {
      for (const metric of family) {
        found.push({ metric, column: metric.name.replace(/\{\w+\}/, () => x), x });
      }
    }
    i = end;
  }
  return found;
}
