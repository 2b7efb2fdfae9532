/** Waiting that the user can end: by q or Ctrl-C. */

export interface Keys {
  /** @param milliseconds resolves "go on" after so long, "stop" as soon as a key or signal says so */
  wait(milliseconds: number): Promise<"go on" | "stop">;
  /** The terminal is as it was. */
  dispose(): void;
}

/** q, Q, and what Ctrl-C and Ctrl-D send in raw mode. */
const ENDS: readonly number[] = [0x71, 0x51, 0x03, 0x04];

export function createKeys(input: NodeJS.ReadStream): Keys {
  let stopped = false;
  let wake = (): void => {};
  const stop = (): void => {
    stopped = true;
    wake();
  };
  const onData = (data: Buffer): void => {
    if (data.some((byte) => ENDS.includes(byte))) stop();
  };
  const raw = input.isTTY === true;
  if (raw) {
    input.setRawMode(true);
    input.resume();
    input.on("data", onData);
  }
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, stop);
  return {
    wait: (milliseconds) =>
      new Promise((resolve) => {
        if (stopped) return resolve("stop");
        const timer = setTimeout(() => resolve("go on"), milliseconds);
        wake = () => {
          clearTimeout(timer);
          resolve("stop");
        };
      }),
    dispose() {
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, stop);
      if (!raw) return;
      input.off("data", onData);
      input.setRawMode(false);
      input.pause();
    },
  };
}
