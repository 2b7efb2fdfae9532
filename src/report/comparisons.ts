/** What several runs were made for: the results of an experiment, the verdict on a claim. */
import { existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { mean } from "../lib/math.ts";
import { type Block, type Figure, number, percent, type Section, type Table } from "./document.ts";
import { type VerdictFile, verdictShape } from "./json-shapes.ts";
import { colourOf, type Plotter } from "./plots.ts";
import { numberCell, readShape, readTable } from "./read-run.ts";
import { sectionId } from "./section-id.ts";

/** Arms of an experiment by their last evaluations, and their differences by seed. */
export function experimentSections(directory: string, plot: Plotter): Section[] {
  const { columns, rows } = readTable(join(directory, "results.csv"));
  const metric = columns.find((name) => !["arm", "draw", "seed", "step", "tokens_mean"].includes(name));
  if (metric === undefined) return [];
  const show = /accuracy|thinking|pass_at|maj_at/.test(metric) ? percent : number;
  const arms = [...new Set(rows.map(({ arm }) => arm ?? ""))].flatMap((arm) => {
    const armRows = rows.filter((row) => row["arm"] === arm);
    const values = armRows.flatMap((row) => numberCell(row, metric) ?? []).filter(Number.isFinite);
    const tokens = armRows.flatMap((row) => numberCell(row, "tokens_mean") ?? []);
    return values.length === 0 ? [] : [{ arm, values, tokens }];
  });
  const name = basename(resolve(directory));
  const differences = differenceTable(directory, show);
  const armTable: Table = {
    header: ["arm", "runs", metric, "smallest", "largest", "tokens"],
    rows: arms.map(({ arm, values, tokens }) => [
      arm,
      String(values.length),
      show(mean(values)),
      show(Math.min(...values)),
      show(Math.max(...values)),
      tokens.length === 0 ? "" : number(mean(tokens)),
    ]),
    text: [0],
  };
  const figures = arms.length === 0 ? [] : [armFigure(arms, metric, show === percent, plot)];
  const blocks: Block[] = [
    ...(figures.length === 0 ? [] : [{ kind: "figures", figures } as const]),
    {
      kind: "table",
      table: armTable,
      caption: "Last evaluations (results.csv), means over seeds and draws.",
    },
    ...(differences === null ? [] : [differences]),
  ];
  return [{ id: sectionId("experiment", name), title: `Experiment ${name}`, blocks }];
}

function armFigure(
  arms: readonly { arm: string; values: readonly number[] }[],
  metric: string,
  share: boolean,
  plot: Plotter,
): Figure {
  const bars = arms.map(({ arm, values }) => ({
    group: "",
    series: arm,
    value: mean(values),
    ...(values.length > 1 ? { low: Math.min(...values), high: Math.max(...values) } : {}),
  }));
  return {
    title: "Arms",
    unit: metric,
    svg: plot.bars({ bars, series: arms.map(({ arm }) => arm), yLabel: metric, share }),
    legend: arms.map(({ arm }, i) => ({ name: arm, colour: colourOf(i) })),
    caption: "Means over seeds and draws; lines from the smallest to the largest run.",
  };
}

function differenceTable(directory: string, show: (value: number | null) => string): Block | null {
  const path = join(directory, "differences.csv");
  if (!existsSync(path)) return null;
  const rows = readTable(path).rows.map((row) => [
    `${row["first"] ?? ""} - ${row["second"] ?? ""}`,
    row["seeds"] ?? "",
    show(numberCell(row, "mean")),
    `${show(numberCell(row, "low"))} to ${show(numberCell(row, "high"))}`,
  ]);
  if (rows.length === 0) return null;
  return {
    kind: "table",
    table: { header: ["difference", "seeds", "mean", "95% interval"], rows, text: [0] },
    caption: "Paired by seed, Student's t over seeds (differences.csv).",
  };
}

/** The verdict on a claim, condition by condition. */
export function claimSections(directory: string): Section[] {
  const verdict = readShape(join(directory, "verdict.json"), verdictShape);
  const seeds = [...new Set(verdict.conditions.flatMap(({ by_seed }) => by_seed.map(({ seed }) => seed)))];
  return [
    {
      id: sectionId("claim", basename(resolve(directory))),
      title: `Claim ${verdict.claim}: ${verdict.verdict}`,
      blocks: [
        { kind: "text", text: verdict.statement },
        { kind: "text", text: `${verdict.verdict}: ${verdict.reason}` },
        {
          kind: "table",
          table: {
            header: [
              "condition",
              "measured",
              "effect",
              "95% interval",
              "asked for",
              "outcome",
              ...seedHeads(seeds),
            ],
            rows: verdict.conditions.map((one) => conditionRow(one, seeds)),
            text: [0, 1],
          },
          caption: verdict.rule,
        },
      ],
    },
  ];
}

const seedHeads = (seeds: readonly number[]): string[] => seeds.map((seed) => `seed ${seed}`);

function conditionRow(one: VerdictFile["conditions"][number], seeds: readonly number[]): string[] {
  const interval = one.low === null || one.high === null ? "" : `${number(one.low)} to ${number(one.high)}`;
  return [
    one.say,
    `${one.metric}${one.slice === "all" ? "" : ` of ${one.slice}`}`,
    number(one.effect),
    interval,
    `${one.direction} ${number(one.margin)}`,
    one.outcome,
    ...seeds.map((seed) => {
      const found = one.by_seed.find((by) => by.seed === seed);
      return found === undefined ? "" : number(found.effect);
    }),
  ];
}
