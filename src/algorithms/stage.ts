/** What a training algorithm is given, and the housekeeping around its steps. */

import { ConfigError } from "../lib/errors.ts";
import { mean } from "../lib/math.ts";
import { peakMemory } from "../lib/peak-memory.ts";
import { sampledCount } from "../lib/sampled.ts";
import { columnsOf, type MetricValues, type Setting, valuesOf } from "../metrics/define.ts";
import type { LoopFacts } from "../metrics/facts.ts";
import { alarmMetrics, loopMetrics } from "../metrics/loop.ts";
import { optimizerMetrics } from "../metrics/update.ts";
import type { AdamW } from "../optim/adamw.ts";
import type { OptimizerOptions } from "../optim/options.ts";
import type { TrainablePolicy, Trainee } from "../policy/interfaces.ts";
import type { ShapingSpec } from "../rewards/shaping-options.ts";
import type { EpisodeOptions } from "../rollouts/episodes.ts";
import type { RolloutOptions } from "../rollouts/options.ts";
import { type AlarmHistory, withEvaluation, withStep } from "../run/alarm-history.ts";
import { alarmsFor, type RaisedAlarm, raised } from "../run/alarms.ts";
import type { EvaluationPromptRow, EvaluationRow, RunLogs } from "../run/logs.ts";
import type { Progress } from "../run/progress.ts";
import type { SamplerOptions } from "../samplers/options.ts";
import type { Cell, PromptSource, RewardInput, RewardPartResult, RewardStatus, Tokenizer } from "../types.ts";
import { type Evaluation, votedAnswer } from "./evaluate.ts";
import type { LossProbe } from "./loss-probe.ts";
import type { Slots } from "./slots.ts";

export interface Score {
  reward: number;
  status: RewardStatus;
  parts: Readonly<Record<string, RewardPartResult>>;
  correct: boolean;
  thinks: boolean | null;
}

/** Rewards of a batch, one score per input, in order. */
export type Scorer = (inputs: readonly RewardInput[]) => Promise<readonly Score[]>;

/** What a stage is, from its recipe; nothing of it changes while it runs. */
export interface StageSettings<Options = unknown> {
  name: string;
  seed: number;
  /** Steps of this stage. */
  steps: number;
  /** Steps of the run before this stage: logs and checkpoints count from the run's beginning. */
  offset: number;
  algorithm: Options;
  rollout: RolloutOptions;
  optimizer: OptimizerOptions;
  sampler: SamplerOptions;
  shaping: readonly ShapingSpec[];
  /** Names of the reward parts. */
  partNames: readonly string[];
  /** Their weights in a completion's reward, in the same order. */
  partWeights: readonly number[];
  /** Longest prompt, tokens. */
  maxPromptTokens: number;
  /** Steps between evaluations; 0: only at the beginning and the end. */
  evalEvery: number;
  /** Evaluate before the first step. */
  evaluateFirst: boolean;
  /** Ends the stage early: the mean of a metric over `window` steps reaches a bound. */
  until: Until | null;
  checkpointEvery: number;
  /** Names of the alarms that end the run when they begin. */
  stopOn: readonly string[];
  /** Prompts of a step whose completions go to samples.jsonl; 0 writes none. */
  samplesPrompts: number;
  samplesEvery: number;
  /** Completions without a gradient take part in updates too: for plans, which want to know what these would cost. */
  everyRow: boolean;
  /** How turns of an episode share its reward; null where completions are no episodes. */
  credit?: { kind: "outcome" | "turn-discount"; gamma: number } | null;
  /** Names of the reward parts that are the environment's own reward. */
  environmentParts?: readonly string[];
}

