/** What the bars by slice show, as numbers: slices down, the end of each stage across. */
import { stageEnds } from "./curves.ts";
import { type Block, number, percent } from "./document.ts";
import { numberCell, type RunFiles } from "./read-run.ts";
import { sliceKinds } from "./series.ts";

const COLUMNS = [
  { column: "accuracy", title: "accuracy", show: percent },
  { column: "thinking", title: "thinking", show: percent },
  { column: "tokens_mean", title: "tokens", show: number },
] as const;

/** @param several the table says whose it is. @returns null where the run has no evaluation of these slices */
export function sliceTable(run: RunFiles, kind: string, several: boolean): Block | null {
  const ends = stageEnds(run);
  const names = sliceKinds(run.evaluations).get(kind) ?? [];
  const at = (slice: string, step: number) =>
    run.evaluations.find((row) => row["slice"] === slice && Number(row["step"]) === step);
  // a column without a value, such as thinking where tags are unknown, is left out
  const columns = COLUMNS.filter(({ column }) =>
    names.some((slice) => ends.some(({ step }) => numberCell(at(slice, step), column) !== null)),
  );
  if (columns.length === 0) return null;
  return {
    kind: "table",
    folded: `${several ? `${run.label}: ` : ""}${columns.map(({ title }) => title).join(", ")} by ${kind}, in numbers`,
    table: {
      header: [kind, ...columns.flatMap(({ title }) => ends.map(({ name }) => `${title} ${name}`))],
      rows: names.map((slice) => [
        slice.slice(kind.length + 1),
        ...columns.flatMap(({ column, show }) =>
          ends.map(({ step }) => show(numberCell(at(slice, step), column))),
        ),
      ]),
      text: [0],
    },
  };
}
