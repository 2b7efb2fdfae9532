/** Plots as SVG text. Colours are CSS variables of the page, so that one drawing serves light and dark. */
import type { PlotOptions } from "@observablehq/plot";
import { printable } from "../lib/printable.ts";
import { type GridDrawing, gridOptions } from "./grid-plot.ts";
import { type Frame, placeLabels, scatterRange } from "./scatter-labels.ts";
import type { Point } from "./series.ts";

export interface Line {
  name: string;
  points: readonly Point[];
  /** Number of the colour, 0.. */
  colour: number;
  /** Drawn faint behind the others: values before smoothing. */
  faint?: boolean;
  /** A dot at each point, whose hover text is its value. */
  dots?: boolean;
}

export interface ChartOptions {
  lines: readonly Line[];
  /** Vertical rules with a name. */
  stages?: readonly { step: number; stage: string }[];
  yLabel: string;
  xLabel?: string;
  /** Written as percent, on an axis that ends at 1, or sooner where all values are small. */
  share?: boolean;
  /** Wider than tall: spans the page. */
  wide?: boolean;
}

export interface Bar {
  group: string;
  series: string;
  value: number;
  low?: number;
  high?: number;
}

export interface Mark {
  x: number;
  y: number;
  name: string;
  hollow?: boolean;
  xLow?: number;
  xHigh?: number;
  low?: number;
  high?: number;
}

export interface Plotter {
  lines(options: ChartOptions): string;
  /** Areas on top of each other, shares of 1. */
  stack(options: Omit<ChartOptions, "lines"> & { lines: readonly Line[] }): string;
  bars(options: {
    bars: readonly Bar[];
    series: readonly string[];
    yLabel: string;
    share?: boolean;
    /** Series are steps of one order: from pale to strong. */
    ordered?: boolean;
    wide?: boolean;
  }): string;
  /** Bins of several series stand on top of each other. */
  histogram(options: {
    bins: readonly { low: number; high: number; count: number; series: string; colour: number }[];
    rule: number | null;
    xLabel: string;
    yLabel: string;
  }): string;
  /** Differences of shares, in percentage points, on a colour that says their sign and size. */
  matrix(options: {
    cells: readonly { row: string; column: string; value: number }[];
    /** The difference that has the strongest colour, so that several matrices can be compared. */
    strongest: number;
    xLabel: string;
    yLabel: string;
  }): string;
  grid(options: GridDrawing): string;
  scatter(options: {
    marks: readonly Mark[];
    front: readonly Mark[];
    xLabel: string;
    yLabel: string;
    wide?: boolean;
  }): string;
}

export const colourOf = (index: number): string => `var(--c${index % 8})`;
/** Colour i of n for an order such as difficulty: from pale to strong. */
export const orderedColour = (i: number, n: number): string =>
  `var(--o${n < 2 ? 5 : Math.round((i / (n - 1)) * 5)})`;

const percent = (value: number): string => `${Number((value * 100).toFixed(1))}%`;
const plain = (value: number): string => String(Number(value.toPrecision(4)));

/** The frame of every plot that does not say otherwise. */
const FRAME: Frame = {
  width: 380,
  height: 230,
  marginLeft: 44,
  marginRight: 14,
  marginTop: 20,
  marginBottom: 38,
};

/** Every curve over a run has this axis, all stages counted on; no curve is drawn over time. */
const STEP_AXIS = "training step";