/** What a stage asks for while it runs. */
export interface StageServices {
  logs: RunLogs;
  progress: Progress;
  /** Seconds, for time columns only. */
  clock: () => number;
  /** Evaluates the policy; null without evaluation data. */
  evaluate: ((step: number) => Promise<Evaluation>) | null;
  /** Writes a checkpoint after `stepsDone` steps of the stage. @param ended the stage is over */
  checkpoint: (stepsDone: number, ended: boolean, evaluation: Evaluation | null) => Promise<void>;
  /** Lets signals through; true when the run should stop after a checkpoint. */
  interrupted: () => Promise<boolean>;
  /**
   * An optimizer for what an algorithm trains besides the policy; saved and disposed with the stage.
   * @param name of its moments in the state
   */
  newOptimizer: (trainee: Trainee, name: string) => AdamW;
  /** Shown what other policy losses would make of each update: for replays. */
  probe?: LossProbe;
  /** Ends the stage early, as `until` would: for callers that want its first steps only. */
  endsEarly?: (stepsDone: number) => boolean;
}

/** What changes while a stage runs, besides the weights; all of it is part of a checkpoint. */
export interface StageState {
  /** Steps of this stage that are done already (resume). */
  stepsDone: number;
  slots: Slots;
  /** What alarms look at; replaced at every step. null: no alarms. */
  alarms: Cell<AlarmHistory> | null;
}

/** What an algorithm is given. */
export interface Stage<Options = unknown> {
  settings: StageSettings<Options>;
  services: StageServices;
  state: StageState;
  policy: TrainablePolicy;
  optimizer: AdamW;
  tokenizer: Tokenizer;
  train: PromptSource;
  score: Scorer;
  /** Where completions are episodes of an environment. */
  episodes?: EpisodeOptions | null;
}

export interface Until {
  metric: string;
  above?: number | undefined;
  below?: number | undefined;
  window: number;
}

export type StageOutcome = "finished" | "interrupted" | "alarm";

export interface StageResult {
  outcome: StageOutcome;
  stepsDone: number;
  /** Of `stopOn`, those that began with the last step. */
  begun: readonly RaisedAlarm[];
}

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
  const { settings, state } = stage;
  const { evaluate, logs, progress, clock } = stage.services;
  const { name, steps, offset, until, evalEvery } = settings;
  const possible = state.alarms === null ? [] : alarmsFor(columns);
  const setting: Setting = {
    size: null,
    parts: [],
    slices: [],
    alarms: possible.map(({ name }) => name),
    measures: new Set([
      ...(possible.length > 0 ? (["alarms"] as const) : []),
      ...(stage.policy.compilation() !== null ? (["compile"] as const) : []),
    ]),
  };
  const all = [
    ...columns,
    ...columnsOf(alarmMetrics, setting),
    ...columnsOf(optimizerMetrics, setting),
    ...columnsOf(loopMetrics, setting),
  ];
  if (until !== null && !all.includes(until.metric)) {
    throw new ConfigError(
      `stage ${name} ends by ${until.metric}, which it does not measure; it has ${all.join(", ")}`,
    );
  }
  // the metric's last values, oldest first
  const watched = state.slots.cell<number[]>("until", []);
  logs.startStage(name, all);
  const evaluations = evaluate === null ? null : { every: evalEvery, from: offset };
  progress.start(offset + steps, name, offset + state.stepsDone, evaluations);
  const began = clock();
  try {
    if (state.stepsDone === 0 && settings.evaluateFirst && evaluate !== null) {
      const evaluation = await evaluate(offset);
      report(stage, offset, evaluation);
      if (state.alarms !== null) {
        const history = state.alarms.value;
        const evaluations = withEvaluation(history.evaluations, evaluation.rows);
        state.alarms.value = { ...history, evaluations };
      }
    }
    let checkpointSeconds: number | null = null;
    let compiled = stage.policy.compilation()?.seconds ?? 0;
    for (let index = state.stepsDone; index < steps; index++) {
      if (index === state.stepsDone && stage.policy.compilation() !== null)
        progress.phase?.("compiling the first step");
      const before = clock();
      const metrics = await step(index);
      const after = clock();
      const done = index + 1;
      const ended =
        done === steps || reached(until, watched, metrics) || stage.services.endsEarly?.(done) === true;
      const due = evaluate !== null && (ended || (evalEvery > 0 && done % evalEvery === 0));
      const evaluation = due ? await evaluate(offset + done) : null;
      if (evaluation !== null) report(stage, offset + done, evaluation);
      const { active, begun } = raiseAlarms(stage, possible, offset + done, metrics, evaluation);
      const stopping = begun.filter((alarm) => settings.stopOn.includes(alarm.name));
      const compilation = stage.policy.compilation();
      const facts: LoopFacts = {
        alarms: active,
        times: {
          step: after - before,
          evaluation: evaluation === null ? null : clock() - after,
          checkpoint: checkpointSeconds,
          elapsed: clock() - began,
        },
        peakBytes: peakMemory(),
        compiled: compilation === null ? null : { ...compilation, seconds: compilation.seconds - compiled },
      };
      checkpointSeconds = null;
      const row = {
        ...metrics,
        ...valuesOf(alarmMetrics, setting, facts),
        ...valuesOf(loopMetrics, setting, facts),
      };
      compiled = stage.policy.compilation()?.seconds ?? 0;
      logs.metrics(offset + done, row);
      progress.step({ step: offset + done, metrics: row });
      const interrupted = !ended && (await stage.services.interrupted());
      const stop = interrupted || (!ended && stopping.length > 0);
      if (ended || stop || done % settings.checkpointEvery === 0) {
        const start = clock();
        await stage.services.checkpoint(done, ended, evaluation);
        checkpointSeconds = clock() - start;
      }
      if (ended) return { outcome: "finished", stepsDone: done, begun: stopping };
      if (stop) return { outcome: interrupted ? "interrupted" : "alarm", stepsDone: done, begun: stopping };
    }
    return { outcome: "finished", stepsDone: steps, begun: [] };
  } finally {
    progress.stop();
  }
}

