/** Runs against runs on the prompts that both were evaluated on: differences with intervals. */
import { ConfigError } from "../lib/errors.ts";
import { printableLine } from "../lib/printable.ts";
import {
  crossedDifference,
  type Difference,
  holm,
  pairedDifference,
  UNBOUNDED_PROMPTS,
} from "../lib/statistics.ts";
import { numberCell, type RunFiles } from "./read-run.ts";
import { stepOf } from "./series.ts";

export const comparedMetrics = ["accuracy", "reward", "tokens", "thinking"] as const;
export type ComparedMetric = (typeof comparedMetrics)[number];

/** One side: a run, or runs that differ in their seeds only. */
export interface Side {
  name: string;
  runs: readonly RunFiles[];
}

export interface Comparison {
  a: string;
  b: string;
  /** "last": both at their last evaluation; "best": each at its best, chosen on other prompts. */
  at: "last" | "best";
  metric: ComparedMetric;
  /** Means of the two sides over the prompts that both have. */
  meanA: number;
  meanB: number;
  /** Value of a minus value of b. */
  difference: Difference;
  /** p corrected for all comparisons of the same kind. */
  corrected: number;
  prompts: number;
  /** Prompts that only one side was evaluated on, left out. */
  unpaired: number;
  seedsA: number;
  seedsB: number;
  /** Steps that were compared, a run after the other; for "best" two each, one for either half of the prompts. */
  stepsA: readonly number[];
  stepsB: readonly number[];
  /** What a reader must know to trust the interval. */
  notes: readonly string[];
}

/** Values of one run: step -> prompt -> value. */
type Table = Map<number, Map<string, number>>;

/**
 * Every other side against the first, at the last step and at the best.
 * @throws ConfigError where prompts cannot be paired
 */
export function compareSides(
  sides: readonly Side[],
  options: { metric: ComparedMetric; slice: string | null },
): Comparison[] {
  const [first, ...others] = sides;
  if (first === undefined || others.length === 0)
    throw new ConfigError("rlpt compare needs two runs or more");
  const tables = new Map(
    sides.flatMap(({ runs }) =>
      runs.map((run) => [
        run,
        {
          metric: promptValues(run, options.metric, options.slice),
          accuracy: promptValues(run, "accuracy", options.slice),
        },
      ]),
    ),
  );
  const kinds = ["last", "best"] as const;
  return kinds.flatMap((at) => {
    const compared = others.map((other) => {
      const picked = [first, other].map(({ runs }) => runs.map((run) => pick(tables.get(run)!, at)));
      return compareTwo([first, other], picked as [Picked[], Picked[]], at, options.metric);
    });
    const corrected = holm(compared.map(({ difference }) => difference.p));
    return compared.map((one, i) => ({ ...one, corrected: corrected[i]! }));
  });
}

/** The largest difference that a prompt can have; null where there is none. */
const boundOf = (metric: ComparedMetric): number | null =>
  metric === "accuracy" || metric === "thinking" ? 1 : null;

interface Picked {
  values: Map<string, number>;
  steps: number[];
}

/** Half of the prompts, by a hash of the id that no order and no length of the data changes. */
function half(id: string): 0 | 1 {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193);
  hash ^= hash >>> 15;
  return ((Math.imul(hash, 0x2c1b3c6d) >>> 17) & 1) as 0 | 1;
}

/**
 * A prompt's value at the run's last step; or at the step whose accuracy is best on the half of the prompts
 * that it does not belong to, so that no prompt helps to choose where it is measured. Earlier steps win ties.
 */
function pick({ metric, accuracy }: { metric: Table; accuracy: Table }, at: "last" | "best"): Picked {
  const steps = [...metric.keys()].sort((x, y) => x - y);
  if (at === "last") {
    const last = steps.at(-1)!;
    return { values: metric.get(last)!, steps: [last] };
  }
  const chosen = ([0, 1] as const).map((own) => {
    const score = (step: number) => {
      const other = [...accuracy.get(step)!].filter(([id]) => half(id) !== own).map(([, value]) => value);
      return other.reduce((sum, value) => sum + value, 0) / other.length;
    };
    return steps.reduce((best, step) => (score(step) > score(best) ? step : best));
  });
  const values = new Map<string, number>();
  for (const id of metric.get(steps.at(-1)!)!.keys()) {
    const value = metric.get(chosen[half(id)]!)!.get(id);
    if (value !== undefined) values.set(id, value);
  }
  return { values, steps: chosen };
}

