/** What a run says while it goes on. Nothing here writes by itself: the sink is given. */
import cliProgress from "cli-progress";
import type { MetricValues } from "./metrics.ts";

export interface ProgressRow {
  /** Steps done since the run began. */
  step: number;
  metrics: MetricValues;
}

export interface Progress {
  /**
   * A stage begins, or goes on after a resume.
   * @param total last step of the stage, counted like `step`
   * @param done steps done before; the rate counts from here
   */
  start(total: number, stageName: string, done?: number): void;
  step(row: ProgressRow): void;
  /** A line of its own. A warning is shown even when quiet. */
  note(text: string, level?: "info" | "warning"): void;
  /** The stage is over; what was shown last stays on the screen. */
  stop(): void;
}

/** Where text goes: process.stderr, or a list of strings in a test. */
export interface ProgressStream {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

export interface ProgressOptions {
  stream: ProgressStream;
  /** "auto": a bar on a terminal, plain lines elsewhere. */
  mode?: "auto" | "lines" | "json" | "quiet";
  /** Seconds that lie between two plain lines at least; the last step always has one. Default 2. */
  interval?: number;
  /** Seconds; for tests. */
  now?: () => number;
}

/** 75 -> "1m15s", 7500 -> "2h05m". @param seconds >= 0 */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  const whole = Math.round(seconds);
  const two = (value: number): string => String(value).padStart(2, "0");
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  return `${Math.floor(whole / 3600)}h${two(Math.floor((whole % 3600) / 60))}m`;
}

/** Steps per second over the last steps, so that a slow first step (compilation) is forgotten. */
function createRate(now: () => number) {
  const window = 20;
  let marks: { step: number; time: number }[] = [];
  return {
    start(step: number) {
      marks = [{ step, time: now() }];
    },
    /** @returns steps/s, 0 while unknown */
    mark(step: number): number {
      marks.push({ step, time: now() });
      // the first mark ends before the first step, which is the slow one
      if (marks.length > window || marks.length === 3) marks.shift();
      const first = marks[0]!;
      const last = marks.at(-1)!;
      return last.time > first.time ? (last.step - first.step) / (last.time - first.time) : 0;
    },
  };
}

/** Metrics worth a glance, in this order, those that the stage has. */
const glances: readonly { metric: string; label: string; format: (value: number) => string }[] = [
  { metric: "reward/mean", label: "reward", format: (value) => value.toFixed(3) },
  { metric: "accuracy", label: "accuracy", format: (value) => `${(value * 100).toFixed(1)}%` },
  { metric: "sft/loss", label: "loss", format: (value) => value.toFixed(4) },
  { metric: "tokens/completion_mean", label: "length", format: (value) => value.toFixed(1) },
  { metric: "time/tokens_per_s", label: "tokens/s", format: (value) => value.toFixed(0) },
];

/** "reward 0.512  accuracy 61.0%  tokens/s 5120" */
export function summarise(metrics: MetricValues): string {
  return glances
    .flatMap(({ metric, label, format }) => {
      const value = metrics[metric];
      return typeof value === "number" ? [`${label} ${format(value)}`] : [];
    })
    .join("  ");
}

function formatRate(rate: number): string {
  if (rate === 0) return "";
  return rate >= 1 ? `${rate.toFixed(1)} steps/s` : `${(1 / rate).toFixed(1)} s/step`;
}

export function createProgress(options: ProgressOptions): Progress {
  const mode = options.mode ?? "auto";
  switch (mode) {
    case "quiet":
      return quietProgress(options.stream);
    case "json":
      return jsonProgress(options.stream);
    case "lines":
      return lineProgress(options);
    case "auto":
      return options.stream.isTTY === true ? barProgress(options) : lineProgress(options);
    default: {
      const unreachable: never = mode;
      throw new Error(`unknown progress mode ${String(unreachable)}`);
    }
  }
}

function quietProgress(stream: ProgressStream): Progress {
  return {
    start: () => {},
    step: () => {},
    note: (text, level = "info") => {
      if (level === "warning") stream.write(`${text}\n`);
    },
    stop: () => {},
  };
}

function jsonProgress(stream: ProgressStream): Progress {
  let stage = "";
  let total = 0;
  const line = (event: string, rest: object): void => {
    stream.write(`${JSON.stringify({ event, stage, ...rest })}\n`);
  };
  return {
    start(last, name, done = 0) {
      stage = name;
      total = last;
      line("start", { step: done, total });
    },
    step: ({ step, metrics }) => line("step", { step, total, metrics }),
    note: (text, level = "info") => line("note", { level, text }),
    stop: () => line("stop", {}),
  };
}

function lineProgress({ stream, interval = 2, now = seconds }: ProgressOptions): Progress {
  const rate = createRate(now);
  let stage = "";
  let total = 0;
  let lastLine = Number.NEGATIVE_INFINITY;
  return {
    start(last, name, done = 0) {
      stage = name;
      total = last;
      lastLine = Number.NEGATIVE_INFINITY;
      rate.start(done);
      stream.write(`${stage}: ${done === 0 ? "" : `from step ${done}, `}to step ${total}\n`);
    },
    step({ step, metrics }) {
      const speed = rate.mark(step);
      if (now() - lastLine < interval && step < total) return;
      lastLine = now();
      const left = speed === 0 ? "" : `${formatDuration((total - step) / speed)} left`;
      const parts = [`${stage} ${step}/${total}`, summarise(metrics), formatRate(speed), left];
      stream.write(`${parts.filter((part) => part !== "").join("  ")}\n`);
    },
    note: (text) => void stream.write(`${text}\n`),
    stop: () => {},
  };
}

function barProgress({ stream, now = seconds }: ProgressOptions): Progress {
  const rate = createRate(now);
  let bars: cliProgress.MultiBar | undefined;
  let bar: cliProgress.SingleBar | undefined;
  let total = 0;
  let lastDraw = Number.NEGATIVE_INFINITY;
  const stop = (): void => {
    bars?.stop();
    bars = undefined;
    bar = undefined;
  };
  return {
    start(last, stage, done = 0) {
      stop();
      total = last;
      rate.start(done);
      bars = new cliProgress.MultiBar(
        {
          format: `${stage} [{bar}] {value}/{total}  {summary}{rate}{left}`,
          stream: stream as NodeJS.WritableStream,
          barsize: (stream.columns ?? 80) < 100 ? 12 : 24,
          barCompleteChar: "=",
          barIncompleteChar: " ",
          hideCursor: false,
          linewrap: false,
          // its own signal handler would let the first Ctrl-C pass and keep the second from working
          gracefulExit: false,
          fps: 5,
        },
        cliProgress.Presets.legacy,
      );
      bar = bars.create(total, done, { summary: "", rate: "", left: "" });
      bars.update();
    },
    step({ step, metrics }) {
      const speed = rate.mark(step);
      const summary = summarise(metrics);
      bar?.update(step, {
        summary: summary === "" ? "" : `${summary}  `,
        rate: speed === 0 ? "" : `${formatRate(speed)}  `,
        left: speed === 0 ? "" : `${formatDuration((total - step) / speed)} left`,
      });
      // computing keeps timers from firing, so draw from here
      if (now() - lastDraw >= 0.1 || step >= total) {
        lastDraw = now();
        bars?.update();
      }
    },
    note(text) {
      if (bars === undefined) {
        stream.write(`${text}\n`);
        return;
      }
      bars.log(`${text}\n`);
      bars.update();
    },
    stop,
  };
}

const seconds = (): number => performance.now() / 1000;
