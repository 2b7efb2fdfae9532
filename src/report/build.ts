/** A report of runs and of what they were made for, from their files alone. */
import { basename, resolve } from "node:path";
import { firstOfArms } from "./arms.ts";
import { selectionSections, sweepSections } from "./collections.ts";
import { claimSections, experimentSections } from "./comparisons.ts";
import { configDifferences, showValue } from "./config-difference.ts";
import { confusionFigures } from "./confusion.ts";
import {
  accuracyFigure,
  deadGroupFigures,
  learningFigures,
  rewardPartFigures,
  sliceFigures,
} from "./curves.ts";
import {
  type Block,
  duration,
  number,
  percent,
  type ReportDocument,
  type Section,
  type Table,
} from "./document.ts";
import { type EfficiencyReference, efficiencySection } from "./efficiency.ts";
import { sortFolders } from "./folders.ts";
import { costBlocks, wallSeconds } from "./plan-accuracy.ts";
import type { Plotter } from "./plots.ts";
import { mappingAt, numberCell, type Row, type RunFiles, readRun } from "./read-run.ts";
import { sampleBlocks } from "./sample-cards.ts";
import { evaluationSteps, sliceKinds, stageStarts, stepOf } from "./series.ts";
import { distinctPaths, shownPath, withoutFolders } from "./shown-path.ts";
import { sliceTable } from "./slice-table.ts";
import { transferKinds, transferSection } from "./transfer-figures.ts";

/** Kinds of slices that are not difficulties; they come last. */
const MODES = "mode";

/**
 * @param directories of runs, selections, sweeps, experiments and claims, and folders of these, in any mixture
 * @param efficiency the base model's evaluations, for AutoThink's E-F1
 * @throws ConfigError for a directory that is none of these
 */
export function buildReport(
  directories: readonly string[],
  plot: Plotter,
  efficiency: EfficiencyReference | null = null,
): ReportDocument {
  const { selections, sweeps, experiments, claims, ...folders } = sortFolders(directories);
  const runs = folders.runs.map(readRun);
  const sections = [
    ...claims.flatMap(claimSections),
    ...experiments.flatMap((path) => experimentSections(path, plot)),
    ...(runs.length === 0 ? [] : runSections(runs, plot, efficiency)),
    ...selections.flatMap((path) => selectionSections(path, plot)),
    ...sweeps.flatMap((path) => sweepSections(path, plot)),
  ];
  const names = [...claims, ...experiments, ...selections, ...sweeps];
  return { ...titles(runs, names, claims.length + experiments.length > 0), sections };
}

/** @param made the others are what the runs were made for, and give the report its name */
function titles(
  runs: readonly RunFiles[],
  others: readonly string[],
  made: boolean,
): { title: string; subtitle: string } {
  if (made || runs.length === 0) {
    const runsToo = runs.length === 0 ? "" : `${runs.length} run${runs.length === 1 ? "" : "s"}`;
    return { title: others.map((path) => basename(resolve(path))).join(", "), subtitle: runsToo };
  }
  if (runs.length > 1) {
    return { title: `${runs.length} runs`, subtitle: runs.map(({ label }) => label).join(", ") };
  }
  const run = runs[0]!;
  const facts = runFacts(run);
  return { title: `${facts.recipe}: ${facts.result}`, subtitle: run.label };
}

function runSections(
  runs: readonly RunFiles[],
  plot: Plotter,
  efficiency: EfficiencyReference | null,
): Section[] {
  const several = runs.length > 1;
  const main = accuracyFigure(runs, plot);
  const sections: Section[] = [
    {
      id: "summary",
      title: "Summary",
      blocks: [
        { kind: "table", table: summaryTable(runs) },
        ...(main === null ? [] : [{ kind: "figures", figures: [main] } as const]),
      ],
    },
    { id: "alarms", title: "Alarms", blocks: [alarmBlock(runs)] },
  ];
  const add = (id: string, title: string, blocks: readonly Block[]) => {
    if (blocks.length > 0) sections.push({ id, title, blocks });
  };
  const figures = (list: ReturnType<typeof learningFigures>): Block[] =>
    list.length === 0 ? [] : [{ kind: "figures", figures: list }];

  const transfer = transferSection(runs, plot);
  add("transfer", "Base and new classes", transfer);
  if (several) add("config", "Config differences", [configBlock(runs)]);
  const kinds = (run: RunFiles) =>
    [...sliceKinds(run.evaluations).keys()].filter(
      (kind) => kind !== MODES && !(several && transfer.length > 0 && transferKinds.includes(kind)),
    );
  add("slices", "By slice", [
    ...figures(runs.flatMap((run) => kinds(run).flatMap((kind) => sliceFigures(run, kind, several, plot)))),
    ...runs.flatMap((run) => kinds(run).flatMap((kind) => sliceTable(run, kind, several) ?? [])),
  ]);
  add("confusion", "Answers given", figures(runs.flatMap((run) => confusionFigures(run, several, plot))));
  if (efficiency !== null) sections.push(efficiencySection(runs, efficiency));
  add("curves", "Learning curves", figures(learningFigures(runs, plot)));
  add("rewards", "Reward parts", figures(rewardPartFigures(runs, plot)));
  const dead = deadGroupFigures(runs, plot);
  add("groups", "Dead groups by cause", [
    ...(dead.length === 0
      ? []
      : [
          {
            kind: "text",
            text: "A group whose completions are all right or all wrong has no advantage to learn from, unless another part of the reward tells them apart.",
          } as const,
        ]),
    ...figures(dead),
  ]);
  add(
    "final",
    "Evaluations",
    runs.flatMap((run) => evaluationBlocks(run, several)),
  );
  add("cost", "Time, memory and disk", costBlocks(runs));
  add("samples", "Completions over training", sampleBlocks(runs));
  add(
    "provenance",
    "Provenance",
    runs.map((run) => provenanceBlock(run, several)),
  );
  return sections;
}

