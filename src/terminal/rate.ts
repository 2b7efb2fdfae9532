/** How fast steps are made. */
import type { MetricValues } from "../metrics/define.ts";

export const seconds = (): number => performance.now() / 1000;

/**
 * Steps per second over the last steps, so that a slow first step (compilation) is forgotten. Time is the run's own
 * where a row has it: rows may be read long after they were written.
 */
export function createRate(now: () => number) {
  const window = 20;
  let marks: { step: number; time: number }[] = [];
  let began = 0;
  return {
    start(step: number) {
      began = now();
      marks = [{ step, time: 0 }];
    },
    /** @returns steps/s, 0 while unknown */
    mark(step: number, metrics: MetricValues = {}): number {
      const elapsed = metrics["time/elapsed_s"];
      const time = typeof elapsed === "number" ? elapsed : now() - began;
      // another process goes on, with a clock of its own
      if (time < marks.at(-1)!.time) marks = [];
      marks.push({ step, time });
      // the first mark ends before the first step, which is the slow one
      if (marks.length > window || marks.length === 3) marks.shift();
      const first = marks[0]!;
      const last = marks.at(-1)!;
      return last.time > first.time ? (last.step - first.step) / (last.time - first.time) : 0;
    },
  };
}
