import { workerEntry } from "../../lib/worker-entry.ts";
import { DeadlineWorker } from "../deadline-worker.ts";
import { gradeFast, type MathPair, type MathVerdict } from "./fast.ts";

let worker: DeadlineWorker<MathPair, MathVerdict> | undefined;

/**
 * Compares answers with their gold answers. What takes algebra is done in a thread of its own, under a deadline per
 * answer; real answers stay three orders of magnitude below it, and the grader's own step limit ends the others the
 * same way on every machine, so the clock decides only if something is broken.
 * @param deadlineMs longest comparison of one answer, processor time
 * @returns verdicts in the pairs' order
 */
export async function gradeAnswers(pairs: readonly MathPair[], deadlineMs: number): Promise<MathVerdict[]> {
  const verdicts = pairs.map(gradeFast);
  const hard = pairs.map((_, index) => index).filter((index) => verdicts[index] === undefined);
  if (hard.length > 0) {
    worker ??= new DeadlineWorker(
      () => workerEntry("math-worker", new URL("./worker.ts", import.meta.url)),
      "processor",
    );
    // completions of one group often agree: each pair is graded once
    const distinct = new Map<string, number>();
    const tasks: MathPair[] = [];
    const taskOf = hard.map((index) => {
      const pair = pairs[index]!;
      const key = JSON.stringify([pair.candidate, pair.gold]);
      const known = distinct.get(key) ?? tasks.push(pair) - 1;
      distinct.set(key, known);
      return known;
    });
    const outcomes = await worker.run(tasks, deadlineMs);
    hard.forEach((index, position) => {
      const outcome = outcomes[taskOf[position]!]!;
      verdicts[index] =
        outcome.kind === "done"
          ? outcome.value
          : outcome.kind === "timeout"
            ? { equal: false, status: "timeout", note: `no verdict within ${deadlineMs} ms` }
            : { equal: false, status: "error", note: `the grader failed: ${outcome.message}` };
    });
  }
  return verdicts.map((verdict) => verdict!);
}

/** Ends the grader's thread; the next call starts a new one. */
export async function closeGrader(): Promise<void> {
  await worker?.close();
  worker = undefined;
}
