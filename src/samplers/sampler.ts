/** Samplers: which prompts a step reads, and what they learn of what became of them. */
import type { z } from "zod";
import type { Rng } from "../lib/rng.ts";
import type { Cells, PeriodicCallback, Prompt, PromptSource } from "../types.ts";

export interface DrawnPrompt {
  prompt: Prompt;
  /** How often the sampler had gone through all prompts before; 0 for endless sources. */
  epoch: number;
}

/** Draws prompts. A resumed stage draws what an uninterrupted one would. */
export interface PromptSampler {
  /**
   * The next prompts of a step; called again in the same step, it goes on.
   * @param step 0-based, of the stage
   */
  draw(step: number, count: number): DrawnPrompt[];
  /** Prompts drawn since the stage began. */
  readonly drawn: number;
  /** Told of the groups of a step. */
  readonly callbacks: readonly PeriodicCallback[];
  /** Its columns of metrics.csv, of the step that was drawn last. */
  metrics(): Record<string, number>;
}

export interface SamplerContext {
  /** The stage's, for this purpose alone. */
  rng: Rng;
  cells: Cells;
  /** Steps of the stage. */
  steps: number;
}

export interface SamplerKind<Schema extends z.ZodObject> {
  readonly kind: string;
  readonly options: Schema;
  /** Columns of metrics.csv. */
  readonly columns: readonly string[];
  /** @throws ConfigError where the source cannot be sampled like this */
  open(source: PromptSource, options: z.infer<Schema>, context: SamplerContext): PromptSampler;
}
