/** Which label was given for which: gold down, given across, counts of the last evaluation. */
import type { Figure } from "./document.ts";
import type { GridCell } from "./grid-plot.ts";
import type { Plotter } from "./plots.ts";
import type { Row, RunFiles } from "./read-run.ts";
import { evaluationSteps } from "./series.ts";

/** Answers of more than so many kinds are no labels, and of fewer prompts than this for each not shown. */
const LABELS = 24;
const PROMPTS_PER_LABEL = 2;
/** Figures of one run. */
const FIGURES = 6;

interface Answered {
  gold: string;
  given: readonly string[];
}

/** A figure for each dataset and half of it; [] where answers are no labels, or the run did not keep them. */
export function confusionFigures(run: RunFiles, several: boolean, plot: Plotter): Figure[] {
  const step = evaluationSteps(run.evaluations).at(-1);
  const groups = new Map<string, Answered[]>();
  for (const row of run.evaluationPrompts) {
    const answered = Number(row["step"]) === step ? answeredOf(row) : null;
    if (answered === null) continue;
    const name = groupOf(row);
    groups.set(name, [...(groups.get(name) ?? []), answered]);
  }
  return [...groups]
    .flatMap(([name, answered]) => figure(name, answered, step!, several ? run.label : null, plot) ?? [])
    .slice(0, FIGURES);
}

function answeredOf(row: Row): Answered | null {
  const [gold, list] = [row["answer"] ?? "", row["given"] ?? ""];
  if (gold === "") return null;
  try {
    const given: unknown = JSON.parse(list);
    const texts = Array.isArray(given) && given.every((one) => typeof one === "string");
    return texts ? { gold, given: given as string[] } : null;
  } catch {
    return null;
  }
}

/** Prompts of one dataset, and of its base or new classes, have the same candidates. */
function groupOf(row: Row): string {
  const slices = (row["slices"] ?? "").split(";");
  const value = (kind: string) => slices.find((one) => one.startsWith(`${kind}=`))?.slice(kind.length + 1);
  return [value("dataset"), value("split")].filter((one) => one !== undefined && one !== "other").join(", ");
}

function figure(
  name: string,
  answered: readonly Answered[],
  step: number,
  run: string | null,
  plot: Plotter,
): Figure | null {
  const compare = (a: string, b: string) => a.localeCompare(b, "en", { numeric: true });
  const labels = [...new Set(answered.map(({ gold }) => gold))].sort(compare);
  if (labels.length < 2 || labels.length > LABELS || answered.length < PROMPTS_PER_LABEL * labels.length)
    return null;
  const extra = [
    { name: "other", holds: (given: string) => given !== "" && !labels.includes(given) },
    { name: "none", holds: (given: string) => given === "" },
  ].filter(({ holds }) => answered.some(({ given }) => given.some(holds)));
  const columns = [...labels, ...extra.map((one) => one.name)];
  const cells = labels.flatMap((gold, row) => {
    const given = answered.filter((one) => one.gold === gold).flatMap((one) => one.given);
    return columns.map((title, column): GridCell => {
      const holds = extra[column - labels.length]?.holds ?? ((one: string) => one === title);
      const count = given.filter(holds).length;
      return {
        row,
        column,
        text: count === 0 ? "" : String(count),
        title: `${gold}, given ${title}: ${count} of ${given.length}`,
        strength: given.length === 0 ? 0 : count / given.length,
        colour: row === column ? 2 : 1,
      };
    });
  });
  const drawing = { cells, rows: labels, columns, xLabel: "given", yLabel: "gold" };
  const wide = columns.length > 8;
  const words = [
    `Completions of step ${step}: ${answered.reduce((sum, { given }) => sum + given.length, 0)} of ${answered.length} prompts.`,
    "The stronger the colour, the larger the share of a row.",
    ...(extra.some((one) => one.name === "other") ? ["Other: no label of this matrix."] : []),
    ...(extra.some((one) => one.name === "none") ? ["None: no answer was read."] : []),
  ];
  return {
    title: [run, name === "" ? "Answers" : name].filter((one) => one !== null).join(": "),
    unit: "completions, gold on the row, given in the column",
    svg: plot.grid({ ...drawing, wide }),
    ...(wide ? { narrow: plot.grid(drawing) } : {}),
    legend: [],
    caption: words.join(" "),
  };
}
