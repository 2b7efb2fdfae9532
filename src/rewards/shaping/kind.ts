/**
 * Shaping: rewards that depend on the group or the whole batch. Pure functions on numbers, applied after the parts are summed,
 * in the order the recipe lists them. Evaluations use unshaped rewards.
 */
import type { z } from "zod";
import type { Json } from "../../types.ts";

/** What shaping may look at, one per completion. */
export interface Shapeable {
  reward: number;
  correct: boolean;
  /** null where prompts and completions know no think tags. */
  thinks: boolean | null;
  /** Completion tokens, the end token included. */
  tokens: number;
  text: string;
}

export interface Shaped {
  /** [P][G] */
  rewards: number[][];
  /** By metric name. */
  metrics: Record<string, number>;
}

/** Completions that are sampled from time to time for a shaping alone: the first prompts of data.train, some of each. */
export interface MonitorPlan {
  /** Steps between two looks. */
  every: number;
  prompts: number;
  samples: number;
}

export interface ShapingKind<Schema extends z.ZodObject, State extends Json = null> {
  readonly kind: string;
  readonly options: Schema;
  /** Names of the metrics that `shape` returns, in order. */
  readonly columns: readonly string[];
  /** @param groups [P][G] @param state as `monitor` left it */
  shape(groups: readonly (readonly Shapeable[])[], options: z.infer<Schema>, state: State): Shaped;
  /** Where the shaping changes while the policy learns; its state is part of a checkpoint. */
  readonly monitor?: {
    /** Before the first look. */
    readonly initial: State;
    plan(options: z.infer<Schema>): MonitorPlan;
    /** @param groups of the completions that were sampled for it, [prompts][samples] @returns the new state */
    observe(groups: readonly (readonly Shapeable[])[], options: z.infer<Schema>, state: State): State;
  };
}
