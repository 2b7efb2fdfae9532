/**
 * A service that is told from a thread of its own: training waits for no request, and a step that computes for a minute holds none
 * up. The thread reads the run's files; nothing is kept for it in memory.
 */
import { Worker } from "node:worker_threads";
import { workerEntry } from "../lib/worker-entry.ts";
import type { TrackerName } from "../run/tracker-names.ts";
import type { Tracker } from "./tracker.ts";

export interface ThreadTask {
  name: string;
  runDir: string;
}

/** `away`: it tries again. `failed`: it has given up. `done`: the service has everything. `behind`: it has not, and the run is over. */
export type ThreadWord = { away: string } | { failed: string } | { done: true } | { behind: true };

/** Time that a run's end waits for what is still to be sent. */
const END_MS = 15_000;
const HEAP_MB = 256;

/** @param warn told once when the service cannot be reached, and once at the end where steps are missing */
export function openThread(name: TrackerName, runDir: string, warn: (text: string) => void): Tracker {
  const later = `rlpt track ${runDir} --to ${name}`;
  let worker: Worker | null = null;
  let over = false;
  let wake = (): void => {};
  const finish = (complete: boolean): void => {
    if (!over && !complete) warn(`${name} has not got all of the run; the rest: ${later}`);
    over = true;
    wake();
  };
  const giveUp = (reason: string): void => {
    if (!over)
      warn(
        `${name} is not told any more: ${reason.replace(/\.?$/, ".")} The run goes on; afterwards: ${later}`,
      );
    over = true;
    wake();
  };
  const started = workerEntry("tracker-worker", new URL("./worker.ts", import.meta.url)).then(
    (entry) => {
      if (over) return;
      const thread = new Worker(entry, {
        workerData: { name, runDir } satisfies ThreadTask,
        resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
      });
      worker = thread;
      thread.on("message", (word: ThreadWord) => {
        if ("away" in word)
          warn(`${word.away}. The run goes on, and it is tried again; what is missing at the end: ${later}`);
        else if ("failed" in word) giveUp(word.failed);
        else finish("done" in word);
      });
      thread.on("error", (error: Error) => giveUp(error.message));
      thread.on("exit", () => giveUp("its thread ended"));
      thread.unref();
    },
    (error: Error) => giveUp(error.message),
  );
  return {
    followsFiles: true,
    row: () => {},
    text: () => {},
    async close(how) {
      await started;
      if (!over) {
        const ended = new Promise<void>((resolve) => {
          wake = resolve;
        });
        worker?.postMessage(how);
        let timer: NodeJS.Timeout | undefined;
        const late = new Promise<void>((resolve) => {
          timer = setTimeout(resolve, END_MS);
        });
        await Promise.race([ended, late]);
        clearTimeout(timer);
      }
      finish(false);
      await worker?.terminate();
    },
  };
}
