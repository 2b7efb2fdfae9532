/**
 * What an algorithm says of itself. Config, dry run, planner, memory fitter, stage runner and replay ask these fields and
 * never a name, so that a new algorithm is a folder of its own and one line in kinds.ts. Free of tensors: `trainer` loads
 * what computes.
 */
import type { z } from "zod";
import type { DatasetOptions } from "../data/dataset-options.ts";
import type { EnvironmentOptions } from "../environments/options.ts";
import type { RuleOf } from "../lib/rules.ts";
import type { PolicyLossOptions } from "../losses/policy-kinds.ts";
import type { Measure, Metric } from "../metrics/define.ts";
import type { OptimizerOptions } from "../optim/options.ts";
import type { modelOptions } from "../policy/options.ts";
import type { RewardSpec } from "../rewards/options.ts";
import type { ShapingSpec } from "../rewards/shaping-options.ts";
import type { RolloutOptions } from "../rollouts/options.ts";
import type { Stage, StageResult } from "./stage.ts";

/** What all algorithms' options have. */
export interface AnyOptions {
  kind: string;
  micro_batch_rows?: number | undefined;
}

/** The rows of one training step, and how often they are used. */
export interface StepBatch {
  /** Prompts, examples or pairs of a step. */
  units: number;
  /** What these are called, such as "prompts". */
  unit: string;
  /** Rows that each of them makes: the group's size, 1, or 2. */
  rowsPerUnit: number;
  /** Passes over the rows, and optimizer steps in each pass. */
  passes: number;
  minibatches: number;
  /** Tokens of every row, where they are as long as the options say; else null. */
  rowLength: number | null;
}

/** The sections of a recipe that rules of algorithms look at. */
export interface RuleSections<Options> {
  algorithm: Options;
  steps: number;
  model: z.infer<typeof modelOptions>;
  data: { train: DatasetOptions; eval?: DatasetOptions | undefined };
  rollout: RolloutOptions;
  environment: EnvironmentOptions | undefined;
  rewards: RewardSpec[];
  shaping: ShapingSpec[];
  optimizer: OptimizerOptions;
}

export type AlgorithmRule<Options> = RuleOf<RuleSections<Options>>;

export interface AlgorithmDeclaration<Options extends AnyOptions> {
  readonly kind: Options["kind"];
  /** In messages: "GRPO", "supervised training". */
  readonly title: string;
  /** One line for lists. */
  readonly summary: string;
  /** Completions that are scored, a target text of each prompt, or two texts of which one is preferred. */
  readonly learnsFrom: "rewards" | "targets" | "pairs";
  /** It samples completions while it trains; else only evaluations do. */
  readonly samples: boolean;
  /** It learns from episodes of several turns with an environment; absent: it does not. */
  readonly episodes?: boolean;
  /** It trains a value function of the policy's size beside the policy. */
  readonly critic: boolean;
  /** Its policy loss, where that is a choice that a replay can compare with others; null: it is none. */
  loss(options: Options): PolicyLossOptions | null;
  /** It needs logprobs of the policy that the stage began with. */
  usesReference(options: Options): boolean;
  batch(options: Options, rollout: RolloutOptions): StepBatch;
  /** Rows of src/metrics that its steps fill in; null: those of every step that samples. */
  readonly metrics: readonly Metric<never>[] | null;
  /** What it measures besides what every step that samples does: its rows of src/metrics ask for these. */
  measures(options: Options): readonly Measure[];
  /** Rules between its own options and the rest of the recipe. */
  readonly rules: readonly AlgorithmRule<Options>[];
  /** Further lines of --dry-run about what a step does. */
  describe(options: Options): readonly string[];
  /** How planner and memory fitter may change the options, so that a few rows say what many cost. */
  readonly measuring: {
    /** Rows whose advantage is 0 are left out of updates, so that these cost less than their rows. */
    leavesOut(options: Options): boolean;
    /** As many units in a step, where the options and not the rollout say how many there are. */
    withUnits(options: Options, units: number): Options;
    /** One pass in which everything that is trained learns. */
    onePass(options: Options): Options;
    /** Options under which a group of one completion has a gradient. */
    ungrouped(options: Options): Options;
  };
  /** Loads the loop, tensors included. */
  trainer(): Promise<(stage: Stage<Options>) => Promise<StageResult>>;
}

/** A declaration with the schema of its options. */
export type DeclaredAlgorithm<Schema extends z.ZodObject> = AlgorithmDeclaration<
  z.infer<Schema> extends infer Options extends AnyOptions ? Options : never
> & { readonly options: Schema };

/** Rows of a step. */
export function rowsOf({ units, rowsPerUnit }: StepBatch): number {
  return units * rowsPerUnit;
}

/** Rows of an optimizer step; the last one may have fewer. */
export function rowsOfUpdate(batch: StepBatch): number {
  return Math.ceil(rowsOf(batch) / batch.minibatches);
}

/** Optimizer steps of a step. */
export function updatesOf({ passes, minibatches }: StepBatch): number {
  return passes * minibatches;
}
