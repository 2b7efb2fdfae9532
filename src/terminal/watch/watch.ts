/** `rlpt watch`: follows a run from its files, as its own terminal would show it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { loadRecipe } from "../../config/load.ts";
import { ConfigError } from "../../lib/errors.ts";
import type { MetricValues } from "../../metrics/define.ts";
import { latestCheckpoint } from "../../run/checkpoint.ts";
import { isFinished } from "../../run/finished.ts";
import { lockState } from "../../run/lock.ts";
import type { Progress } from "../../run/progress.ts";
import { isRunDirectory } from "../../run/run-directory.ts";
import { type TailRow, tailCsv } from "../../run/tail.ts";

export interface WatchOptions {
  /** Makes the display when the recipe is known. */
  display: (run: { title: string; stages: string[] }) => Progress;
  /** Resolves after the interval, or at once when the user has had enough. */
  wait: () => Promise<"go on" | "stop">;
  /** Show what is there and stop. */
  once?: boolean;
}

/** What became of the run. */
export type WatchEnd = "finished" | "stopped watching";

interface PlannedStage {
  name: string;
  steps: number;
  /** null: the stage evaluates nothing. */
  evalEvery: number | null;
}

/** @throws ConfigError where there is no run */
export async function watchRun(runDir: string, options: WatchOptions): Promise<WatchEnd> {
  if (!isRunDirectory(runDir)) {
    throw new ConfigError(`${runDir}: is not a run directory (no recipe.yaml); rlpt runs ls lists them`);
  }
  const { stages, recipe } = loadRecipe(join(runDir, "recipe.yaml"));
  const planned = stages.map(
    (stage): PlannedStage => ({
      name: stage.name,
      steps: stage.recipe.steps,
      evalEvery: stage.recipe.data.eval === undefined ? null : (stage.recipe.eval?.every ?? null),
    }),
  );
  const progress = options.display({
    title: recipe.run.name ?? "run",
    stages: planned.map(({ name }) => name),
  });
  const follower = createFollower(planned, progress);
  const metrics = tailCsv(join(runDir, "metrics.csv"));
  const evaluations = tailCsv(join(runDir, "eval.csv"));
  let idle = false;
  try {
    for (;;) {
      // looked at first: what a run writes last is read after it let go
      const state = existsSync(runDir) ? lockState(runDir) : "free";
      follower.evaluations(evaluations.read());
      follower.metrics(metrics.read());
      follower.showEvaluations();
      if (state !== "held" && (await isOver(runDir, planned))) return "finished";
      if (options.once) return "stopped watching";
      if (state !== "held" && !idle) {
        progress.note(
          `${state === "free" ? "nobody writes this run" : "the process that wrote this run is gone"}; waiting for rlpt train --resume`,
        );
      }
      idle = state !== "held";
      progress.remark?.(idle ? "waiting" : "");
      if ((await options.wait()) === "stop") return "stopped watching";
    }
  } finally {
    progress.stop();
  }
}

type Read = ReturnType<ReturnType<typeof tailCsv>["read"]>;

/** Rows to progress, whatever order a resume brings them in. */
function createFollower(planned: readonly PlannedStage[], progress: Progress) {
  let stage: string | null = null;
  let last = 0;
  let lastEvaluation = -1;
  let waiting: { step: number; values: Record<string, number> }[] = [];
  /** A run writes an evaluation before the row of its step. */
  const showEvaluations = (until = Number.POSITIVE_INFINITY): void => {
    for (const { step, values } of waiting.filter((one) => one.step <= until)) {
      progress.evaluation?.(step, values);
      progress.note(
        `step ${step}: accuracy ${percent(values["accuracy"])} [${percent(values["accuracy_low"])}, ${percent(values["accuracy_high"])}], ${values["tokens_mean"]?.toFixed(1) ?? "?"} tokens`,
      );
    }
    waiting = waiting.filter((one) => one.step > until);
  };
  return {
    showEvaluations: () => showEvaluations(),
    metrics({ rows, restarted }: Read): void {
      const end = Number(rows.at(-1)?.["step"] ?? last);
      if (restarted && end < last) {
        progress.note(`the run goes on from step ${end}`);
        last = end;
        stage = null;
      }
      for (const row of rows) {
        const step = Number(row["step"]);
        // after a restart, what was shown already
        if (step <= last && restarted) continue;
        if (row["stage"] !== stage) {
          if (stage !== null) progress.stop();
          stage = row["stage"] ?? "";
          progress.start(
            stageEnd(planned, stage, step),
            stage,
            step - 1,
            evaluationsOf(planned, stage, step),
          );
        }
        last = step;
        showEvaluations(step);
        progress.step({ step, metrics: numbers(row) });
      }
    },
    evaluations({ rows, restarted }: Read): void {
      const end = Number(rows.at(-1)?.["step"] ?? lastEvaluation);
      if (restarted && end < lastEvaluation) lastEvaluation = end;
      for (const row of rows) {
        const step = Number(row["step"]);
        if (row["slice"] !== "all" || step <= lastEvaluation) continue;
        lastEvaluation = step;
        waiting.push({ step, values: numbers(row) as Record<string, number> });
      }
    },
  };
}

/** Last step of a stage that has begun by `step`: earlier stages may have ended early. */
function stageEnd(planned: readonly PlannedStage[], stage: string, step: number): number {
  const steps = planned.find(({ name }) => name === stage)?.steps ?? 0;
  return planned.length === 1 ? steps : step - 1 + steps;
}

/** When a stage that has begun by `step` evaluates. */
function evaluationsOf(planned: readonly PlannedStage[], stage: string, step: number) {
  const every = planned.find(({ name }) => name === stage)?.evalEvery ?? null;
  return every === null ? null : { every, from: planned.length === 1 ? 0 : step - 1 };
}

async function isOver(runDir: string, planned: readonly PlannedStage[]): Promise<boolean> {
  const checkpoint = await latestCheckpoint(runDir).catch(() => null);
  if (checkpoint === null) return false;
  return isFinished(
    checkpoint.state,
    planned.map(({ steps }) => steps),
  );
}

function numbers(row: TailRow): MetricValues {
  return Object.fromEntries(
    Object.entries(row).flatMap(([name, cell]) =>
      cell === "" || Number.isNaN(Number(cell)) || name === "step" ? [] : [[name, Number(cell)]],
    ),
  );
}

const percent = (value: number | undefined): string =>
  value === undefined ? "?" : `${(100 * value).toFixed(1)}%`;
