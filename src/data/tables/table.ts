import type { TableRow } from "../table-file.ts";

/** The rows of one file. */
export interface Table {
  readonly path: string;
  /** Of the file as it lies there. */
  readonly bytes: number;
  /** Of these bytes, hexadecimal. */
  readonly sha256: string;
  /** Rows, those with faults among them. */
  readonly size: number;
  /** Are its rows in memory, so that reading one costs nothing? */
  readonly held: boolean;
  /** @param index 0..size-1 */
  row(index: number): TableRow;
}

/** Text that rows may still be made of while they are held in memory, over all files of a dataset. */
export interface Budget {
  bytes: number;
}
