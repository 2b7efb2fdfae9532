/**
 * A plan as data: what a run will take, before it runs. An engine says what a step costs (`EngineCosts`): a probe
 * measures it on this machine, a compiler can report it for a machine that is not there. `estimate` makes the plan.
 */
import type { StageUsage } from "../run/usage.ts";

/** Where a number comes from: counted from shapes, measured in a probe, or reported by a compiler. */
export type Basis = "shapes" | "measured" | "compiled";

export interface MemoryPart {
  name:
    | "weights"
    | "gradients"
    | "optimizer moments"
    | "reference policy"
    | "critic"
    | "activations"
    | "generation"
    | "program";
  bytes: number;
  basis: Basis;
  /** What it is, or at which shapes it was seen; "" where the name says it. */
  note: string;
}

/** What is known of one stage from shapes alone. */
export interface StageCounts {
  parameters: number;
  trainable: number;
  frozen: number;
  /** Bytes that stay for the whole stage. */
  weights: number;
  gradients: number;
  moments: number;
  reference: number;
  /** Weights, moments and gradients of it. */
  critic: number;
}

/** Most bytes of tensors: in the probe, expected over the run's steps, and when every row reaches its token limit. */
export interface Workspace {
  seen: number;
  bytes: number;
  limit: number;
  /** Shapes of `bytes`. */
  note: string;
}

/**
 * What updates cost: completions that cannot move the weights, such as those of a group that is all right, are left
 * out of them, and a policy that learns changes how many these are.
 */
export interface UpdateCost {
  /** Seconds of an update in which all completions of a step take part; 0 where that was not seen. */
  all_s: number;
  /** Share of completions that takes part. */
  live: number;
  /** Seen in the probe; taken for all, as shortened completions say nothing of it; or all by the algorithm. */
  basis: "probe" | "assumed" | "algorithm";
}

/** What an engine says of a stage at the config's shapes. */
export interface StageCost {
  stage: string;
  counts: StageCounts;
  /** Tensors of an update besides what stays. */
  activations: Workspace;
  /** Of generation: caches, logits, one token's activations. */
  generation: Workspace;
  basis: Basis;
  first_step_s: number;
  step_s: number;
  /** Of `step_s` at `live`. */
  update: UpdateCost;
  /** Compiling programs over the whole stage. */
  compile_s: number;
  /** One evaluation of all its prompts; 0 without. */
  evaluation_s: number;
  checkpoint_s: number;
  /** Bytes of a checkpoint inside the run, and of the last one. */
  checkpoint_bytes: number;
  last_checkpoint_bytes: number;
}

export interface EngineCosts {
  /** "wasm", or the card. */
  engine: string;
  description: string;
  basis: Basis;
  startup_s: number;
  /** Seconds of processor time for a second of the clock: above 1 with several threads, below 1 on a busy machine. */
  processors: number;
  /** Of the process, at the shapes that were seen. */
  peak_bytes: number;
  /** Bytes there are on the device that computes. */
  available_bytes: number;
  stages: StageCost[];
  /** Bytes of logs that a step and an evaluation write, and of what is written once. */
  step_log_bytes: number;
  evaluation_log_bytes: number;
  fixed_log_bytes: number;
  /** How the numbers came about, one sentence. */
  how: string;
  /** What that took. */
  seconds: number;
}

export interface StagePlan extends StageUsage {
  algorithm: string;
  step_s: number;
  /** At the share of completions that the plan takes part in updates. */
  update: UpdateCost;
  total_s: number;
  /** The stage may end before its last step. */
  until: boolean;
}

export interface Plan {
  version: 1;
  config: string;
  engine: string;
  description: string;
  basis: Basis;
  parameters: { total: number; trainable: number; frozen: number };
  memory: {
    /** Of the stage that takes most; they add up to the peak. */
    parts: MemoryPart[];
    peak_bytes: number;
    /** When all rows of a step reach their token limit at once. */
    limit_bytes: number;
    available_bytes: number;
    fits: "yes" | "below its limits" | "no";
  };
  startup_s: number;
  stages: StagePlan[];
  total_s: number;
  /** Were no completion to take part in updates, and were all to. */
  range_s: { low: number; high: number };
  /** Processor time of all of it. */
  cpu_s: number;
  disk: { checkpoints: number; checkpoints_bytes: number; rest_bytes: number; free_bytes: number };
  how: string;
  probe_s: number;
}

/** A plan of several runs: an experiment's arms, or a sweep's trials. */
export interface BatchPlan {
  version: 1;
  config: string;
  /** Runs at a time. */
  concurrency: number;
  runs: { name: string; plan: string; total_s: number; peak_bytes: number; disk_bytes: number }[];
  /** Distinct plans: runs of the same shapes share one. */
  plans: Record<string, Plan>;
  total_s: number;
  /** Of as many runs as go on at a time, the largest ones. */
  peak_bytes: number;
  disk_bytes: number;
}
