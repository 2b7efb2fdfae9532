import type { OptimizerOptions } from "./options.ts";

/**
 * Learning rate of an optimizer step, as transformers' schedulers have it (optimization.py, 5.x): warm-up lr * step / warmup,
 * then, with p = (step - warmup) / (total - warmup),
 *   constant: lr;   linear: lr * (floor + (1 - floor)(1 - p));   cosine: lr * (floor + (1 - floor)(1 + cos(pi p)) / 2).
 * The first step of a warm-up has rate 0. The last step has p < 1, so `final_lr_share` itself is reached after it.
 * @param step 0-based
 * @param totalSteps optimizer steps of the whole stage
 */
export function learningRate(options: OptimizerOptions, step: number, totalSteps: number): number {
  const { lr, warmup_steps: warmup, schedule, final_lr_share: floor } = options;
  if (step < warmup) return (lr * step) / warmup;
  const progress = Math.min(1, (step - warmup) / Math.max(1, totalSteps - warmup));
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
