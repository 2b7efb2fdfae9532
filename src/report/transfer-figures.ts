/** Base-to-new bars and the cross-dataset matrix (CLS-RL, arXiv:2503.16188, tables 1, 2 and 4) of runs. */
import { armNames } from "./arms.ts";
import { showValue } from "./config-difference.ts";
import { type Block, type Figure, number, percent } from "./document.ts";
import type { GridCell } from "./grid-plot.ts";
import { colourOf, type Plotter } from "./plots.ts";
import { mappingAt, numberCell, type Row, type RunFiles } from "./read-run.ts";
import { evaluationSteps } from "./series.ts";
import { harmonicMean, otherMean, type TransferRun, transferMatrix } from "./transfer.ts";

/** Kinds of slices that this section shows. */
export const transferKinds: readonly string[] = ["split", "dataset"];

interface Evaluated extends TransferRun {
  /** Before training, by the mode that its prompts ask for. */
  zeroShot: boolean;
  /** 95% about prompts, of base, new and other; null where eval.csv has none of them. */
  intervals: Readonly<Record<"base" | "new" | "other", Interval | null>>;
}

interface Interval {
  low: number;
  high: number;
}

/** Runs that measured base and new classes and other datasets; [] where no run did. */
export function transferSection(runs: readonly RunFiles[], plot: Plotter): Block[] {
  const measured = runs.filter(
    (run) => lastSlices(run).has("split=base") && lastSlices(run).has("split=new"),
  );
  const trained = measured.flatMap((run, i) => evaluated(run, armNames(measured)[i]!) ?? []);
  if (trained.length === 0) return acrossDatasets(runs, plot);
  const arms = [...new Set(trained.map(({ arm }) => arm))].sort(
    (a, b) => Number(b.startsWith("zero-shot")) - Number(a.startsWith("zero-shot")),
  );
  return [
    { kind: "figures", figures: [barFigure(trained, arms, plot), ...matrixFigures(trained, arms, plot)] },
    { kind: "table", table: armTable(trained, arms), caption: tableCaption },
  ];
}

const tableCaption =
  "Means over runs (datasets and seeds). H: harmonic mean of the averaged base and new accuracy, as the paper averages. Other: mean over the datasets that a run was not trained on. Zero-shot: the evaluation before training.";

function lastSlices(run: RunFiles): Map<string, Row> {
  return slicesAt(run, evaluationSteps(run.evaluations).at(-1));
}

function slicesAt(run: RunFiles, step: number | undefined): Map<string, Row> {
  return new Map(
    run.evaluations.flatMap((row) => (Number(row["step"]) === step ? [[row["slice"] ?? "", row]] : [])),
  );
}

/** A run's first evaluation (zero-shot) and its last. */
function evaluated(run: RunFiles, arm: string): Evaluated[] | null {
  const steps = evaluationSteps(run.evaluations);
  const data = mappingAt(run.recipe, "data");
  const seed = Number(run.recipe["seed"] ?? 0);
  const own = ownDataset(run);
  const at = (step: number, name: string, zeroShot: boolean): Evaluated | null => {
    const rows = slicesAt(run, step);
    const accuracy = (slice: string) => numberCell(rows.get(slice), "accuracy");
    const [base, fresh] = [accuracy("split=base"), accuracy("split=new")];
    if (base === null || fresh === null) return null;
    const datasets = datasetsOf(rows);
    // a number names a dataset of the task; otherwise everything that is tested counts as other
    const given = mappingAt(data, "train")["dataset"];
    const dataset = own ?? (typeof given === "number" ? `D${given}` : showValue(given ?? "trained"));
    const tested = datasets.filter((one) => one !== dataset);
    const pooled = accuracy("split=other");
    // a run that names no datasets has one number for all that it was not trained on
    const others: Record<string, number> =
      tested.length === 0 && pooled !== null
        ? { other: pooled }
        : Object.fromEntries(tested.map((one) => [one, accuracy(`dataset=${one}`) ?? Number.NaN]));
    // the interval of all of them together is about their mean where all count the same
    const same = pooled !== null && Math.abs(pooled - otherMean({ others })) < 1e-9;
    const otherSlice = tested.length === 1 ? `dataset=${tested[0]}` : same ? "split=other" : "";
    return {
      arm: name,
      dataset,
      seed,
      base,
      fresh,
      others,
      intervals: {
        base: intervalOf(rows.get("split=base")),
        new: intervalOf(rows.get("split=new")),
        other: intervalOf(rows.get(otherSlice)),
      },
      tokens: numberCell(rows.get("all"), "tokens_mean") ?? Number.NaN,
      zeroShot,
    };
  };
  // without a seed there is nothing to pair the run by
  if (!Number.isSafeInteger(seed)) return null;
  const mode = mappingAt(data, "eval")["mode"];
  const modeLabel =
    mode === "think" ? "zero-shot, thinking" : `zero-shot${mode === "direct" ? ", direct" : ""}`;
  const first = steps.length > 1 ? at(steps[0]!, modeLabel, true) : null;
  const last = at(steps.at(-1)!, arm, false);
  return last === null ? null : [...(first === null ? [] : [first]), last];
}