function compareTwo(
  [a, b]: readonly [Side, Side],
  [picksA, picksB]: readonly [Picked[], Picked[]],
  at: "last" | "best",
  metric: ComparedMetric,
): Omit<Comparison, "corrected"> {
  const all = [...picksA, ...picksB].map(({ values }) => values);
  const shared = [...all[0]!.keys()].filter((id) => all.every((values) => values.has(id))).sort();
  const total = new Set(all.flatMap((values) => [...values.keys()])).size;
  if (shared.length < 2) {
    throw new ConfigError(
      `${printableLine(`${a.name} and ${b.name}`)} have ${shared.length} evaluated prompts in common, and a comparison needs two or more; ` +
        "evaluate both with one data.eval",
    );
  }
  const bound = boundOf(metric);
  if (bound === null && shared.length < UNBOUNDED_PROMPTS) {
    throw new ConfigError(
      `${printableLine(`${a.name} and ${b.name}`)} have ${shared.length} evaluated prompts in common, and ${metric} has no largest value: ` +
        `an interval that can be trusted needs ${UNBOUNDED_PROMPTS} or more; accuracy and thinking can be compared on fewer`,
    );
  }
  const matrix = (picks: readonly Picked[]) => picks.map(({ values }) => shared.map((id) => values.get(id)!));
  const [rowsA, rowsB] = [matrix(picksA), matrix(picksB)];
  const seeds = (side: Side) => side.runs.map(({ recipe }) => String(recipe["seed"]));
  const [seedsA, seedsB] = [seeds(a), seeds(b)];
  const pairedSeeds =
    new Set(seedsA).size === seedsA.length &&
    seedsA.length === seedsB.length &&
    seedsA.every((seed) => seedsB.includes(seed));
  const notes: string[] = [];
  const average = (rows: readonly (readonly number[])[], i: number) =>
    rows.reduce((sum, row) => sum + row[i]!, 0) / rows.length;
  let difference: Difference;
  if (a.runs.length >= 2 && b.runs.length >= 2) {
    const orderB = pairedSeeds ? seedsA.map((seed) => rowsB[seedsB.indexOf(seed)]!) : rowsB;
    difference = crossedDifference(rowsA, orderB, pairedSeeds, bound);
    notes.push(
      pairedSeeds
        ? "seeds and prompts are paired; the interval is about new seeds and new prompts"
        : "seeds differ between the sides, so prompts are paired and seeds are not",
    );
  } else {
    difference = pairedDifference(
      shared.map((_, i) => average(rowsA, i) - average(rowsB, i)),
      bound,
    );
    notes.push("one run on a side: the interval is about new prompts for these runs, not about new seeds");
  }
  const mean = (rows: readonly (readonly number[])[]) =>
    shared.reduce((sum, _, i) => sum + average(rows, i), 0) / shared.length;
  return {
    a: printableLine(a.name),
    b: printableLine(b.name),
    at,
    metric,
    meanA: mean(rowsA),
    meanB: mean(rowsB),
    difference,
    prompts: shared.length,
    unpaired: total - shared.length,
    seedsA: a.runs.length,
    seedsB: b.runs.length,
    stepsA: picksA.flatMap(({ steps }) => steps),
    stepsB: picksB.flatMap(({ steps }) => steps),
    notes,
  };
}

/**
 * What every prompt got in each evaluation of a run: step -> prompt -> mean over its completions.
 * @throws ConfigError when the run has no results by prompt, or none of this metric and slice
 */
export function promptValues(
  run: Pick<RunFiles, "directory" | "evaluationPrompts">,
  metric: ComparedMetric,
  slice: string | null,
): Table {
  if (run.evaluationPrompts.length === 0) {
    throw new ConfigError(
      `${printableLine(run.directory)}: eval-prompts.csv is missing or empty, and runs are paired by prompt; ` +
        "train with data.eval and this version of rlpt",
    );
  }
  const table: Table = new Map();
  for (const row of run.evaluationPrompts) {
    if (slice !== null && !(row["slices"] ?? "").split(";").includes(slice)) continue;
    const completions = numberCell(row, "completions") ?? 0;
    const count = numberCell(row, metric === "thinking" ? "thinking" : "correct");
    const value =
      metric === "reward" || metric === "tokens"
        ? numberCell(row, `${metric}_mean`)
        : count === null || completions <= 0
          ? null
          : count / completions;
    if (value === null) continue;
    const step = stepOf(row);
    if (step === null || !Number.isFinite(value)) continue;
    const values = table.get(step) ?? new Map<string, number>();
    values.set(row["prompt_id"]!, value);
    table.set(step, values);
  }
  if (table.size > 0) return table;
  const slices = [...new Set(run.evaluationPrompts.flatMap((row) => (row["slices"] ?? "").split(";")))];
  throw new ConfigError(
    `${printableLine(run.directory)}: eval-prompts.csv has no ${metric}${slice === null ? "" : ` of slice ${printableLine(slice)}; it has ${printableLine(slices.sort().join(", "))}`}`,
  );
}
