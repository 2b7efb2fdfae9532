/** Which columns of metrics.csv a stage has, as far as its recipe tells before it starts. */

import { RlptError } from "../lib/errors.ts";
import { alarmMetrics, loopMetrics } from "../metrics/loop.ts";
import { leadingColumns, metricDefinition } from "../metrics/table.ts";
import { optimizerMetrics } from "../metrics/update.ts";
import { type AlgorithmOptions, algorithmOf, algorithms } from "./kinds.ts";

/**
 * Why a stage has no column of that name with numbers; null where it may have one.
 * @param parts names of its reward parts
 */
export function unknownColumn(
  algorithm: AlgorithmOptions,
  parts: readonly string[],
  name: string,
): string | null {
  let row: string;
  try {
    row = metricDefinition(name).name;
  } catch (error) {
    if (!(error instanceof RlptError)) throw error;
    const near = /did you mean ([^?]+)\?/.exec(error.message)?.[1];
    return `no column of metrics.csv has that name${near === undefined ? "" : `; did you mean ${near}?`}`;
  }
  if (leadingColumns.some((one) => one === row)) return "it counts the run, and measures nothing";
  const { metrics, title } = algorithmOf(algorithm);
  const shared = [...alarmMetrics, ...optimizerMetrics, ...loopMetrics].some((one) => one.name === row);
  const own = (list: typeof metrics) => list?.some((one) => one.name === row) === true;
  const elsewhere = algorithms.some((one) => own(one.metrics));
  if (!shared && (metrics === null ? elsewhere : !own(metrics))) return `${title} does not measure it`;
  const part = /^reward\/part\/([^/]+)/.exec(name)?.[1];
  if (part !== undefined && !parts.includes(part)) {
    return `no reward part is called ${part}; there ${parts.length === 1 ? "is" : "are"} ${parts.join(", ") || "none"}`;
  }
  return null;
}
