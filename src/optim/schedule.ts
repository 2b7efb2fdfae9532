import type { OptimizerOptions } from "./options.ts";

/**
 * Learning rate of an optimizer step: linear warm-up from lr/warmup, then constant, linear or cosine
 * down to `final_lr_share` at the last step.
 * @param step 0-based
 * @param totalSteps optimizer steps of the whole stage
 */
export function learningRate(options: OptimizerOptions, step: number, totalSteps: number): number {
  const { lr, warmup_steps: warmup, schedule, final_lr_share: floor } = options;
  if (step < warmup) return (lr * (step + 1)) / warmup;
  const progress = Math.min(1, (step - warmup) / Math.max(1, totalSteps - 1 - warmup));
  switch (schedule) {
    case "constant":
      return lr;
    case "linear":
      return lr * (floor + (1 - floor) * (1 - progress));
    case "cosine":
      return lr * (floor + ((1 - floor) * (1 + Math.cos(Math.PI * progress))) / 2);
    default: {
      const unreachable: never = schedule;
      throw new Error(`unknown schedule ${unreachable}`);
    }
  }
}
