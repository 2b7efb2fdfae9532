import { RlptError } from "../lib/errors.ts";
import type { MetricValues } from "../metrics/define.ts";
import { leadingColumns, metricDefinition } from "../metrics/table.ts";
import { type Cell, type CsvLog, openCsvLog } from "./append-log.ts";

/** metrics.csv: a row a step, flushed when it is written. */
export interface MetricsLog {
  readonly rows: number;
  readonly columns: readonly string[];
  /** Digest of the file as it was written; see AppendLog. */
  digest(): string;
  /**
   * Fixes the columns of the stage. A name that an earlier stage had keeps its place; new ones come last.
   * @throws RlptError for a name without a definition
   */
  startStage(stage: string, columns: readonly string[]): void;
  /**
   * @param step steps since the run began; grows from row to row
   * @throws RlptError for a metric that the stage did not announce
   */
  append(step: number, values: MetricValues): void;
  sync(): void;
  close(): void;
}

/** @param keep what the checkpoint that is resumed had seen; rows after it are cut */
export function openMetricsLog(path: string, keep?: { rows: number; step: number }): MetricsLog {
  const log: CsvLog = openCsvLog(path, leadingColumns, keep?.rows);
  let lastStep = keep?.step ?? 0;
  let stage: { name: string; columns: ReadonlySet<string> } | undefined;
  return {
    get rows() {
      return log.rows;
    },
    get columns() {
      return log.columns;
    },
    startStage(name, columns) {
      for (const column of columns) metricDefinition(column);
      log.addColumns(columns);
      stage = { name, columns: new Set(columns) };
    },
    append(step, values) {
      if (stage === undefined) throw new RlptError(`${path}: a row before the first stage began.`);
      if (!Number.isInteger(step) || step <= lastStep)
        throw new RlptError(`${path}: step ${step} cannot follow step ${lastStep}.`);
      const row: Record<string, Cell> = { step, stage: stage.name };
      for (const [name, value] of Object.entries(values)) {
        if (!stage.columns.has(name)) {
          metricDefinition(name);
          throw new RlptError(`${path}: metric ${name} was not announced when stage ${stage.name} began.`);
        }
        row[name] = value;
      }
      log.append(row);
      lastStep = step;
    },
    digest: log.digest,
    sync: log.sync,
    close: log.close,
  };
}
