import { stripVTControlCharacters } from "node:util";
import { describe, expect, test } from "vitest";
import {
  createProgress,
  type ProgressOptions,
  type ProgressStream,
} from "../../src/terminal/lines-progress.ts";
import { createPace } from "../../src/terminal/pace.ts";
import { formatDuration } from "../../src/terminal/panel.ts";

function setUp(mode: NonNullable<ProgressOptions["mode"]>, isTTY = false) {
  const written: string[] = [];
  // readline, which moves the cursor, asks for a listener-free stream with write() alone
  const stream: ProgressStream = { write: (text: string) => written.push(text), isTTY, columns: 120 };
  const clock = { now: 0 };
  const progress = createProgress({ stream, mode, now: () => clock.now, interval: 2 });
  return { progress, clock, text: () => stripVTControlCharacters(written.join("")), written };
}

/** Lines that a terminal shows after this text. */
function onScreen(text: string): string[] {
  const lines = [""];
  const control = "\u001b\\[";
  for (const part of text.split(new RegExp(`(\\r(?:${control}\\d+A)?${control}0J|\\n)`))) {
    const up = /\[(\d+)A/.exec(part);
    if (up !== null) lines.splice(lines.length - 1 - Number(up[1]), Infinity, "");
    else if (part.startsWith("\r")) lines[lines.length - 1] = "";
    else if (part === "\n") lines.push("");
    else lines[lines.length - 1] += stripVTControlCharacters(part);
  }
  return lines.slice(0, -1);
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

test("plain lines end with the last step that was made, early or not", () => {
  const { progress, text } = setUp("lines");
  progress.start(9, "grpo");
  for (const step of [1, 2, 3]) progress.step(row(step));
  progress.stop();
  expect(text().trimEnd().split("\n").at(-1)).toMatch(/^grpo 3\/9 /);
});

test("the rate is of the time that rows were made in, where they say it", () => {
  const { progress, text } = setUp("lines");
  progress.start(100, "grpo");
  // read at once, long after
  for (const step of [1, 2, 3, 4]) {
    progress.step({ step, metrics: { "time/elapsed_s": 10 + 2 * step } });
  }
  progress.stop();
  expect(text().trimEnd().split("\n").at(-1)).toBe("grpo 4/100  2.0 s/step  3m12s left");
});

describe("time left", () => {
  /** A stage of 100 steps of 1 s, evaluated at its start and every 10 steps for 40 s, its first step compiled for 60 s. */
  function followed() {
    const pace = createPace(() => 0);
    pace.start(100, 0, { every: 10, from: 0 });
    pace.evaluated();
    let elapsed = 40;
    const wrong: number[] = [];
    const rows = Array.from({ length: 100 }, (_, i) => {
      const compile = i === 0 ? 60 : 0;
      const look = (i + 1) % 10 === 0 ? 40 : null;
      elapsed += 1 + compile + (look ?? 0);
      return {
        "time/step_s": 1 + compile,
        "time/compile_s": compile,
        "time/eval_s": look,
        "time/elapsed_s": elapsed,
      };
    });
    for (const [i, row] of rows.entries()) {
      const { left } = pace.mark(i + 1, row);
      wrong.push(Math.abs(left! - (elapsed - row["time/elapsed_s"])));
    }
    return wrong;
  }

  test("counts steps and evaluations apart, from the first step on", () => {
    // right to a second out of 540, compiling and evaluations whatever
    expect(Math.max(...followed())).toBeLessThan(1);
  });

  test("is nothing at the end, and unknown before the first step", () => {
    const pace = createPace(() => 0);
    pace.start(1, 0);
    expect(pace.mark(1, { "time/step_s": 3, "time/elapsed_s": 3 })).toEqual({ rate: 1 / 3, left: 0 });
  });

  test("is of the last steps: a run that has become slower says so", () => {
    const pace = createPace(() => 0);
    pace.start(1000, 0);
    let elapsed = 0;
    let left = 0;
    for (let step = 1; step <= 100; step++) {
      const own = step <= 60 ? 1 : 5;
      elapsed += own;
      left = pace.mark(step, { "time/step_s": own, "time/elapsed_s": elapsed }).left!;
    }
    expect(left).toBe(900 * 5);
  });
});

describe("phases", () => {
  test("are shown beside the run's name, before it begins too, and end with a step", () => {
    const { progress, clock, written } = setUp("auto", true);
    const screen = () => onScreen(written.join(""));
    progress.phase!("loading models/lab-small");
    expect(screen()).toEqual(["loading models/lab-small"]);
    progress.start(4, "grpo");
    for (let done = 0; done <= 20; done += 4) {
      clock.now++;
      progress.phase!("evaluating", { done, total: 20 });
      expect(screen()[0]).toBe(`  grpo  evaluating ${done}/20`);
    }
    clock.now++;
    progress.step(row(1));
    expect(screen()[0]).toBe("  grpo");
    progress.stop();
  });

  test("as plain lines, a count only while it takes long", () => {
    const { progress, clock, text } = setUp("lines");
    progress.phase!("loading m");
    progress.start(4, "grpo");
    for (let done = 0; done <= 40; done++) {
      clock.now += 0.5;
      progress.phase!("evaluating", { done, total: 40 });
    }
    expect(text()).toBe("loading m\ngrpo: to step 4\nevaluating 19/40\nevaluating 39/40\n");
  });
});

describe("a run that earns nothing", () => {
  const barren = { "reward/max": 0, accuracy: 0, "completion/truncated": 0.75, "status/unparsed": 1 };
  const hints = (steps: readonly object[]) => {
    const { progress, text } = setUp("lines");
    progress.start(9, "grpo");
    for (const [i, metrics] of steps.entries()) progress.step({ step: i + 1, metrics: metrics as never });
    progress.stop();
    return text().match(/^hint: .*$/gm) ?? [];
  };

  test("is told of once, after three steps, with what can be seen of the reason", () => {
    expect(hints([barren, barren])).toEqual([]);
    expect(hints([barren, barren, barren, barren, barren, barren])).toEqual([
      expect.stringMatching(
        /no completion of 3 steps earned a reward \(75% are cut .*, 100% hold no answer .*\).*samples\.jsonl/,
      ),
    ]);
  });

  test("is not one that earns something, nor one that has no rewards", () => {
    expect(hints([barren, barren, { ...barren, "reward/max": 0.5 }, barren, barren, barren])).toEqual([]);
    expect(hints([1, 2, 3, 4].map(() => ({ "sft/loss": 1 })))).toEqual([]);
  });
});

test("names from files are shown, not obeyed", () => {
  const { progress, written } = setUp("lines");
  progress.start(4, "\u001b[2Jgrpo");
  progress.note("id \u001b]0;x\u0007");
  expect(written.join("")).toBe("\\x1b[2Jgrpo: to step 4\nid \\x1b]0;x\\x07\n");
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
  test("has a panel that is drawn again in its place; notes stay above it; nothing is written after stop", async () => {
    const { progress, clock, written } = setUp("auto", true);
    const screen = () => onScreen(written.join(""));
    progress.note("before");
    progress.start(4, "grpo");
    clock.now = 1;
    progress.step(row(1));
    clock.now = 2;
    progress.step(row(2));
    progress.note("checkpoint written");
    progress.evaluation!(2, { accuracy: 0.625, accuracy_low: 0.5, accuracy_high: 0.75 });
    clock.now = 4;
    progress.step(row(4));
    progress.stop();
    expect(screen()).toEqual([
      "before",
      "checkpoint written",
      "  grpo",
      `${"=".repeat(60)}  4/4  1.0 steps/s  done`,
      "reward       0.400  _.^                 accuracy     50.0%  ---                 tokens/s     1,234",
      "held-out     62.5% [50.0%, 75.0%] at step 2",
      "alarms   -",
    ]);
    const { length } = written;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(written).toHaveLength(length);
  });

  test("draws ten times a second at most, and the last step always", () => {
    const { progress, clock, written } = setUp("auto", true);
    progress.start(100, "grpo");
    const { length } = written;
    for (let step = 1; step <= 100; step++) {
      clock.now += 0.01;
      progress.step(row(step));
    }
    expect(written.length - length).toBeLessThanOrEqual(12);
    expect(onScreen(written.join("")).join("\n")).toContain("100/100");
  });

  test("steps that a resumed run makes again replace the ones that were lost", () => {
    const { progress, written } = setUp("auto", true);
    progress.evaluation!(0, { accuracy: 0.5 });
    const show = (from: number, values: readonly number[]) => {
      progress.start(9, "grpo", from);
      for (const [i, value] of values.entries()) {
        progress.step({ step: from + i + 1, metrics: { "reward/mean": value } });
      }
      progress.stop();
    };
    show(0, [0, 1, 1, 1]);
    show(2, [0.5]);
    expect(onScreen(written.join("")).slice(-4)).toEqual([
      expect.stringContaining("3/9"),
      "reward       0.500  _^-",
      // an evaluation before the first step is not forgotten
      "held-out     50.0% at step 0",
      "alarms   -",
    ]);
  });

  test("a narrower window: lines that it broke are taken away too", () => {
    const written: string[] = [];
    const stream = { write: (text: string) => written.push(text), isTTY: true, columns: 120 };
    const progress = createProgress({ stream, mode: "auto", now: () => 0 });
    progress.start(4, "grpo");
    written.length = 0;
    stream.columns = 30;
    progress.note("n");
    // the bar of 60 characters and its words takes three rows of 30 columns
    expect(written[0]!.startsWith("\r\u001b[5A\u001b[0J")).toBe(true);
  });

  test("of 0 columns is drawn as if it had 80", () => {
    const written: string[] = [];
    const stream = { write: (text: string) => written.push(text), isTTY: true, columns: 0 };
    const progress = createProgress({ stream, mode: "auto", now: () => 0 });
    progress.start(4, "grpo");
    progress.note("n");
    progress.stop();
    expect(written.join("")).not.toMatch(/Infinity|NaN/);
  });

  test("the letters of Ctrl-C are taken away", () => {
    const { progress, written } = setUp("auto", true);
    progress.start(4, "grpo");
    written.push("^C");
    progress.note("SIGINT: finishing the step", "warning");
    progress.stop();
    expect(onScreen(written.join("")).join("\n")).not.toContain("^C");
    expect(onScreen(written.join(""))[0]).toBe("SIGINT: finishing the step");
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
