/** One live line for each child run of a sweep, pipeline or reproduction; plain lines where there is no terminal. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { loadRecipe } from "../config/load.ts";
import { tailCsv } from "../run/tail.ts";
import { columnsOf, cutToWidth, padToWidth, visibleWidth } from "./layout.ts";
import { formatRate, type ProgressStream, summarise } from "./lines-progress.ts";
import { createPace, type Pace, seconds } from "./pace.ts";
import { bar, formatDuration } from "./panel.ts";
import { visible, visibleLine } from "./visible.ts";

/** What is shown of children while they run. */
export interface Children {
  /** @param runDir whose metrics.csv is followed; null for a child that makes no steps */
  begin(name: string, runDir: string | null): void;
  end(name: string): void;
  /** A line of its own, above the live ones. */
  note(text: string): void;
  /** Looks at the files and draws; called by a timer otherwise. */
  look(): void;
  close(): void;
}

export interface ChildrenOptions {
  stream: ProgressStream;
  unicode?: boolean;
  now?: () => number;
  /** Seconds between two looks; 1 on a terminal, 30 elsewhere. 0: none by itself. */
  interval?: number;
  dim?: (text: string) => string;
}

interface Child {
  name: string;
  began: number;
  read: () => { step: number; line: string };
}

const same = (text: string): string => text;

export function followChildren({
  stream,
  unicode = false,
  now = seconds,
  interval,
  dim = same,
}: ChildrenOptions): Children {
  const live = stream.isTTY === true;
  const children = new Map<string, Child>();
  let shown: readonly string[] = [];
  let timer: NodeJS.Timeout | undefined;
  const erase = (): string => {
    const columns = columnsOf(stream, 80);
    const rows = shown.reduce((sum, line) => sum + Math.max(1, Math.ceil(visibleWidth(line) / columns)), 0);
    shown = [];
    return rows === 0 ? "\r\u001b[0J" : `\r\u001b[${rows}A\u001b[0J`;
  };
  const lines = (): string[] => {
    const width = Math.max(20, columnsOf(stream, 80) - 1);
    const names = Math.min(Math.floor(width / 3), Math.max(0, ...[...children.keys()].map(visibleWidth)));
    return [...children.values()].map((child) => {
      const { line } = child.read();
      const name = padToWidth(cutToWidth(child.name, names, unicode ? "…" : "~"), names);
      const waits = line === "" ? `starting, ${formatDuration(now() - child.began)}` : line;
      return cutToWidth(`${name}  ${waits}`, width, unicode ? "…" : "~");
    });
  };
  const draw = (before = ""): void => {
    const erased = erase();
    const next = lines();
    stream.write(erased + before + next.map((line) => `${line}\n`).join(""));
    shown = next;
  };
  const look = (): void => {
    if (children.size === 0) return;
    if (live) draw();
    else for (const line of lines()) stream.write(`${line.trimEnd()}\n`);
  };
  const every = interval ?? (live ? 1 : 30);
  const watch = (): void => {
    if (timer !== undefined || every === 0) return;
    timer = setInterval(look, 1000 * every);
    timer.unref();
  };
  return {
    begin(name, runDir) {
      const visibleName = visibleLine(name);
      const read = runDir === null ? () => ({ step: 0, line: "" }) : followRun(runDir, unicode, now);
      children.set(name, { name: visibleName, began: now(), read });
      watch();
      if (live) draw();
    },
    end(name) {
      children.delete(name);
      if (live) draw();
    },
    note(text) {
      const line = `${dim(visible(text))}\n`;
      if (live) draw(line);
      else stream.write(line);
    },
    look,
    close() {
      clearInterval(timer);
      children.clear();
      if (live && shown.length > 0) stream.write(erase());
    },
  };
}

/** Reads what a run has written since the last call. */
function followRun(
  runDir: string,
  unicode: boolean,
  now: () => number,
): () => { step: number; line: string } {
  const metrics = tailCsv(join(runDir, "metrics.csv"));
  const pace = createPace(now);
  let stages: { name: string; steps: number; every: number | null }[] = [];
  let stage: string | null = null;
  let from = 0;
  let step = 0;
  let speed: Pace = { rate: 0, left: null };
  let words = "";
  return () => {
    if (stages.length === 0) stages = plannedStages(runDir);
    for (const row of metrics.read().rows) {
      const next = Number(row["step"]);
      if (row["stage"] !== stage) {
        stage = row["stage"] ?? "";
        from = stages.length === 1 ? 0 : next - 1;
        const planned = stages.find(({ name }) => name === stage);
        const every = planned?.every ?? null;
        pace.start(from + (planned?.steps ?? 0), next - 1, every === null ? null : { every, from });
      }
      step = next;
      const values = Object.fromEntries(
        Object.entries(row).flatMap(([name, cell]) =>
          cell === "" || Number.isNaN(Number(cell)) ? [] : [[name, Number(cell)]],
        ),
      );
      speed = pace.mark(step, values);
      words = summarise(values);
    }
    if (step === 0) return { step, line: "" };
    const planned = stages.find(({ name }) => name === stage)?.steps ?? 0;
    const last = from + planned;
    const [done, rest] = bar(planned === 0 ? 0 : Math.min(1, (step - from) / planned), 16, unicode);
    const where = stages.length > 1 ? `${visibleLine(stage ?? "")} ` : "";
    const left =
      step >= last
        ? "ending"
        : speed.left === null || speed.rate === 0
          ? ""
          : `${formatDuration(speed.left)} left`;
    const parts = [`${done}${rest}  ${where}${step}/${last}`, left, formatRate(speed.rate), words];
    return { step, line: parts.filter((part) => part !== "").join("  ") };
  };
}

function plannedStages(runDir: string): { name: string; steps: number; every: number | null }[] {
  const path = join(runDir, "recipe.yaml");
  if (!existsSync(path)) return [];
  try {
    return loadRecipe(path).stages.map(({ name, recipe }) => ({
      name,
      steps: recipe.steps,
      every: recipe.data.eval === undefined ? null : (recipe.eval?.every ?? null),
    }));
  } catch {
    // its own child says what is wrong with it
    return [];
  }
}
