/** Rows that do not fit, by their places. */
import { DataError } from "../lib/errors.ts";

/** Where a row lies: lines count from 1; in Parquet, which has none, rows do. */
export interface Place {
  path: string;
  line: number;
}

export interface PlacedFault extends Place {
  reason: string;
}

/** Rows that do not fit: the first of them, and how many there are. */
export interface RowFaults {
  first: readonly PlacedFault[];
  count: number;
}

/** At most this many faults are listed. */
const maxFaults = 20;
/** At most this many are kept with their reasons. */
export const KEPT_FAULTS = 10_000;

/** Rows that do not fit, each with its place and reason. */
export class RowFaultsError extends DataError {
  readonly faults: RowFaults;
  /** Rows of all files. */
  readonly rows: number;
  /** What to do where no row fits. */
  readonly whenNone: string;
  constructor(faults: RowFaults, rows: number, whenNone = "check prompt, answer and id against the columns") {
    super(faultList(faults, rows, whenNone));
    this.faults = faults;
    this.rows = rows;
    this.whenNone = whenNone;
  }
}

function faultList({ first, count }: RowFaults, rows: number, whenNone: string): string {
  const lines = first.slice(0, maxFaults).map(({ path, line, reason }) => `${path}:${line}: ${reason}.`);
  if (count > maxFaults) lines.push(`... and ${count - maxFaults} more of ${rows} rows.`);
  lines.push(
    count === rows
      ? `No row fits; ${whenNone}.`
      : "Mend the rows, or set on_bad_row: skip to leave them out.",
  );
  return lines.join("\n");
}
