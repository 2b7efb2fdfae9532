/** What a run says while it goes on; src/terminal shows it. */
import type { MetricValues } from "../metrics/define.ts";

export interface ProgressRow {
  /** Steps done since the run began. */
  step: number;
  metrics: MetricValues;
}

/** What a note is about, for callers that pick some: something that lets results differ from those of an uninterrupted run. */
export type NoteTopic = "changed-inputs";

export interface Progress {
  /** The run directory is there. */
  run?(directory: string): void;
  /**
   * A stage begins, or goes on after a resume.
   * @param total last step of the stage, counted like `step`
   * @param done steps done before; the rate counts from here
   * @param evaluations when the stage evaluates: every so many steps (0: never between) since step `from`, and at its end
   */
  start(
    total: number,
    stageName: string,
    done?: number,
    evaluations?: { every: number; from: number } | null,
  ): void;
  /** What goes on between steps, such as loading or evaluating, with how far it is; "" ends it, and so does a step. */
  phase?(text: string, part?: { done: number; total: number }): void;
  step(row: ProgressRow): void;
  /** An evaluation of all prompts, by column of eval.csv. */
  evaluation?(step: number, metrics: Readonly<Record<string, number>>): void;
  /** Something about the run that holds for now: shown beside its name; "" takes it away. */
  remark?(text: string): void;
  /** A line of its own. A warning is shown even when quiet. */
  note(text: string, level?: "info" | "warning", about?: NoteTopic): void;
  /** The stage is over; what was shown last stays on the screen. */
  stop(): void;
}
