import { z } from "zod";
import type { RolloutOptions } from "../rollouts/options.ts";
import type { StepBatch } from "./declaration.ts";

/** Options that several algorithms have. */
export const microBatchRows = z
  .int()
  .min(1)
  .optional()
  .describe(
    "rows per forward and backward pass; gradients are summed, so it changes memory and speed only. All rows of an update when absent",
  );

export const entropyCoef = z
  .number()
  .min(0)
  .default(0)
  .describe("weight of the mean token entropy that the loss rewards, nats; 0 as in verl");

/** How often a rollout is used. */
export const passOptions = {
  epochs: z.int().min(1).default(1).describe("passes over each rollout"),
  minibatches: z
    .int()
    .min(1)
    .default(1)
    .describe("optimizer steps per pass; with 1 x 1 the ratio is 1 and nothing clips"),
};

/** The batch of algorithms that sample groups. */
export function sampledBatch(
  { epochs, minibatches }: { epochs: number; minibatches: number },
  { prompts_per_step, group_size }: RolloutOptions,
): StepBatch {
  return {
    units: prompts_per_step,
    unit: "prompts",
    rowsPerUnit: group_size,
    passes: epochs,
    minibatches,
    rowLength: null,
  };
}