/** Loads the plotting library, which only reports need. */
export async function createPlotter(): Promise<Plotter> {
  const [Plot, { parseHTML }] = await Promise.all([import("@observablehq/plot"), import("linkedom")]);
  const { document } = parseHTML("<!doctype html><html><body></body></html>");

  const draw = (options: Record<string, unknown>, label: string): string => {
    const svg = Plot.plot({
      document,
      ...FRAME,
      style: { background: "none", fontSize: "11px" },
      ...options,
    } as PlotOptions);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
    // the page's own style sheet says the same once
    svg.querySelector("style")?.remove();
    return printable(svg.outerHTML);
  };
  // the figure's heading says the unit; a label here would run into the names of stages
  const yAxis = (share = false, from = 0, to = 1) => ({
    label: null,
    grid: true,
    nice: !share,
    ticks: 5,
    ...(share ? { domain: [from, to], tickFormat: "%" } : { tickFormat: (value: number) => plain(value) }),
  });
  const xAxis = (label: string) => ({
    label,
    labelArrow: "none",
    labelOffset: 32,
    // epochs are few and whole
    ...(label === "epoch" ? { interval: 1, tickFormat: "d" } : { ticks: 6 }),
  });
  const stageMarks = (stages: ChartOptions["stages"]) => {
    const inner = (stages ?? []).length > 1 ? stages! : [];
    return [
      Plot.ruleX(inner.slice(1), { x: "step", stroke: "var(--muted)", strokeDasharray: "3,3" }),
      Plot.text(inner, {
        x: "step",
        text: "stage",
        frameAnchor: "top",
        textAnchor: "start",
        dx: 4,
        dy: -13,
        fill: "var(--muted)",
      }),
    ];
  };
  const size = (wide = false) => (wide ? { width: 780, height: 260 } : {});

  return {
    lines({ lines, stages, yLabel, xLabel = STEP_AXIS, share = false, wide }) {
      const show = share ? percent : plain;
      // curves that stay above one half need no axis from 0
      const lowest = Math.min(...lines.flatMap(({ points }) => points.map(({ y, low }) => low ?? y)));
      const from = lowest < 0.5 ? 0 : Math.floor(Math.min(lowest, 0.9) * 10 - 0.01) / 10;
      // and shares that stay below a third would lie flat on one to 100%
      const highest = Math.max(...lines.flatMap(({ points }) => points.map(({ y, high }) => high ?? y)));
      const to = highest > 0.33 ? 1 : Math.max(1, Math.ceil(highest * 20 + 0.01)) / 20;
      return draw(
        {
          ...size(wide),
          x: xAxis(xLabel),
          y: yAxis(share, from, to),
          marks: [
            ...stageMarks(stages),
            ...lines.flatMap(({ name, points, colour, faint, dots }) => [
              ...(points.some(({ low }) => low !== undefined)
                ? [
                    Plot.areaY(points, {
                      x: "x",
                      y1: (p: Point) => p.low ?? p.y,
                      y2: (p: Point) => p.high ?? p.y,
                      fill: colourOf(colour),
                      fillOpacity: 0.16,
                    }),
                  ]
                : []),
              Plot.lineY(points, {
                x: "x",
                y: "y",
                stroke: colourOf(colour),
                strokeOpacity: faint ? 0.25 : 1,
                strokeWidth: faint ? 1 : 1.8,
              }),
              ...(dots
                ? [
                    Plot.dot(points, {
                      x: "x",
                      y: "y",
                      r: 2.6,
                      fill: colourOf(colour),
                      title: (p: Point) =>
                        `${name}, step ${p.x}: ${show(p.y)}${p.low === undefined ? "" : ` [${show(p.low)}, ${show(p.high!)}]`}`,
                    }),
                  ]
                : []),
            ]),
          ],
        },
        `${yLabel} over ${xLabel}: ${lines
          .filter(({ faint }) => !faint)
          .map(({ name }) => name)
          .join(", ")}`,
      );
    },

    stack({ lines, stages, yLabel, xLabel = STEP_AXIS, wide }) {
      const rows = lines.flatMap(({ points, colour }) =>
        points.map(({ x, y }) => ({ x, y, colour: colourOf(colour) })),
      );
      return draw(
        {
          ...size(wide),
          x: xAxis(xLabel),
          y: yAxis(true),
          marks: [
            Plot.areaY(
              rows,
              Plot.stackY({ x: "x", y: "y", z: "colour", fill: "colour", fillOpacity: 0.85, order: null }),
            ),
            ...stageMarks(stages),
          ],
        },
        `${yLabel} over ${xLabel}, stacked: ${lines.map(({ name }) => name).join(", ")}`,
      );
    },

    bars({ bars, series, yLabel, share = false, ordered = false, wide }) {
      const colour = (name: string) => {
        const i = series.indexOf(name);
        return ordered ? orderedColour(i, series.length) : colourOf(i);
      };
      const show = share ? percent : plain;
      return draw(
        {
          ...size(wide),
          fx: { label: null, padding: 0.12, domain: [...new Set(bars.map(({ group }) => group))] },
          x: { axis: null, domain: series, padding: 0.04 },
          y: yAxis(share),
          marginBottom: 30,
          marks: [
            Plot.barY(bars, {
              fx: "group",
              x: "series",
              y: "value",
              fill: (bar: Bar) => colour(bar.series),
              title: (bar: Bar) => `${bar.group}, ${bar.series}: ${show(bar.value)}`,
            }),
            Plot.ruleX(
              bars.filter(({ low }) => low !== undefined),
              { fx: "group", x: "series", y1: "low", y2: "high", stroke: "currentColor", strokeWidth: 1.2 },
            ),
            Plot.ruleY([0]),
          ],
        },
        `${yLabel} by group: ${series.join(", ")}`,
      );
    },

    histogram({ bins, rule, xLabel, yLabel }) {
      type Bin = (typeof bins)[number];
      return draw(
        {
          x: xAxis(xLabel),
          y: yAxis(),
          marks: [
            Plot.rectY(
              bins,
              Plot.stackY({
                x1: "low",
                x2: "high",
                y: "count",
                z: "series",
                order: null,
                inset: 0.5,
                fill: (bin: Bin) => colourOf(bin.colour),
                title: (bin: Bin) => `${plain(bin.low)} to ${plain(bin.high)}, ${bin.series}: ${bin.count}`,
              }),
            ),
            ...(rule === null
              ? []
              : [
                  Plot.ruleX([rule], {
                    stroke: "currentColor",
                    strokeWidth: 1.4,
                    strokeDasharray: "4,3",
                    title: () => `threshold ${rule}`,
                  }),
                ]),
            Plot.ruleY([0]),
          ],
        },
        `${yLabel} by ${xLabel}`,
      );
    },

    matrix({ cells, strongest, xLabel, yLabel }) {
      type Cell = (typeof cells)[number];
      const points = (value: number) => {
        const text = (value * 100).toFixed(1);
        return Number(text) > 0 ? `+${text}` : text.replace(/^-(?=0\.0$)/, "");
      };
      return draw(
        {
          x: { label: xLabel, labelArrow: "none", labelOffset: 32, tickSize: 0 },
          y: { label: yLabel, labelArrow: "none", labelAnchor: "top", tickSize: 0 },
          padding: 0.06,
          marks: [
            Plot.cell(cells, {
              x: "column",
              y: "row",
              fill: (cell: Cell) => colourOf(cell.value >= 0 ? 2 : 1),
              fillOpacity: (cell: Cell) => 0.12 + 0.6 * Math.min(1, Math.abs(cell.value) / strongest),
              title: (cell: Cell) => `${cell.row} on ${cell.column}: ${points(cell.value)}`,
            }),
            Plot.text(cells, {
              x: "column",
              y: "row",
              text: (cell: Cell) => points(cell.value),
              fill: "currentColor",
              fontSize: 13,
            }),
          ],
        },
        `${yLabel} by ${xLabel}, percentage points`,
      );
    },

    grid: (grid) => draw(gridOptions(Plot, grid), `${grid.yLabel} by ${grid.xLabel}`),

    scatter({ marks, front, xLabel, yLabel, wide }) {
      // names of points at 0% and 100% stand inside the frame
      const frame = {
        ...FRAME,
        width: wide ? 780 : 380,
        height: wide ? 340 : 300,
        marginLeft: 52,
        marginRight: 30,
      };
      const labels = placeLabels(marks, frame);
      return draw(
        {
          ...frame,
          x: { ...xAxis(xLabel), domain: [0, 1], tickFormat: "%" },
          y: { ...yAxis(), domain: scatterRange(marks), nice: false },
          marks: [
            Plot.line(front, { x: "x", y: "y", stroke: colourOf(0), curve: "step-after", strokeWidth: 1.4 }),
            Plot.ruleX(
              marks.filter(({ low }) => low !== undefined),
              { x: "x", y1: "low", y2: "high", stroke: "var(--muted)" },
            ),
            Plot.ruleY(
              marks.filter(({ xLow }) => xLow !== undefined),
              { y: "y", x1: "xLow", x2: "xHigh", stroke: "var(--muted)" },
            ),
            Plot.dot(marks, {
              x: "x",
              y: "y",
              r: 5,
              stroke: colourOf(0),
              strokeWidth: 1.8,
              fill: (mark: Mark) => (mark.hollow ? "var(--card)" : colourOf(0)),
              title: (mark: Mark) => `${mark.name}: ${percent(mark.x)} thinking, ${plain(mark.y)}`,
            }),
            ...labels.map(({ mark, dx, dy, anchor }) =>
              Plot.text([mark], {
                x: "x",
                y: "y",
                text: "name",
                dx,
                dy,
                textAnchor: anchor,
                fontSize: 10,
                fill: "var(--muted)",
                // lines that pass below a name stay legible
                stroke: "var(--card)",
                strokeWidth: 4,
                paintOrder: "stroke",
              }),
            ),
          ],
        },
        `${yLabel} over ${xLabel}`,
      );
    },
  };
}
