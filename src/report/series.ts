/** Curves from tables: series of points, thinned and smoothed, which say so. */
import { numberCell, type Row } from "./read-run.ts";

export interface Point {
  x: number;
  y: number;
  /** 95% interval, where there is one. */
  low?: number;
  high?: number;
}

/** The finite values of a column over `step`. */
export function column(rows: readonly Row[], name: string): Point[] {
  return rows.flatMap((row) => {
    const [x, y] = [numberCell(row, "step"), numberCell(row, name)];
    return x === null || y === null || !Number.isFinite(y) ? [] : [{ x, y }];
  });
}

/** Held-out accuracy of one slice with its interval. */
export function accuracyPoints(rows: readonly Row[], slice: string): Point[] {
  return rows
    .filter((row) => row["slice"] === slice)
    .flatMap((row) => {
      const [x, y] = [numberCell(row, "step"), numberCell(row, "accuracy")];
      if (x === null || y === null) return [];
      const [low, high] = [numberCell(row, "accuracy_low"), numberCell(row, "accuracy_high")];
      return [low === null || high === null ? { x, y } : { x, y, low, high }];
    });
}

/** Steps of the window that a curve of n points is smoothed with: odd, about a thirtieth, 1 below 30 points. */
export function smoothingWindow(n: number): number {
  return n < 30 ? 1 : 2 * Math.floor(n / 60) + 1 + 2 * Number(n < 60);
}

/** Centred moving mean over `window` points (odd), fewer at both ends; x stays. */
export function smooth(points: readonly Point[], window: number): Point[] {
  const reach = (window - 1) / 2;
  return points.map(({ x }, i) => {
    // a window that is cut off on one side is cut off on the other too
    const near = Math.min(reach, i, points.length - 1 - i);
    let sum = 0;
    for (let j = i - near; j <= i + near; j++) sum += points[j]!.y;
    return { x, y: sum / (2 * near + 1) };
  });
}

/** At most `limit` points: means of equally long stretches, the last point as it is. */
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
    if (starts.at(-1)?.stage !== stage) starts.push({ step: Number(row["step"]) - 1, stage });
  }
  return starts;
}

/** Steps of the evaluations, in order. */
export function evaluationSteps(evaluations: readonly Row[]): number[] {
  return [...new Set(evaluations.map((row) => Number(row["step"])))].sort((a, b) => a - b);
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
