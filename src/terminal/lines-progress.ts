/** What a run says while it goes on. Nothing here writes by itself: the sink is given. */
import type { MetricValues } from "../metrics/define.ts";
import { formatMetric, labelOf, lineMetrics } from "../metrics/table.ts";
import type { Progress } from "../run/progress.ts";
import { forPeople } from "./for-people.ts";
import { createPace, seconds } from "./pace.ts";
import { formatDuration, type PanelStyle } from "./panel.ts";
import { panelProgress } from "./panel-progress.ts";
import { asciiControls } from "./visible.ts";

/** Where text goes: process.stderr, or a list of strings in a test. */
export interface ProgressStream {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

export interface ProgressOptions {
  stream: ProgressStream;
  /** "auto": a panel on a terminal, plain lines elsewhere. */
  mode?: "auto" | "lines" | "json" | "quiet";
  /** Seconds that lie between two plain lines at least; the last step always has one. Default 2. */
  interval?: number;
  /** Seconds; for tests. */
  now?: () => number;
  /** What the panel shows above: the run's name, and its stages in order. */
  title?: string;
  stages?: readonly string[];
  style?: PanelStyle;
  /** The terminal shows block characters. */
  unicode?: boolean;
}

/** "reward 0.512  accuracy 61.0%  tokens/s 5120" */
export function summarise(metrics: MetricValues): string {
  return lineMetrics
    .flatMap((metric) => {
      const value = metrics[metric.name];
      return typeof value === "number" ? [`${labelOf(metric)} ${formatMetric(metric, value)}`] : [];
    })
    .join("  ");
}

/** "2.5 steps/s", "3.0 s/step", or nothing. */
export function formatRate(rate: number): string {
  if (rate === 0) return "";
  return rate >= 1 ? `${rate.toFixed(1)} steps/s` : `${(1 / rate).toFixed(1)} s/step`;
}

export function createProgress(options: ProgressOptions): Progress {
  const mode = options.mode ?? "auto";
  return mode === "json" ? jsonProgress(options.stream) : forPeople(shownProgress(options, mode));
}

function shownProgress(
  options: ProgressOptions,
  mode: Exclude<ProgressOptions["mode"], "json" | undefined>,
): Progress {
  switch (mode) {
    case "quiet":
      return quietProgress(options.stream);
    case "lines":
      return lineProgress(options);
    case "auto":
      return options.stream.isTTY === true ? panelProgress(options) : lineProgress(options);
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
    stream.write(`${asciiControls(JSON.stringify({ event, stage, ...rest }))}\n`);
  };
  return {
    start(last, name, done = 0) {
      stage = name;
      total = last;
      line("start", { step: done, total });
    },
    step: ({ step, metrics }) => line("step", { step, total, metrics }),
    evaluation: (step, metrics) => line("evaluation", { step, metrics }),
    run: (directory) => line("run", { run: directory }),
    phase: (text, part) => line("phase", { phase: text, ...part }),
    note: (text, level = "info") => line("note", { level, text }),
    stop: () => line("stop", {}),
  };
}

/** Seconds between two lines about a phase that counts. */
const PHASE_APART = 10;

function lineProgress({ stream, interval = 2, now = seconds }: ProgressOptions): Progress {
  const pace = createPace(now);
  let stage = "";
  let total = 0;
  let lastLine = Number.NEGATIVE_INFINITY;
  let phaseLine = now();
  /** The newest step's line, where it is not written yet. */
  let waiting = "";
  const write = (): void => {
    if (waiting !== "") stream.write(waiting);
    waiting = "";
  };
  return {
    start(last, name, done = 0, evaluations = null) {
      stage = name;
      total = last;
      lastLine = Number.NEGATIVE_INFINITY;
      pace.start(last, done, evaluations);
      stream.write(`${stage}: ${done === 0 ? "" : `from step ${done}, `}to step ${total}\n`);
    },
    step({ step, metrics }) {
      const { rate, left } = pace.mark(step, metrics);
      const timeLeft = left === null || rate === 0 ? "" : `${formatDuration(left)} left`;
      const fields = [`${stage} ${step}/${total}`, summarise(metrics), formatRate(rate), timeLeft];
      waiting = `${fields.filter((part) => part !== "").join("  ")}\n`;
      phaseLine = now();
      if (now() - lastLine < interval && step < total) return;
      lastLine = now();
      write();
    },
    evaluation: () => pace.evaluated(),
    phase(text, part) {
      if (text === "") return;
      // a count says something only while it takes long
      if (part !== undefined && now() - phaseLine < PHASE_APART) return;
      phaseLine = now();
      stream.write(`${phaseWords(text, part)}\n`);
    },
    note: (text) => void stream.write(`${text}\n`),
    stop: write,
  };
}

/** "evaluating 12/20" */
export function phaseWords(text: string, part?: { done: number; total: number }): string {
  return part === undefined ? text : `${text} ${part.done}/${part.total}`;
}