const datasetsOf = (rows: ReadonlyMap<string, Row>): string[] =>
  [...rows.keys()].flatMap((slice) => (slice.startsWith("dataset=") ? [slice.slice("dataset=".length)] : []));

function intervalOf(row: Row | undefined): Interval | null {
  const [low, high] = [numberCell(row, "accuracy_low"), numberCell(row, "accuracy_high")];
  return low === null || high === null ? null : { low, high };
}

/** The one dataset of the prompts that ask for base or new classes, whatever the config calls it; undefined where they do not say. */
function ownDataset({ evaluationPrompts }: RunFiles): string | undefined {
  const names = new Set(
    evaluationPrompts.flatMap((row) => {
      const slices = (row["slices"] ?? "").split(";");
      if (!slices.includes("split=base") && !slices.includes("split=new")) return [];
      return slices.filter((one) => one.startsWith("dataset=")).map((one) => one.slice("dataset=".length));
    }),
  );
  return names.size === 1 ? [...names][0] : undefined;
}

/** Of runs without base and new classes: accuracy by dataset, a run a row; [] where fewer than two datasets were tested. */
function acrossDatasets(runs: readonly RunFiles[], plot: Plotter): Block[] {
  const tested = runs.map((run) => ({ label: run.label, rows: lastSlices(run) }));
  const rows = tested.filter(({ rows: slices }) => datasetsOf(slices).length > 0);
  const columns = [...new Set(rows.flatMap(({ rows: slices }) => datasetsOf(slices)))].sort();
  if (columns.length < 2) return [];
  const cells = rows.flatMap(({ label, rows: slices }, row) =>
    columns.flatMap((name, column): GridCell[] => {
      const measured = slices.get(`dataset=${name}`);
      const accuracy = numberCell(measured, "accuracy");
      if (accuracy === null) return [];
      const within = intervalOf(measured);
      const interval = within === null ? "" : ` [${percent(within.low)}, ${percent(within.high)}]`;
      return [
        {
          row,
          column,
          text: percent(accuracy),
          title: `${label} on ${name}: ${percent(accuracy)}${interval}`,
          strength: Math.min(1, Math.max(0, accuracy)),
          colour: 2,
        },
      ];
    }),
  );
  const drawing = {
    cells,
    rows: rows.map(({ label }) => label),
    columns,
    xLabel: "tested on",
    yLabel: "run",
  };
  const wide = columns.length > 4;
  const figure: Figure = {
    title: "Accuracy by dataset",
    unit: "run on the row, tested on the column",
    svg: plot.grid({ ...drawing, wide }),
    ...(wide ? { narrow: plot.grid(drawing) } : {}),
    legend: [],
    caption: "Of the last evaluation; the hover text has its 95% interval.",
  };
  return [{ kind: "figures", figures: [figure] }];
}

/** One run of each arm, dataset and seed: what arms share (zero-shot) counts once. */
function distinct(runs: readonly Evaluated[]): Evaluated[] {
  const seen = new Map(runs.map((run) => [`${run.arm}\n${run.dataset}\n${run.seed}`, run]));
  return [...seen.values()];
}

