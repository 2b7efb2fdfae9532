/** Curves from tables: series of points, thinned and smoothed, which say so. */
import { numberCell, type Row } from "./read-run.ts";

export interface Point {
  x: number;
  y: number;
  /** 95% interval, where there is one. */
  low?: number;
  high?: number;
}

/** The training step of a row, counted over all stages: what every horizontal axis of a run measures. */
export function stepOf(row: Row): number | null {
  const step = numberCell(row, "step");
  return step === null || !Number.isFinite(step) ? null : step;
}

/** The finite values of a column over `step`. */
export function column(rows: readonly Row[], name: string): Point[] {
  return rows.flatMap((row) => {
    const [x, y] = [stepOf(row), numberCell(row, name)];
    return x === null || y === null || !Number.isFinite(y) ? [] : [{ x, y }];
  });
}

/** Held-out accuracy of one slice with its interval. */
export function accuracyPoints(rows: readonly Row[], slice: string): Point[] {
  return rows
    .filter((row) => row["slice"] === slice)
    .flatMap((row) => {
      const [x, y] = [stepOf(row), numberCell(row, "accuracy")];
      if (x === null || y === null || !Number.isFinite(y)) return [];
      const [low, high] = [numberCell(row, "accuracy_low"), numberCell(row, "accuracy_high")];
      const bounded = low !== null && high !== null && Number.isFinite(low + high);
      return [bounded ? { x, y, low, high } : { x, y }];
    });
}

/** Steps of the window that a curve of n points is smoothed with: odd, about a thirtieth, 1 below 30 points. */
export function smoothingWindow(n: number): number {
  return n < 30 ? 1 : 2 * Math.floor(n / 60) + 1 + 2 * Number(n < 60);
}

/**
 * Centred moving mean over `window` points (odd). Near an end, where the window has no room on one side, the value is
 * that of a straight line fitted to points that reach further to the other side, up to twice the window: a mean over
 * ever fewer points would end on the last point as it is, a spike beside a smooth curve. x stays.
 */
export function smooth(points: readonly Point[], window: number): Point[] {
  const reach = (window - 1) / 2;
  return points.map((point, i) => {
    const [left, right] = [i, points.length - 1 - i];
    if (Math.min(left, right) >= reach)
      return { x: point.x, y: meanOf(points.slice(i - reach, i + reach + 1)) };
    const near = Math.min(left, right);
    const far = Math.min(Math.max(left, right), 4 * reach - 3 * near);
    return {
      x: point.x,
      y: lineAt(left < right ? points.slice(0, i + far + 1) : points.slice(i - far), point.x),
    };
  });
}

const meanOf = (points: readonly Point[]): number =>
  points.reduce((sum, { y }) => sum + y, 0) / points.length;

/** Value at x of the least-squares line through the points, no further than their own values reach. */
function lineAt(points: readonly Point[], x: number): number {
  const [centreX, centreY] = [points.reduce((sum, p) => sum + p.x, 0) / points.length, meanOf(points)];
  const spread = points.reduce((sum, p) => sum + (p.x - centreX) ** 2, 0);
  const together = points.reduce((sum, p) => sum + (p.x - centreX) * (p.y - centreY), 0);
  const value = spread === 0 ? centreY : centreY + (together / spread) * (x - centreX);
  const heights = points.map(({ y }) => y);
  return Math.min(Math.max(...heights), Math.max(Math.min(...heights), value));
}

/** At most `limit` points: means of equally long stretches; the last may be shorter. */
export function thin(points: readonly Point[], limit: number): Point[] {
  if (points.length <= limit) return [...points];
  const size = Math.ceil(points.length / limit);
  const out: Point[] = [];
  for (let start = 0; start < points.length; start += size) {
    const part = points.slice(start, start + size);
    const average = (of: (point: Point) => number) => part.reduce((sum, p) => sum + of(p), 0) / part.length;
    out.push({ x: average((p) => p.x), y: average((p) => p.y) });
  }
  return out;
}

/** Where each stage begins, in order: the step before its first row. */
export function stageStarts(metrics: readonly Row[]): { step: number; stage: string }[] {
  const starts: { step: number; stage: string }[] = [];
  for (const row of metrics) {
    const stage = row["stage"] ?? "";
    const step = stepOf(row);
    if (step !== null && starts.at(-1)?.stage !== stage) starts.push({ step: step - 1, stage });
  }
  return starts;
}

/** Steps of the evaluations, in order. */
export function evaluationSteps(evaluations: readonly Row[]): number[] {
  return [...new Set(evaluations.flatMap((row) => stepOf(row) ?? []))].sort((a, b) => a - b);
}

/** Names of slices of one kind, such as level=1..5, in order; [] where there are none. */
export function sliceKinds(evaluations: readonly Row[]): Map<string, string[]> {
  const kinds = new Map<string, string[]>();
  for (const row of evaluations) {
    const [kind, ...value] = (row["slice"] ?? "").split("=");
    if (value.length === 0 || kind === undefined) continue;
    const names = kinds.get(kind) ?? [];
    if (!names.includes(row["slice"]!)) names.push(row["slice"]!);
    kinds.set(kind, names);
  }
  for (const names of kinds.values()) names.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  return kinds;
}
