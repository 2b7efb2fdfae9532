/** Metrics of supervised steps, and of the loop around the steps of every algorithm. */
import { sampledCount } from "../lib/sampled.ts";
import type { Metric, MetricDefinition, Setting } from "./define.ts";
import type { LoopFacts, StepFacts, SupervisedFacts } from "./facts.ts";
import { epoch } from "./rollout.ts";

type Supervised = Pick<SupervisedFacts, "drawn" | "size" | "targets" | "used" | "padded" | "seconds"> & {
  updates: readonly { loss: number }[];
};

const tokensPerSecond: MetricDefinition = {
  name: "time/tokens_per_s",
  unit: "tokens/s",
  formula: "completion tokens / time/rollout_s; supervised: row tokens / time/step_s",
  note: "",
  label: "tokens/s",
  format: (value) => value.toFixed(0),
  line: true,
  panel: { place: 110, format: (value) => Math.round(value).toLocaleString("en") },
};

/** The last column of steps that sample. */
export const samplingRate: Metric<Pick<StepFacts, "scored" | "times">> = {
  ...tokensPerSecond,
  value: ({ scored, times }) =>
    scored.flat().reduce((sum, one) => sum + sampledCount(one), 0) / Math.max(1e-9, times.sampling),
};

export const supervisedMetrics: readonly Metric<Supervised>[] = [
  {
    name: "sft/loss",
    unit: "nats",
    formula: "mean negative logprob of the target tokens",
    note: "",
    label: "loss",
    format: (value) => value.toFixed(4),
    line: true,
    panel: { place: 20, course: true },
    curve: { place: 120, title: "Supervised loss", unit: "nats a token" },
    value: ({ updates }) => updates[0]!.loss,
  },
  {
    name: "sft/tokens",
    unit: "tokens",
    formula: "target tokens of the step",
    note: "",
    value: ({ targets }) => targets,
  },
  {
    name: "sft/padding",
    unit: "0..1",
    formula: "padding tokens / tokens of the rows",
    note: "high: switch packing on",
    value: ({ used, padded }) => 1 - used / padded,
  },
  epoch,
  { ...tokensPerSecond, value: ({ used, seconds }) => used / Math.max(1e-9, seconds) },
];

const raised = ({ measures }: Setting) => measures.has("alarms");
const compiles = ({ measures }: Setting) => measures.has("compile");
const alarms = ({ alarms }: Setting) => alarms;

export const alarmMetrics: readonly Metric<Pick<LoopFacts, "alarms">>[] = [
  {
    name: "alarms",
    unit: "count",
    formula: "alarms that the step raises",
    note: "each is printed when it begins; see docs/alarms.md",
    when: raised,
    value: (facts) => facts.alarms.length,
  },
  {
    name: "alarm/{name}",
    unit: "0 or 1",
    formula: "whether this alarm is raised",
    note: "names and thresholds: docs/alarms.md",
    when: raised,
    names: alarms,
    value: (facts, name) => (facts.alarms.includes(name) ? 1 : 0),
  },
];

export const loopMetrics: readonly Metric<LoopFacts>[] = [
  {
    name: "time/step_s",
    unit: "s",
    formula: "wall time of the step, without evaluation and checkpoint",
    note: "",
    value: ({ times }) => times.step,
  },
  {
    name: "time/eval_s",
    unit: "s",
    formula: "evaluation after the step",
    note: "blank when there was none",
    value: ({ times }) => times.evaluation,
  },
  {
    name: "time/checkpoint_s",
    unit: "s",
    formula: "checkpoint between the step before and this one",
    note: "blank when there was none; a process's last checkpoint has no step after it: usage.json counts it",
    value: ({ times }) => times.checkpoint,
  },
  {
    name: "time/elapsed_s",
    unit: "s",
    formula: "since this process began to train",
    note: "starts again on resume",
    value: ({ times }) => times.elapsed,
  },
  {
    name: "time/peak_rss_mb",
    unit: "MB",
    formula: "largest resident memory of the process so far",
    note: "not a time, but as little repeatable as one",
    value: ({ peakBytes }) => peakBytes / 2 ** 20,
  },
  {
    name: "time/compile_s",
    unit: "s",
    formula: "compiling programs since the step before; part of the other times",
    note: "only where the backend compiles; 0 once every shape has come",
    when: compiles,
    value: ({ compiled }) => compiled!.seconds,
  },
  {
    name: "time/programs",
    unit: "count",
    formula: "programs compiled so far",
    note: "growing: batches of ever new shapes",
    when: compiles,
    value: ({ compiled }) => compiled!.programs,
  },
];
