/** Ctrl-C: the first lets the step end and a checkpoint be written, the second ends the process at once. */
import { ignoresHangup } from "./hangup.ts";

export interface Interrupt {
  /** A signal has come; the loop should checkpoint and stop. */
  readonly requested: boolean;
  readonly signal: NodeJS.Signals | null;
  /** Lets pending signals through (a loop that only awaits settled promises never would) and says `requested`. */
  poll(): Promise<boolean>;
  /** Stops listening. */
  dispose(): void;
}

const signals: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM"];

/**
 * Listens for SIGINT, SIGTERM and SIGHUP: the terminal is gone. After the first one the system's own handling of SIGINT and SIGTERM is
 * back, so that a second one ends the process even in the middle of a computation. SIGHUP never does: one lost terminal sends it
 * several times. Under nohup it is no request.
 * @param onFirst for a note such as "finishing the step; Ctrl-C again to stop at once"
 */
export function createInterrupt(onFirst: (signal: NodeJS.Signals) => void = () => {}): Interrupt {
  let received: NodeJS.Signals | null = null;
  const outlives = ignoresHangup();
  const dispose = (): void => {
    for (const signal of signals) process.off(signal, listener);
  };
  const listener = (signal: NodeJS.Signals): void => {
    if (received !== null) return;
    dispose();
    received = signal;
    onFirst(signal);
  };
  const hangup = (signal: NodeJS.Signals): void => {
    if (!outlives) listener(signal);
  };
  for (const signal of signals) process.on(signal, listener);
  process.on("SIGHUP", hangup);
  return {
    get requested() {
      return received !== null;
    },
    get signal() {
      return received;
    },
    async poll() {
      await new Promise((resolve) => setImmediate(resolve));
      return received !== null;
    },
    dispose() {
      dispose();
      process.off("SIGHUP", hangup);
    },
  };
}
