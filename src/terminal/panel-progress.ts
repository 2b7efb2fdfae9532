/** The panel of a running training, drawn again in its place. */
import type { MetricValues } from "../metrics/define.ts";
import type { Progress } from "../run/progress.ts";
import { columnsOf, visibleWidth, wrapText } from "./layout.ts";
import { type ProgressOptions, phaseWords } from "./lines-progress.ts";
import { createPace, seconds } from "./pace.ts";
import { courses, type PanelState, plainStyle, renderPanel, renderTitle } from "./panel.ts";

/** Draws are this many seconds apart at least. */
const APART = 0.1;

export function panelProgress({
  stream,
  now = seconds,
  title = "",
  stages = [],
  style = plainStyle,
  unicode = false,
}: ProgressOptions): Progress {
  const pace = createPace(now);
  /** What goes on, and what a watcher says beside it. */
  let phase = "";
  let remark = "";
  const history = new Map<string, number[]>();
  const steps: number[] = [];
  let state: PanelState | null = null;
  let shown: readonly string[] = [];
  /** Where the stage before this one ended. */
  let previous = 0;
  // a stage begins with what the one before it ended with
  let evaluation: PanelState["evaluation"] = null;
  let lastDraw = Number.NEGATIVE_INFINITY;

  /** Moves to where the panel begins and clears from there. A narrower window has broken its lines. */
  const erase = (): string => {
    const columns = columnsOf(stream, 80);
    const rows = shown.reduce((sum, line) => sum + Math.max(1, Math.ceil(visibleWidth(line) / columns)), 0);
    // Ctrl-C has left its letters at the beginning of the line
    return rows === 0 ? "\r\u001b[0J" : `\r\u001b[${rows}A\u001b[0J`;
  };
  const draw = (before = ""): void => {
    // one column is left free: a full line would wrap on some terminals
    const width = Math.max(20, columnsOf(stream, 80) - 1);
    const look = { width, unicode, style };
    const beside = [remark, phase].filter((text) => text !== "").join(", ");
    const lines =
      state !== null
        ? renderPanel({ ...state, remark: beside }, look)
        : phase === ""
          ? []
          : [renderTitle(title, phase, look)];
    // one write: nothing flickers
    stream.write(erase() + before + lines.map((line) => `${line}\n`).join(""));
    shown = lines;
    lastDraw = now();
  };
  const remember = (step: number, metrics: MetricValues): void => {
    while ((steps.at(-1) ?? 0) >= step) {
      // a resumed run makes them again
      steps.pop();
      for (const values of history.values()) values.length = Math.min(values.length, steps.length);
    }
    steps.push(step);
    for (const name of courses) {
      const value = metrics[name];
      if (typeof value !== "number" || !Number.isFinite(value)) continue;
      const values = history.get(name) ?? [];
      values.push(value);
      history.set(name, values);
    }
  };
  return {
    start(last, stage, done = 0, evaluations = null) {
      pace.start(last, done, evaluations);
      phase = "";
      state = {
        title,
        stages,
        stage,
        step: done,
        first: previous,
        last,
        rate: 0,
        left: null,
        metrics: {},
        history,
        evaluation,
        remark: "",
      };
      draw();
    },
    step({ step, metrics }) {
      if (state === null) return;
      remember(step, metrics);
      phase = "";
      state = { ...state, step, metrics, ...pace.mark(step, metrics) };
      // computing keeps timers from firing, so draw from here
      if (now() - lastDraw >= APART || step >= state.last) draw();
    },
    evaluation(step, { accuracy, accuracy_low: low, accuracy_high: high }) {
      pace.evaluated();
      if (typeof accuracy !== "number") return;
      evaluation = { step, accuracy, low: low ?? null, high: high ?? null };
      if (state === null) return;
      state = { ...state, evaluation };
      draw();
    },
    remark(text) {
      if (state === null || text === remark) return;
      remark = text;
      draw();
    },
    phase(text, part) {
      const phaseText = text === "" ? "" : phaseWords(text, part);
      const begins = part === undefined || part.done === 0 || part.done === part.total;
      if (phaseText === phase) return;
      phase = phaseText;
      if (begins || now() - lastDraw >= APART) draw();
    },
    note(text, level = "info") {
      const lines = wrapText(text, columnsOf(stream, 80)).map(
        (line) => `${level === "warning" ? style.bad(line) : line}\n`,
      );
      draw(lines.join(""));
    },
    stop() {
      phase = "";
      if (state === null) return;
      draw();
      previous = state.step;
      state = null;
      shown = [];
    },
  };
}
