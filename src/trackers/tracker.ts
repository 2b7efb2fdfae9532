/** What shows a run's curves elsewhere. It is told rows as they are written, and asked again for none that it has. */
import type { RunEnd } from "./service.ts";

/** What a run tells at one step. */
export interface TrackedRow {
  /** Steps since the run began. */
  step: number;
  /** Seconds since 1970, by the run's own time columns. */
  wallTime: number;
  /** By name; names with a slash are grouped by what stands before it. */
  scalars: ReadonlyMap<string, number>;
  /** Times and the like, in which a step that was made again differs; the first ones stay. */
  measured: ReadonlyMap<string, number>;
}

export interface TrackedText {
  step: number;
  wallTime: number;
  name: string;
  /** Markdown. */
  text: string;
}

export interface Tracker {
  /** It reads the run's files itself, and needs no row told: those that are reached by HTTP. */
  readonly followsFiles?: boolean;
  /** A row that is there already is written once; one that changed takes the place of it and of what followed. */
  row(row: TrackedRow): void;
  text(text: TrackedText): void;
  /** In bounded time. */
  close(how: RunEnd): void | Promise<void>;
}