/** Takes the step into the history, and says which alarms are new. @returns names of those that are raised now, and the new ones */
function raiseAlarms(
  { state: { alarms }, services: { progress } }: Stage,
  possible: ReturnType<typeof alarmsFor>,
  step: number,
  metrics: MetricValues,
  evaluation: Evaluation | null,
): { active: string[]; begun: RaisedAlarm[] } {
  if (alarms === null) return { active: [], begun: [] };
  const history = withStep(alarms.value, metrics, evaluation?.rows ?? null);
  const now = raised(history, possible);
  const begun = now.filter(({ name }) => !history.active.includes(name));
  for (const { name, message } of begun) progress.note(`step ${step}: alarm ${name}: ${message}`, "warning");
  const active = now.map(({ name }) => name);
  alarms.value = { ...history, active };
  return { active, begun };
}

/** Has the mean of the watched metric reached its bound? Adds the step's value to what is watched. */
function reached(until: Until | null, watched: Cell<number[]>, metrics: MetricValues): boolean {
  if (until === null) return false;
  const value = metrics[until.metric];
  watched.value = [...watched.value, ...(typeof value === "number" ? [value] : [])].slice(-until.window);
  if (watched.value.length < until.window) return false;
  const average = mean(watched.value);
  return until.above === undefined ? average <= until.below! : average >= until.above;
}

function report(
  { settings: { name }, services: { logs, progress } }: Stage,
  step: number,
  evaluation: Evaluation,
): void {
  logs.evaluation(evaluation.rows.map((row) => ({ ...row, step, stage: name }) as EvaluationRow));
  logs.evaluationPrompts(promptRows(evaluation, step, name));
  progress.evaluation?.(step, evaluation.metrics);
  progress.note(`step ${step}: ${evaluation.summary}`);
}

/** Characters of a gold answer that may be a label. */
const LABEL_CHARS = 64;

function answersGiven(
  answer: string,
  completions: Evaluation["prompts"][number]["completions"],
): Pick<EvaluationPromptRow, "answer" | "given"> {
  if (answer === "" || answer.length > LABEL_CHARS) return { answer: null, given: null };
  const given = completions.map(({ score }) =>
    score.correct ? answer : votedAnswer(score).slice(0, LABEL_CHARS),
  );
  return { answer, given: JSON.stringify(given) };
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
      tokens_mean: mean(completions.map(({ completion }) => sampledCount(completion))),
      reward_mean: mean(completions.map(({ score }) => score.reward)),
      ...answersGiven(prompt.answer, completions),
    };
  });
}
