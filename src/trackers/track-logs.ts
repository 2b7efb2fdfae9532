/** A run's logs that tell trackers too. A tracker that fails is left, and the run goes on. */
import type { Cell } from "../run/append-log.ts";
import type { RunLogs } from "../run/logs.ts";
import type { TrackerName } from "../run/tracker-names.ts";
import { tellRun } from "./follow-run.ts";
import { trackers } from "./kinds.ts";
import { beganAt, evaluationRow, metricsRow, runClock, samplesText } from "./run-rows.ts";
import type { RunEnd } from "./service.ts";
import { openThread } from "./thread.ts";
import type { Tracker } from "./tracker.ts";

export interface TrackedLogs extends RunLogs {
  /** Closes the trackers, in bounded time; the logs stay open. */
  endTracking(how: RunEnd): Promise<void>;
}

/**
 * @param logs of a run that is at its beginning, or cut back to its checkpoint
 * @param warn told once of each tracker that fails
 */
export function trackLogs(
  logs: RunLogs,
  runDir: string,
  names: readonly TrackerName[],
  warn: (text: string) => void,
): TrackedLogs {
  const open = new Map<TrackerName, Tracker>();
  const began = beganAt(runDir);
  const runTime = runClock(runDir);
  let wallTime = began;
  const attempt = (name: TrackerName, what: () => void): void => {
    try {
      what();
    } catch (error) {
      open.delete(name);
      warn(
        `${name} is not told any more: ${(error as Error).message}. The run goes on; afterwards: rlpt track ${runDir} --to ${name}`,
      );
    }
  };
  const tell = (what: (tracker: Tracker) => void): void => {
    for (const [name, tracker] of open) attempt(name, () => what(tracker));
  };
  for (const name of new Set(names)) {
    attempt(name, () => {
      const kind = trackers[name];
      const tracker = kind.kind === "files" ? kind.open(runDir, began) : openThread(name, runDir, warn);
      open.set(name, tracker);
      if (tracker.followsFiles !== true) tellRun(runDir, tracker);
    });
  }
  return {
    ...logs,
    metrics(step, values) {
      logs.metrics(step, values);
      const row = metricsRow(step, values as Readonly<Record<string, Cell>>, runTime);
      wallTime = row.wallTime;
      tell((tracker) => tracker.row(row));
    },
    evaluation(rows) {
      logs.evaluation(rows);
      if (rows.length > 0) tell((tracker) => tracker.row(evaluationRow(rows, wallTime)));
    },
    samples(records) {
      logs.samples(records);
      const text = samplesText(records, wallTime);
      if (text !== null) tell((tracker) => tracker.text(text));
    },
    async endTracking(how) {
      const closing: (void | Promise<void>)[] = [];
      tell((tracker) => closing.push(tracker.close(how)));
      await Promise.all(closing);
    },
  };
}
