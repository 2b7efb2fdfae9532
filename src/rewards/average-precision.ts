/**
 * COCO's average precision of one picture whose boxes all have the same score, as pycocotools computes it: boxes in the order in
 * which they are written, at most 100 a label, 101 recall points.
 */
import { type Box, boxIou } from "./boxes.ts";

export interface Detection {
  box: Box;
  label: string;
}

/** Boxes of a label that are looked at. */
const MOST = 100;
const POINTS = 101;

/** Which boxes hit, in order: each takes the gold box left that it overlaps most, the last of equals. */
function hits(boxes: readonly Box[], golds: readonly Box[], threshold: number): boolean[] {
  const taken = golds.map(() => false);
  return boxes.map((box) => {
    let best = Math.min(threshold, 1 - 1e-10);
    let which = -1;
    for (const [j, gold] of golds.entries()) {
      if (taken[j]) continue;
      const iou = boxIou(box, gold);
      if (iou < best) continue;
      best = iou;
      which = j;
    }
    if (which >= 0) taken[which] = true;
    return which >= 0;
  });
}

/** Mean over 101 recalls of the best precision at that recall or a higher one. */
function areaUnderCurve(hit: readonly boolean[], golds: number): number {
  let right = 0;
  const curve = hit.map((one, i) => {
    if (one) right++;
    return { recall: right / golds, precision: right / (i + 1) };
  });
  for (let i = curve.length - 2; i >= 0; i--) {
    curve[i]!.precision = Math.max(curve[i]!.precision, curve[i + 1]!.precision);
  }
  let sum = 0;
  let at = 0;
  for (let point = 0; point < POINTS; point++) {
    while (at < curve.length && curve[at]!.recall < point / (POINTS - 1)) at++;
    sum += curve[at]?.precision ?? 0;
  }
  return sum / POINTS;
}

/** Mean over labels of the gold boxes and over thresholds; boxes of other labels count for nothing. @param golds not empty */
export function meanAveragePrecision(
  found: readonly Detection[],
  golds: readonly Detection[],
  thresholds: readonly number[],
): number {
  const labels = [...new Set(golds.map(({ label }) => label))];
  const of = (all: readonly Detection[], label: string) =>
    all.filter((one) => one.label === label).map(({ box }) => box);
  const values = labels.flatMap((label) => {
    const [boxes, wanted] = [of(found, label).slice(0, MOST), of(golds, label)];
    return thresholds.map((threshold) => areaUnderCurve(hits(boxes, wanted, threshold), wanted.length));
  });
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
