/** A matrix whose cells say their own text: counts, or shares with their intervals. */
import type * as Library from "@observablehq/plot";
import { printableLine } from "../lib/printable.ts";

export interface GridCell {
  row: number;
  column: number;
  text: string;
  /** Hover text. */
  title: string;
  /** Of the colour, 0..1. */
  strength: number;
  /** Number of the colour. */
  colour: number;
}

export interface GridDrawing {
  cells: readonly GridCell[];
  /** Names, in the order of their places. */
  rows: readonly string[];
  columns: readonly string[];
  xLabel: string;
  yLabel: string;
  wide?: boolean;
}

/** A name beside a row or below a column. */
const shortName = (name: string): string => {
  const line = printableLine(name);
  return line.length > 18 ? `${line.slice(0, 17)}\u2026` : line;
};

/** What the plotting library draws it from. */
export function gridOptions(
  Plot: typeof Library,
  { cells, rows, columns, xLabel, yLabel, wide }: GridDrawing,
): Record<string, unknown> {
  const [longestRow, longestColumn] = [rows, columns].map((names) =>
    Math.max(...names.map((name) => shortName(name).length)),
  ) as [number, number];
  const width = wide ? 780 : 380;
  const marginLeft = 34 + 6.2 * longestRow;
  const slanted = columns.length * (6.6 * longestColumn + 8) > width - marginLeft - 14;
  const marginBottom = slanted ? 40 + 4.6 * longestColumn : 38;
  const cellHeight = rows.length > 10 ? 20 : 26;
  return {
    width,
    height: 24 + rows.length * cellHeight + marginBottom,
    marginLeft,
    marginBottom,
    x: {
      label: xLabel,
      labelArrow: "none",
      labelOffset: marginBottom - 6,
      tickSize: 0,
      domain: columns.map((_, i) => i),
      tickFormat: (i: number) => shortName(columns[i]!),
      ...(slanted ? { tickRotate: -40 } : {}),
    },
    y: {
      label: yLabel,
      labelArrow: "none",
      labelAnchor: "top",
      tickSize: 0,
      domain: rows.map((_, i) => i),
      tickFormat: (i: number) => shortName(rows[i]!),
    },
    padding: 0.06,
    marks: [
      Plot.cell(cells, {
        x: "column",
        y: "row",
        fill: (cell: GridCell) => `var(--c${cell.colour % 8})`,
        fillOpacity: (cell: GridCell) => (cell.strength === 0 ? 0.05 : 0.15 + 0.6 * cell.strength),
        title: "title",
      }),
      Plot.text(cells, {
        x: "column",
        y: "row",
        text: "text",
        fill: "currentColor",
        fontSize: columns.length > 12 ? 9 : 11,
      }),
    ],
  };
}
