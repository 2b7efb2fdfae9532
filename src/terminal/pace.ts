/** How fast steps are made, and what is left of a stage: steps and evaluations apart, so that one says nothing about the other. */
import type { MetricValues } from "../metrics/define.ts";
import type { Progress } from "../run/progress.ts";

export const seconds = (): number => performance.now() / 1000;

export interface Pace {
  /** Steps a second; 0 while unknown. */
  rate: number;
  /** Seconds; null while unknown. */
  left: number | null;
}

type Evaluations = Parameters<Progress["start"]>[3];

/** Steps and evaluations that count. */
const STEPS = 20;
const EVALUATIONS = 3;

const mean = (values: readonly number[]): number =>
  values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * Means over the last steps, so that a slow first step (compilation) is forgotten. Time is the run's own where a row has it: rows may be
 * read long after they were written.
 */
export function createPace(now: () => number) {
  let began = 0;
  let last = 0;
  /** The step of the row before. */
  let before = 0;
  let evaluations: Evaluations = null;
  /** Seconds each, newest last. */
  let steps: number[] = [];
  let looks: number[] = [];
  /** Checkpoints and logs: what lies between steps. */
  let between: number[] = [];
  let made = 0;
  let wall = 0;
  let evaluatedFirst = false;
  const reset = (): void => {
    steps = [];
    between = [];
    made = 0;
    wall = 0;
  };
  return {
    start(total: number, done: number, when: Evaluations = null): void {
      began = now();
      last = total;
      before = done;
      evaluations = when;
      looks = [];
      evaluatedFirst = false;
      reset();
    },
    /** An evaluation was made; before the first step its time is in that step's row. */
    evaluated(): void {
      if (made === 0) evaluatedFirst = true;
    },
    mark(step: number, metrics: MetricValues = {}): Pace {
      const number = (name: string): number | null =>
        typeof metrics[name] === "number" ? metrics[name] : null;
      const elapsed = number("time/elapsed_s") ?? now() - began;
      // another process goes on, with a clock of its own
      if (elapsed < wall) reset();
      const gone = elapsed - wall;
      const look = number("time/eval_s");
      const stepSeconds = number("time/step_s");
      const compiling = number("time/compile_s") ?? 0;
      const took =
        stepSeconds === null ? gone / Math.max(1, step - before) : Math.max(0, stepSeconds - compiling);
      const rest = stepSeconds === null ? 0 : Math.max(0, gone - stepSeconds - (look ?? 0));
      wall = elapsed;
      before = step;
      made++;
      steps.push(took);
      // of the first row the rest is the evaluation before it, or loading
      if (made > 1) between.push(rest);
      else if (evaluatedFirst && stepSeconds !== null) looks.push(rest);
      if (look !== null) looks.push(look);
      // the first step is the slow one
      if (steps.length > STEPS || made === 2) steps.shift();
      if (between.length > STEPS) between.shift();
      if (looks.length > EVALUATIONS) looks.shift();
      const each = mean(steps);
      if (each === 0) return { rate: 0, left: step >= last ? 0 : null };
      const todo = Math.max(0, last - step);
      const left = todo * (each + mean(between)) + looksLeft(step, last, evaluations) * mean(looks);
      return { rate: 1 / each, left };
    },
  };
}

/** Evaluations after `step`, that of the end among them. */
function looksLeft(step: number, last: number, evaluations: Evaluations): number {
  if (!evaluations || step >= last) return 0;
  const { every, from } = evaluations;
  if (every === 0) return 1;
  return Math.floor((last - 1 - from) / every) - Math.floor((step - from) / every) + 1;
}
