/** What a training algorithm is given, and the housekeeping around its steps. */

import { ConfigError } from "../lib/errors.ts";
import { mean } from "../lib/math.ts";
import { peakMemory } from "../lib/peak-memory.ts";
import type { AdamW } from "../optim/adamw.ts";
import type { TrainablePolicy } from "../policy/interfaces.ts";
import {
  type AlarmHistory,
  alarmColumn,
  alarmsFor,
  raised,
  withEvaluation,
  withStep,
} from "../run/alarms.ts";
import type { EvaluationPromptRow, EvaluationRow, RunLogs } from "../run/logs.ts";
import type { MetricValues } from "../run/metrics.ts";
import type { Progress } from "../run/progress.ts";
import type { PromptSource, RewardInput, RewardPartResult, RewardStatus, Tokenizer } from "../types.ts";
import type { Evaluation } from "./evaluate.ts";

export interface Score {
  reward: number;
  status: RewardStatus;
  parts: Readonly<Record<string, RewardPartResult>>;
  correct: boolean;
  thinks: boolean | null;
}

/** Rewards of a batch, one score per input, in order. */
export type Scorer = (inputs: readonly RewardInput[]) => Promise<readonly Score[]>;

export interface Stage {
  name: string;
  seed: number;
  /** Steps of this stage. */
  steps: number;
  /** Steps of the run before this stage: logs and checkpoints count from the run's beginning. */
  offset: number;
  /** Steps of this stage that are done already (resume). */
  stepsDone: number;
  policy: TrainablePolicy;
  tokenizer: Tokenizer;
  train: PromptSource;
  score: Scorer;
  /** Evaluates the policy; null without evaluation data. */
  evaluate: ((step: number) => Promise<Evaluation>) | null;
  evalEvery: number;
  /** Evaluate before the first step. */
  evaluateFirst: boolean;
  /** Ends the stage early: the mean of a metric over `window` steps reaches a bound. */
  until: Until | null;
  /** Ends the stage early, as `until` would: for callers that want its first steps only. */
  endsEarly?: (stepsDone: number) => boolean;
  /** Completions without a gradient take part in updates too: for plans, which want to know what these would cost. */
  everyRow?: boolean;
  /** The metric's last values, oldest first; part of a checkpoint. Changed in place. */
  watched: number[];
  /** What alarms look at; part of a checkpoint. Its history is replaced at every step. null: no alarms. */
  alarms: { history: AlarmHistory } | null;
  optimizer: AdamW;
  logs: RunLogs;
  progress: Progress;
  /** Writes a checkpoint after `stepsDone` steps of the stage. @param ended the stage is over */
  checkpoint: (stepsDone: number, ended: boolean, evaluation: Evaluation | null) => Promise<void>;
  checkpointEvery: number;
  /** Lets signals through; true when the run should stop after a checkpoint. */
  interrupted: () => Promise<boolean>;
  /** Seconds, for time columns only. */
  clock: () => number;
}

export interface Until {
  metric: string;
  above?: number | undefined;
  below?: number | undefined;
  window: number;
}

export type StageOutcome = "finished" | "interrupted";

export interface StageResult {
  outcome: StageOutcome;
  stepsDone: number;
}

/** Columns that the loop itself fills in. */
export const LOOP_METRICS = [
  "optim/lr",
  "optim/grad_norm",
  "optim/clipped",
  "optim/updates",
  "memory/tensors",
  "time/step_s",
  "time/eval_s",
  "time/elapsed_s",
  "time/peak_rss_mb",
] as const;

/**
 * Runs the steps of a stage: evaluation at the start, every `evalEvery` steps and at the end; a row of
 * metrics a step; checkpoints; Ctrl-C.
 * @param columns metrics that `step` returns
 * @param step makes one training step (0-based) and returns its metrics
 */