export interface RunFacts {
  recipe: string;
  model: string;
  backend: string;
  seed: string;
  steps: number;
  stages: string;
  /** Time in all, as usage.json has it; where there is none what metrics.csv sums up to. */
  seconds: number | null;
  /** The time is of steps, evaluations and checkpoints alone: without what lies between them. */
  summed: boolean;
  /** "accuracy 82.2% -> 99.0% [98.2%, 99.5%]". */
  result: string;
  firstAccuracy: number | null;
  lastAccuracy: number | null;
}

export function runFacts(run: RunFiles): RunFacts {
  const { recipe, provenance } = run;
  const all = run.evaluations.filter((row) => row["slice"] === "all");
  const [first, last] = [all[0], all.at(-1)];
  const backend = mappingAt(provenance, "backend")["kind"];
  const name = recipe["recipe"] ?? mappingAt(recipe, "run")["name"] ?? run.label;
  const model = provenance?.["model"] ?? mappingAt(recipe, "model")["path"] ?? "from random weights";
  return {
    recipe: showValue(name),
    model: shownPath(showValue(model)),
    backend: showValue(backend),
    seed: showValue(recipe["seed"] ?? ""),
    steps: run.metrics.flatMap((row) => stepOf(row) ?? []).at(-1) ?? 0,
    stages: stageStarts(run.metrics)
      .map(({ stage }) => stage)
      .join(", "),
    ...seconds(run),
    result: last === undefined ? "no evaluation" : `accuracy ${change(first!, last)}`,
    firstAccuracy: numberCell(first, "accuracy"),
    lastAccuracy: numberCell(last, "accuracy"),
  };
}

/** One notion of time for the whole report, right across resumes. */
function seconds({ directory, metrics }: RunFiles): Pick<RunFacts, "seconds" | "summed"> {
  const inAll = wallSeconds(directory);
  if (inAll !== null) return { seconds: inAll, summed: false };
  const columns = ["time/step_s", "time/eval_s", "time/checkpoint_s"];
  const times = metrics.flatMap((row) => columns.flatMap((name) => numberCell(row, name) ?? []));
  return {
    seconds: times.length === 0 ? null : times.reduce((sum, value) => sum + value, 0),
    summed: times.length > 0,
  };
}

const withInterval = (row: Row): string =>
  `${percent(numberCell(row, "accuracy"))} [${percent(numberCell(row, "accuracy_low"))}, ${percent(numberCell(row, "accuracy_high"))}]`;

function change(first: Row, last: Row): string {
  return first === last
    ? withInterval(last)
    : `${percent(numberCell(first, "accuracy"))} -> ${withInterval(last)}`;
}

function summaryTable(runs: readonly RunFiles[]): Table {
  const facts = runs.map(runFacts);
  const lines: [string, (fact: RunFacts, i: number) => string][] = [
    ["recipe", ({ recipe }) => recipe],
    ["model", ({ model }) => model],
    ["backend", ({ backend }) => backend],
    ["seed", ({ seed }) => seed],
    ["steps", ({ steps }) => String(steps)],
    ["stages", ({ stages }) => stages],
    [
      "time in all",
      ({ seconds: time, summed }) => duration(time) + (summed ? " in steps, evaluations, checkpoints" : ""),
    ],
    ["accuracy held out, first -> last [95%]", ({ result }) => result.replace(/^accuracy /, "")],
  ];
  if (runs.length === 1) {
    return {
      header: ["", runs[0]!.label],
      rows: lines.map(([name, of]) => [name, of(facts[0]!, 0)]),
      text: [0, 1],
    };
  }
  return {
    header: ["run", ...lines.map(([name]) => name)],
    rows: runs.map(({ label }, i) => [label, ...lines.map(([, of]) => of(facts[i]!, i))]),
    text: [0, 1, 2, 3, 6],
  };
}