const mean = (values: readonly number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length;

const hasOthers = (runs: readonly TransferRun[]): boolean =>
  runs.every(({ others }) => Object.keys(others).length > 0);

function barFigure(runs: readonly Evaluated[], arms: readonly string[], plot: Plotter): Figure {
  const bars = arms.flatMap((arm) => {
    const armRuns = distinct(runs).filter((run) => run.arm === arm);
    const groups: [string, number[]][] = [
      ["base", armRuns.map(({ base }) => base)],
      ["new", armRuns.map(({ fresh }) => fresh)],
      ["H", armRuns.map(({ base, fresh }) => harmonicMean(base, fresh))],
      ...(hasOthers(armRuns) ? [["other", armRuns.map(otherMean)] as [string, number[]]] : []),
    ];
    return groups.map(([group, values]) => ({
      group,
      series: arm,
      // H of the means, as in the table
      value:
        group === "H"
          ? harmonicMean(mean(armRuns.map(({ base }) => base)), mean(armRuns.map(({ fresh }) => fresh)))
          : mean(values),
      ...(values.length > 1
        ? { low: Math.min(...values), high: Math.max(...values) }
        : (armRuns[0]?.intervals[group as "base" | "new" | "other"] ?? {})),
    }));
  });
  const drawing = { bars, series: arms, yLabel: "accuracy", share: true };
  const counts = arms.map((arm) => distinct(runs).filter((run) => run.arm === arm).length);
  return {
    title: "Base and new classes",
    unit: "accuracy",
    svg: plot.bars({ ...drawing, wide: true }),
    narrow: plot.bars(drawing),
    legend: arms.map((arm, i) => ({ name: arm, colour: colourOf(i) })),
    caption: `Means over runs (${arms.map((arm, i) => `${arm}: ${counts[i]}`).join(", ")}); lines from the smallest to the largest run${counts.includes(1) ? ", of a single run the 95% interval about prompts" : ""}.`,
  };
}

/** Gain over zero-shot of the same run, trained on the row and tested on the column. */
function matrixFigures(runs: readonly Evaluated[], arms: readonly string[], plot: Plotter): Figure[] {
  const matrices = arms.flatMap((arm) => {
    const armRuns = runs.filter((run) => run.arm === arm && !run.zeroShot);
    if (armRuns.length === 0 || !hasOthers(armRuns)) return [];
    // each run against its own start
    const starts = armRuns.flatMap((run) => {
      const start = runs[runs.indexOf(run) - 1];
      return start?.zeroShot === true ? [start] : [];
    });
    if (starts.length < armRuns.length) return [];
    const cells = Object.entries(transferMatrix(armRuns, starts)).flatMap(([row, columns]) =>
      Object.entries(columns).map(([column, value]) => ({ row, column, value })),
    );
    return [{ arm, cells }];
  });
  const sizes = matrices.flatMap(({ cells }) => cells.map(({ value }) => Math.abs(value)));
  return matrices.map(({ arm, cells }) => ({
    title: `${arm}: gain over zero-shot`,
    unit: "accuracy, trained on the row, tested on the column",
    svg: plot.matrix({
      cells,
      strongest: Math.max(0.01, ...sizes),
      xLabel: "tested on",
      yLabel: "trained on",
    }),
    legend: [],
    caption: `Percentage points, mean over seeds; the own dataset counts its new classes. Above zero: ${cells.filter(({ value }) => value > 0).length} of ${cells.length}. One colour scale for all arms.`,
  }));
}

function armTable(runs: readonly Evaluated[], arms: readonly string[]) {
  return {
    header: ["arm", "runs", "base", "new", "H", "other", "tokens"],
    rows: arms.map((arm) => {
      const armRuns = distinct(runs).filter((run) => run.arm === arm);
      const [base, fresh] = [mean(armRuns.map((run) => run.base)), mean(armRuns.map((run) => run.fresh))];
      return [
        arm,
        String(armRuns.length),
        percent(base),
        percent(fresh),
        percent(harmonicMean(base, fresh)),
        hasOthers(armRuns) ? percent(mean(armRuns.map(otherMean))) : "",
        number(mean(armRuns.map(({ tokens }) => tokens))),
      ];
    }),
    text: [0],
  };
}
