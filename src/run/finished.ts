/** Has a run done all of its steps? Told by the state of its newest checkpoint. */

/** The part of a checkpoint's state that says how far the run is. */
interface Position {
  /** Index of the stage. */
  stage: number;
  /** Steps of that stage. */
  stepsDone: number;
  /** The stage ended before its last step. */
  ended: boolean;
}

/** @param steps of each stage, in order */
export function isFinished(state: unknown, steps: readonly number[]): boolean {
  const { stage, stepsDone, ended } = state as Position;
  return stage === steps.length - 1 && (ended || stepsDone >= steps.at(-1)!);
}