export async function runSteps(
  stage: Stage,
  columns: readonly string[],
  step: (index: number) => Promise<MetricValues>,
): Promise<StageResult> {
  const { logs, progress, clock, offset } = stage;
  const possible = stage.alarms === null ? [] : alarmsFor(columns);
  const alarmColumns =
    possible.length === 0 ? [] : ["alarms", ...possible.map(({ name }) => alarmColumn(name))];
  const compiles = stage.policy.compilation() !== null;
  const compileColumns = compiles ? ["time/compile_s", "time/programs"] : [];
  const all = [...columns, ...alarmColumns, ...LOOP_METRICS, ...compileColumns];
  if (stage.until !== null && !all.includes(stage.until.metric)) {
    throw new ConfigError(
      `stage ${stage.name} ends by ${stage.until.metric}, which it does not measure; it has ${all.join(", ")}`,
    );
  }
  logs.startStage(stage.name, all);
  const evaluations = stage.evaluate === null ? null : { every: stage.evalEvery, from: offset };
  progress.start(offset + stage.steps, stage.name, offset + stage.stepsDone, evaluations);
  const began = clock();
  try {
    if (stage.stepsDone === 0 && stage.evaluateFirst && stage.evaluate !== null) {
      const evaluation = await stage.evaluate(offset);
      report(stage, offset, evaluation);
      if (stage.alarms !== null) {
        const { history } = stage.alarms;
        const evaluations = withEvaluation(history.evaluations, evaluation.rows);
        stage.alarms.history = { ...history, evaluations };
      }
    }
    let compiled = stage.policy.compilation()?.seconds ?? 0;
    for (let index = stage.stepsDone; index < stage.steps; index++) {
      if (index === stage.stepsDone && compiles) progress.phase?.("compiling the first step");
      const before = clock();
      const metrics = await step(index);
      const after = clock();
      const done = index + 1;
      const ended = done === stage.steps || reached(stage, metrics) || stage.endsEarly?.(done) === true;
      const due = stage.evaluate !== null && (ended || (stage.evalEvery > 0 && done % stage.evalEvery === 0));
      const evaluation = due ? await stage.evaluate!(offset + done) : null;
      if (evaluation !== null) report(stage, offset + done, evaluation);
      const row = {
        ...metrics,
        ...raiseAlarms(stage, possible, offset + done, metrics, evaluation),
        "time/step_s": after - before,
        "time/eval_s": evaluation === null ? null : clock() - after,
        "time/elapsed_s": clock() - began,
        "time/peak_rss_mb": peakMemory() / 2 ** 20,
        ...compileMetrics(stage, compiled),
      };
      compiled = stage.policy.compilation()?.seconds ?? 0;
      logs.metrics(offset + done, row);
      progress.step({ step: offset + done, metrics: row });
      const stop = !ended && (await stage.interrupted());
      if (ended || stop || done % stage.checkpointEvery === 0)
        await stage.checkpoint(done, ended, evaluation);
      if (ended || stop) return { outcome: stop ? "interrupted" : "finished", stepsDone: done };
    }
    return { outcome: "finished", stepsDone: stage.steps };
  } finally {
    progress.stop();
  }
}

function compileMetrics({ policy }: Stage, before: number): MetricValues {
  const now = policy.compilation();
  return now === null ? {} : { "time/compile_s": now.seconds - before, "time/programs": now.programs };
}

/** Takes the step into the history, and says which alarms are new. @returns the alarms' columns */
function raiseAlarms(
  { alarms: state, progress }: Stage,
  possible: ReturnType<typeof alarmsFor>,
  step: number,
  metrics: MetricValues,
  evaluation: Evaluation | null,
): MetricValues {
  if (state === null) return {};
  const history = withStep(state.history, metrics, evaluation?.rows ?? null);
  const now = raised(history, possible);
  for (const { name, message } of now) {
    if (!history.active.includes(name)) progress.note(`step ${step}: alarm ${name}: ${message}`, "warning");
  }
  const active = now.map(({ name }) => name);
  state.history = { ...history, active };
  if (possible.length === 0) return {};
  return {
    alarms: active.length,
    ...Object.fromEntries(possible.map(({ name }) => [alarmColumn(name), active.includes(name) ? 1 : 0])),
  };
}

/** Has the mean of the watched metric reached its bound? Adds the step's value to what is watched. */
function reached({ until, watched }: Stage, metrics: MetricValues): boolean {
  if (until === null) return false;
  const value = metrics[until.metric];
  if (typeof value === "number") watched.push(value);
  watched.splice(0, watched.length - until.window);
  if (watched.length < until.window) return false;
  const average = mean(watched);
  return until.above === undefined ? average <= until.below! : average >= until.above;
}

function report(stage: Stage, step: number, evaluation: Evaluation): void {
  stage.logs.evaluation(evaluation.rows.map((row) => ({ ...row, step, stage: stage.name }) as EvaluationRow));
  stage.logs.evaluationPrompts(promptRows(evaluation, step, stage.name));
  stage.progress.evaluation?.(step, evaluation.metrics);
  stage.progress.note(`step ${step}: ${evaluation.summary}`);
}

/** What each prompt got, for eval-prompts.csv. */
export function promptRows(
  { rows, prompts }: Evaluation,
  step: number,
  stage: string,
): EvaluationPromptRow[] {
  return prompts.map(({ prompt, completions }) => {
    const modes = completions.flatMap(({ thinks }) => (thinks === null ? [] : [thinks]));
    return {
      step,
      stage,
      dataset: String(rows[0]!.dataset),
      prompt_id: prompt.id,
      slices: Object.entries(prompt.slices)
        .map(([key, value]) => `${key}=${value}`)
        .join(";"),
      completions: completions.length,
      correct: completions.filter(({ score }) => score.correct).length,
      thinking: modes.length === 0 ? null : modes.filter(Boolean).length,
      tokens_mean: mean(completions.map(({ completion }) => completion.tokens.length)),
      reward_mean: mean(completions.map(({ score }) => score.reward)),
    };
  });
}
