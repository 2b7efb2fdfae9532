/** A run's steps from its files, while they are written or afterwards. They are the queue of what trackers lack. */
import { join } from "node:path";
import { readRecipe } from "../run/run-directory.ts";
import type { SampleRecord } from "../run/samples.ts";
import { type TailRow, tailCsv, tailJsonLines } from "../run/tail.ts";
import {
  beganAt,
  evaluationRow,
  metricsRow,
  recipeText,
  runClock,
  samplesText,
  shownSamples,
} from "./run-rows.ts";
import type { TrackedRow, Tracker } from "./tracker.ts";

/** All that a run tells of one step. */
export interface TrackedStep {
  /** Steps of the run's files before it. */
  index: number;
  step: number;
  /** Seconds since 1970. */
  wallTime: number;
  /** Null where the step had none. */
  evaluation: TrackedRow | null;
  /** Null of step 0, which an evaluation alone has. */
  metrics: TrackedRow | null;
  /** Those that are shown; none for most steps. */
  samples: readonly SampleRecord[];
}

export interface RunFollower {
  /** Steps after those of the last call, in order: those whose metrics are there, since these are written last. Empty: no more yet. */
  read(): TrackedStep[];
}

/** Bytes of metrics.csv that are taken at once: a run of days does not have to fit into memory. */
const READ_AT_ONCE = 1 << 20;

export function followRun(runDir: string): RunFollower {
  const metrics = tailCsv(join(runDir, "metrics.csv"));
  const evaluations = queueBy(tailCsv(join(runDir, "eval.csv")));
  const samples = queueBy(tailJsonLines<SampleRecord>(join(runDir, "samples.jsonl")));
  const clock = runClock(runDir);
  let wallTime = beganAt(runDir);
  let last = -1;
  let index = 0;
  return {
    read() {
      const steps: TrackedStep[] = [];
      while (steps.length === 0) {
        const { rows } = metrics.read(READ_AT_ONCE);
        if (rows.length === 0) break;
        for (const row of rows) {
          const step = Number(row["step"]);
          // a wider file is read from its beginning
          if (step <= last) continue;
          const told = metricsRow(step, row, clock);
          for (const before of evaluations.stepsBefore(step)) {
            const evaluation = evaluationRow(evaluations.take(before), wallTime);
            steps.push({ index: index++, step: before, wallTime, evaluation, metrics: null, samples: [] });
          }
          wallTime = told.wallTime;
          const evaluated = evaluations.take(step);
          steps.push({
            index: index++,
            step,
            wallTime,
            evaluation: evaluated.length === 0 ? null : evaluationRow(evaluated, wallTime),
            metrics: told,
            samples: shownSamples(samples.take(step)),
          });
          last = step;
        }
      }
      return steps;
    },
  };
}

/**
 * Tells a tracker every step that a run's files hold, in the order in which it was written.
 * @returns steps with metrics
 * @throws CheckpointError where there is no run
 */
export function tellRun(runDir: string, tracker: Tracker): number {
  tracker.text(recipeText(readRecipe(runDir), beganAt(runDir)));
  const follower = followRun(runDir);
  let told = 0;
  for (let steps = follower.read(); steps.length > 0; steps = follower.read()) {
    for (const { wallTime, evaluation, metrics, samples } of steps) {
      if (evaluation !== null) tracker.row(evaluation);
      if (metrics !== null) tracker.row(metrics);
      const text = samplesText(samples, wallTime);
      if (text !== null) tracker.text(text);
      if (metrics !== null) told++;
    }
  }
  return told;
}

/** Rows of a file in the order of their steps, read no further than they are asked for. */
function queueBy<Row extends TailRow | SampleRecord>(tail: { read(most?: number): { rows: Row[] } }) {
  let waiting: Row[] = [];
  let last = -1;
  const upTo = (step: number): void => {
    while (waiting.length === 0 || Number(waiting.at(-1)!.step) <= step) {
      const { rows } = tail.read(READ_AT_ONCE);
      if (rows.length === 0) return;
      for (const row of rows) if (Number(row.step) > last) waiting.push(row);
    }
  };
  return {
    /** Rows of the step; those before it are gone. */
    take(step: number): Row[] {
      upTo(step);
      const taken = waiting.filter((row) => Number(row.step) === step);
      waiting = waiting.filter((row) => Number(row.step) > step);
      last = Math.max(last, step);
      return taken;
    },
    stepsBefore(step: number): number[] {
      upTo(step);
      return [...new Set(waiting.map((row) => Number(row.step)))].filter((one) => one < step);
    },
  };
}
