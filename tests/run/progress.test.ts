import { stripVTControlCharacters } from "node:util";
import { describe, expect, test } from "vitest";
import {
  createProgress,
  formatDuration,
  type ProgressOptions,
  type ProgressStream,
} from "../../src/run/progress.ts";

function setUp(mode: NonNullable<ProgressOptions["mode"]>, isTTY = false) {
  const written: string[] = [];
  // readline, which moves the cursor, asks for a listener-free stream with write() alone
  const stream: ProgressStream = { write: (text: string) => written.push(text), isTTY, columns: 120 };
  const clock = { now: 0 };
  const progress = createProgress({ stream, mode, now: () => clock.now, interval: 2 });
  return { progress, clock, text: () => stripVTControlCharacters(written.join("")), written };
}

const row = (step: number) => ({
  step,
  metrics: { "reward/mean": step / 10, accuracy: 0.5, "time/tokens_per_s": 1234.4 },
});

describe("plain lines", () => {
  test("one every two seconds and for the last step, with rate and time left", () => {
    const { progress, clock, text } = setUp("auto");
    progress.start(6, "grpo");
    for (let step = 1; step <= 6; step++) {
      // the first step takes 10 s and is no measure of the rest
      clock.now += step === 1 ? 10 : 1;
      progress.step(row(step));
    }
    progress.stop();
    expect(text()).toBe(
      [
        "grpo: to step 6",
        "grpo 1/6  reward 0.100  accuracy 50.0%  tokens/s 1234  10.0 s/step  50s left",
        "grpo 3/6  reward 0.300  accuracy 50.0%  tokens/s 1234  1.0 steps/s  3s left",
        "grpo 5/6  reward 0.500  accuracy 50.0%  tokens/s 1234  1.0 steps/s  1s left",
        "grpo 6/6  reward 0.600  accuracy 50.0%  tokens/s 1234  1.0 steps/s  0s left",
        "",
      ].join("\n"),
    );
  });

  test("resumed: says where it goes on, and the rate does not count earlier steps", () => {
    const { progress, clock, text } = setUp("lines");
    progress.start(110, "sft", 100);
    clock.now = 1;
    progress.step({ step: 101, metrics: { "sft/loss": 1.25 } });
    progress.note("checkpoint written");
    expect(text()).toBe(
      "sft: from step 100, to step 110\nsft 101/110  loss 1.2500  1.0 steps/s  9s left\ncheckpoint written\n",
    );
  });
});

test("quiet shows warnings alone", () => {
  const { progress, text } = setUp("quiet");
  progress.start(2, "grpo");
  progress.step(row(1));
  progress.note("all is well");
  progress.note("entropy collapses", "warning");
  progress.stop();
  expect(text()).toBe("entropy collapses\n");
});

test("json: an object a line", () => {
  const { progress, text } = setUp("json", true);
  progress.start(2, "grpo");
  progress.step(row(1));
  progress.note("n", "warning");
  progress.stop();
  const lines = text().trimEnd().split("\n");
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    { event: "start", stage: "grpo", step: 0, total: 2 },
    { event: "step", stage: "grpo", step: 1, total: 2, metrics: row(1).metrics },
    { event: "note", stage: "grpo", level: "warning", text: "n" },
    { event: "stop", stage: "grpo" },
  ]);
});

describe("a terminal", () => {
  test("has a bar with the numbers; notes keep their own lines; nothing is written after stop", async () => {
    const { progress, clock, text, written } = setUp("auto", true);
    progress.note("before");
    progress.start(4, "grpo");
    clock.now = 1;
    progress.step(row(1));
    clock.now = 2;
    progress.step(row(2));
    progress.note("checkpoint written");
    clock.now = 4;
    progress.step(row(4));
    progress.stop();
    const shown = text();
    expect(shown.startsWith("before\n")).toBe(true);
    expect(shown).toContain("grpo [============            ] 2/4  reward 0.200  accuracy 50.0%");
    expect(shown).toContain("checkpoint written\n");
    expect(shown).toContain("4/4  reward 0.400");
    expect(shown).toContain("1.0 steps/s  2s left");
    expect(shown.endsWith("\n")).toBe(true);
    const { length } = written;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(written).toHaveLength(length);
  });

  test("leaves signals to the run", () => {
    const before = process.listenerCount("SIGINT");
    const { progress } = setUp("auto", true);
    progress.start(4, "grpo");
    expect(process.listenerCount("SIGINT")).toBe(before);
    progress.stop();
  });
});

test.each([
  [0.4, "0s"],
  [59.4, "59s"],
  [75, "1m15s"],
  [3599.6, "1h00m"],
  [7500, "2h05m"],
  [Number.POSITIVE_INFINITY, "?"],
])("formatDuration(%d) = %s", (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});
