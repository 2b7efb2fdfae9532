/** Sends a run's steps to a service as they come. What it could not send is still in the run's files. */
import { setTimeout as sleep } from "node:timers/promises";
import { followRun, type RunFollower, type TrackedStep } from "./follow-run.ts";
import { AwayError } from "./http.ts";
import { type RunEnd, type Service, STEPS_AT_ONCE } from "./service.ts";

export interface Sender {
  /** Sends all that is there. @throws AwayError, ServiceError and what else the service says; the next call goes on there */
  send(): Promise<void>;
  /** Everything, and how the run ended; null: nobody knows. */
  end(how: RunEnd | null): Promise<void>;
  /** Steps with metrics that the service has. */
  readonly steps: number;
}

export function createSender(
  service: Service,
  runDir: string,
  follower: RunFollower = followRun(runDir),
): Sender {
  let isOpen = false;
  let waiting: readonly TrackedStep[] = [];
  let steps = 0;
  const attempt = async (what: () => Promise<void>): Promise<void> => {
    try {
      if (!isOpen) await service.open();
      isOpen = true;
      await what();
    } catch (error) {
      // did it take the request before it went away? it is asked again
      isOpen = false;
      throw error;
    }
  };
  const send = async (): Promise<void> => {
    if (!isOpen) await attempt(async () => {});
    for (;;) {
      if (waiting.length === 0) waiting = follower.read();
      if (waiting.length === 0) return;
      const now = waiting.slice(0, STEPS_AT_ONCE);
      await attempt(() => service.send(now));
      waiting = waiting.slice(now.length);
      steps += now.filter(({ metrics }) => metrics !== null).length;
    }
  };
  return {
    send,
    async end(how) {
      await send();
      if (how !== null) await attempt(() => service.end(how));
    },
    get steps() {
      return steps;
    },
  };
}

/** Waits between tries: it doubles up to the longest. */
export const FIRST_WAIT_MS = 1_000;
export const LONGEST_WAIT_MS = 60_000;

/** @param failures in a row, this one counted */
export function waitAfter(error: unknown, failures: number): number {
  const asked = error instanceof AwayError ? error.waitMs : 0;
  return Math.max(asked, Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1)));
}

/** Tries a few times; for people who wait. @throws the last try's error */
export async function sendPatiently(sender: Sender, how: RunEnd | null, tries = 3): Promise<void> {
  for (let failures = 1; ; failures++) {
    try {
      await sender.end(how);
      return;
    } catch (error) {
      if (!(error instanceof AwayError) || failures >= tries) throw error;
      await sleep(waitAfter(error, failures));
    }
  }
}
