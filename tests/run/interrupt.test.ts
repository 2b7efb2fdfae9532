import { afterEach, expect, test } from "vitest";
import { ignoresHangup } from "../../src/run/hangup.ts";
import { createInterrupt, type Interrupt } from "../../src/run/interrupt.ts";

let interrupt: Interrupt | undefined;
afterEach(() => interrupt?.dispose());

test("a signal is seen by poll, also in a loop whose promises are all settled", async () => {
  const seen: string[] = [];
  interrupt = createInterrupt((signal) => seen.push(signal));
  expect([interrupt.requested, interrupt.signal, await interrupt.poll()]).toEqual([false, null, false]);
  process.kill(process.pid, "SIGTERM");
  for (let i = 0; i < 100; i++) await Promise.resolve();
  expect(interrupt.requested).toBe(false);
  // the system may take a moment to hand it over
  for (let i = 0; i < 1000 && !(await interrupt.poll()); i++);
  expect([interrupt.requested, interrupt.signal]).toEqual([true, "SIGTERM"]);
  expect(seen).toEqual(["SIGTERM"]);
});

test("a lost terminal is a request, however often it is told; a Ctrl-C after it is not caught", () => {
  const before = process.listenerCount("SIGINT");
  const seen: string[] = [];
  interrupt = createInterrupt((signal) => seen.push(signal));
  process.emit("SIGHUP", "SIGHUP");
  expect([interrupt.requested, process.listenerCount("SIGINT")]).toEqual([true, before]);
  process.emit("SIGHUP", "SIGHUP");
  expect(seen).toEqual(["SIGHUP"]);
  interrupt.dispose();
  expect(process.listenerCount("SIGHUP")).toBe(0);
});

test("nohup is told by its traces; a child of ours goes with its parent", () => {
  expect(ignoresHangup({ _: "/usr/bin/nohup" }, false)).toBe(true);
  expect(ignoresHangup({ _: "/usr/bin/nohup" }, true)).toBe(false);
});

test("listeners are gone after the first signal and after dispose", () => {
  const count = (): number => process.listenerCount("SIGINT") + process.listenerCount("SIGTERM");
  const before = count();
  interrupt = createInterrupt();
  expect(count()).toBe(before + 2);
  process.emit("SIGINT", "SIGINT");
  expect([count(), interrupt.requested]).toEqual([before, true]);
  const second = createInterrupt();
  second.dispose();
  expect([count(), second.requested]).toEqual([before, false]);
});
