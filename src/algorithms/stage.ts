/** What a training algorithm is given, and the housekeeping around its steps. */
import type { AdamW } from "../optim/adamw.ts";
import type { TrainablePolicy } from "../policy/interfaces.ts";
import type { EvaluationRow, RunLogs } from "../run/logs.ts";
import type { MetricValues } from "../run/metrics.ts";
import type { Progress } from "../run/progress.ts";
import type { PromptSource, RewardInput, RewardPartResult, RewardStatus, Tokenizer } from "../types.ts";
import type { Evaluation } from "./evaluate.ts";

export interface Score {
  reward: number;
  status: RewardStatus;
  parts: Readonly<Record<string, RewardPartResult>>;
  correct: boolean;
}

/** Rewards of a batch, one score per input, in order. */
export type Scorer = (inputs: readonly RewardInput[]) => Promise<readonly Score[]>;

export interface Stage {
  name: string;
  seed: number;
  /** Steps of this stage. */
  steps: number;
  /** Steps of this stage that are done already (resume). */
  stepsDone: number;
  policy: TrainablePolicy;
  tokenizer: Tokenizer;
  train: PromptSource;
  score: Scorer;
  /** Evaluates the policy; null without evaluation data. */
  evaluate: ((step: number) => Promise<Evaluation>) | null;
  evalEvery: number;
  optimizer: AdamW;
  logs: RunLogs;
  progress: Progress;
  /** Writes a checkpoint of the state after `step`. */
  checkpoint: (step: number, evaluation: Evaluation | null) => Promise<void>;
  checkpointEvery: number;
  /** Lets signals through; true when the run should stop after a checkpoint. */
  interrupted: () => Promise<boolean>;
  /** Seconds, for time columns only. */
  clock: () => number;
}

export type StageOutcome = "finished" | "interrupted";

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
): Promise<StageOutcome> {
  const { logs, progress, clock } = stage;
  logs.startStage(stage.name, [...columns, ...LOOP_METRICS]);
  progress.start(stage.steps, stage.name, stage.stepsDone);
  const began = clock();
  try {
    if (stage.stepsDone === 0 && stage.evaluate !== null) {
      report(stage, 0, await stage.evaluate(0));
    }
    for (let index = stage.stepsDone; index < stage.steps; index++) {
      const before = clock();
      const metrics = await step(index);
      const after = clock();
      const done = index + 1;
      const last = done === stage.steps;
      const due = stage.evaluate !== null && (last || (stage.evalEvery > 0 && done % stage.evalEvery === 0));
      const evaluation = due ? await stage.evaluate!(done) : null;
      if (evaluation !== null) report(stage, done, evaluation);
      const row = {
        ...metrics,
        "time/step_s": after - before,
        "time/eval_s": evaluation === null ? null : clock() - after,
        "time/elapsed_s": clock() - began,
        "time/peak_rss_mb": process.resourceUsage().maxRSS / 1024,
      };
      logs.metrics(done, row);
      progress.step({ step: done, metrics: row });
      const stop = !last && (await stage.interrupted());
      if (last || stop || done % stage.checkpointEvery === 0) await stage.checkpoint(done, evaluation);
      if (stop) return "interrupted";
    }
    return "finished";
  } finally {
    progress.stop();
  }
}

function report(stage: Stage, step: number, evaluation: Evaluation): void {
  stage.logs.evaluation(evaluation.rows.map((row) => ({ ...row, step, stage: stage.name }) as EvaluationRow));
  stage.progress.note(`step ${step}: ${evaluation.summary}`);
}