function alarmBlock(runs: readonly RunFiles[]): Block {
  const prefix = "alarm/";
  const rows = runs.flatMap((run) =>
    run.metricColumns
      .filter((name) => name.startsWith(prefix))
      .flatMap((name) => {
        const steps = run.metrics
          .filter((row) => (numberCell(row, name) ?? 0) > 0)
          .flatMap((row) => stepOf(row) ?? []);
        return steps.length === 0
          ? []
          : [
              [
                run.label,
                name.slice(prefix.length),
                String(steps[0]),
                String(steps.at(-1)),
                String(steps.length),
              ],
            ];
      }),
  );
  if (rows.length > 0) {
    return {
      kind: "table",
      table: { header: ["run", "alarm", "first step", "last step", "steps"], rows, text: [0, 1] },
    };
  }
  const watched = runs.every((run) => run.metricColumns.includes("alarms"));
  return { kind: "text", text: watched ? "None was raised." : "Not every run watched for alarms." };
}

function configBlock(runs: readonly RunFiles[]): Block {
  const arms = firstOfArms(runs);
  const many = arms.length < runs.length;
  const rows = configDifferences(arms.map(({ run }) => run.recipe));
  if (rows.length === 0) return { kind: "text", text: "The configs are equal." };
  return {
    kind: "table",
    table: {
      header: ["key", ...arms.map(({ name }) => name)],
      rows: rows.map(({ path, values }) => [path, ...distinctPaths(values).map(showValue)]),
      text: [0, ...arms.map((_, i) => i + 1)],
    },
    caption: `Keys that differ; everything else is equal. A blank cell: the config does not have the key.${many ? " Of each arm its first run; its others differ in seed and dataset." : ""}`,
  };
}

/** The last evaluation by slice, and every evaluation of all prompts. */
function evaluationBlocks(run: RunFiles, several: boolean): Block[] {
  const steps = evaluationSteps(run.evaluations);
  const last = steps.at(-1);
  if (last === undefined) return [];
  const contradicts = run.evaluations.some((row) => numberCell(row, "contradiction") !== null);
  const header = [
    "accuracy",
    "95% interval",
    "prompts",
    "completions",
    "reward",
    "tokens",
    "thinking",
    ...(contradicts ? ["contradicting", "thought right", "answer right"] : []),
    "truncated",
    "unparsed",
  ];
  const cells = (row: Row) => [
    percent(numberCell(row, "accuracy")),
    `${percent(numberCell(row, "accuracy_low"))} to ${percent(numberCell(row, "accuracy_high"))}`,
    row["prompts"] ?? "",
    row["completions"] ?? "",
    number(numberCell(row, "reward_mean")),
    number(numberCell(row, "tokens_mean")),
    percent(numberCell(row, "thinking")),
    ...(contradicts
      ? ["", "_thought", "_answer"].map((end) => percent(numberCell(row, `contradiction${end}`)))
      : []),
    percent(numberCell(row, "truncated")),
    percent(numberCell(row, "unparsed")),
  ];
  const final = run.evaluations.filter((row) => Number(row["step"]) === last);
  return [
    {
      kind: "table",
      caption: `${several ? `${run.label}: last` : "Last"} evaluation, step ${last}, ${final[0]?.["dataset"] ?? ""}. Intervals: ${final[0]?.["interval"] ?? "none"}, 95%.${contradicts ? " Contradicting: the thought speaks for another candidate than the answer names; of these, how often each of the two is right." : ""}`,
      table: {
        header: ["slice", ...header],
        rows: final.map((row) => [row["slice"] ?? "", ...cells(row)]),
        text: [0],
      },
    },
    {
      kind: "table",
      folded: `All ${steps.length} evaluations${several ? ` of ${run.label}` : ""}`,
      table: {
        header: ["step", "stage", ...header],
        rows: run.evaluations
          .filter((row) => row["slice"] === "all")
          .map((row) => [row["step"] ?? "", row["stage"] ?? "", ...cells(row)]),
        text: [1],
      },
    },
  ];
}

function provenanceBlock(run: RunFiles, several: boolean): Block {
  const rows: string[][] = [];
  const walk = (value: unknown, path: string): void => {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      for (const [key, inner] of Object.entries(value)) walk(inner, path === "" ? key : `${path} / ${key}`);
    } else if (path === "resumes" && Array.isArray(value)) {
      const told = value.map((_, i) => {
        const resume = mappingAt(value, String(i));
        return `from step ${showValue(resume["from_step"])} at ${showValue(resume["time"])}`;
      });
      rows.push(["resumes", told.join("; ") || "none"]);
    } else if (path === "command" && Array.isArray(value)) {
      // the program and what it was told
      rows.push([path, ["rlpt", ...value.slice(1).map((word) => withoutFolders(showValue(word)))].join(" ")]);
    } else {
      rows.push([
        path.split(" / ").map(shownPath).join(" / "),
        withoutFolders(Array.isArray(value) ? value.map(showValue).join(" ") : showValue(value)),
      ]);
    }
  };
  if (run.provenance === null) return { kind: "text", text: `${run.label} has no provenance.json.` };
  walk(run.provenance, "");
  return {
    kind: "table",
    folded: several ? run.label : "Versions, machine, commit, data and command",
    table: { header: ["", "value"], rows, text: [0, 1] },
  };
}
